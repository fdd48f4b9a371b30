"""How much accuracy rounding costs, on the labelled pictures, and what it saves."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..hw.config import EngineConfig
from .calibrate import Calibration, calibrate, observe
from .golden import run
from .graph import ConvNode, Graph
from .mixed import Mix, Sensitivity, choose_mix, divergence, measure_sensitivity, mix_curve
from .mixed_cycles import layer_cycles
from .network import Network
from .predict import to_scores
from .preprocess import Preprocess
from .quantize import activations_only, quantize
from .rounding import round_graph
from .variants import VARIANTS, Variant
from .zoo import MODELS, imagenet, pictures, squeezenet
from .zoo.loader import Labelled

BATCH = 8
CALIBRATION_PICTURES = 48
CROPS = 256  # pictures to round with
JUDGES = 40  # pictures that sensitivity is measured on
NETWORKS = ("squeezenet1_1", "efficientnet_lite0")
# what decides the figures, beside the options: figures of other sources are others' figures
SOURCES = (
    "rounding/*.py", "zoo/*.py", "zoo/labels.json", "accuracy.py", "calibrate.py", "codebook.py",
    "fast.py", "fixed.py", "golden.py", "graph.py", "integers.py", "mixed.py", "mixed_cycles.py",
    "preprocess.py", "quantize.py", "variants.py",
)  # fmt: skip
# what decides the cycles of a layer too, where a budget is of cycles
CYCLE_SOURCES = (*SOURCES, "*.py", "../hw/config.py", "../hw/geometry.py")
NOTE = (
    "Small and easy set (cut-outs and close-ups): compare rows pairwise with float; "
    "this is not ImageNet validation accuracy."
)


@dataclass(frozen=True)
class Row:
    """One variant of a network over all labelled pictures.

    Attributes
    ----------
    variant : str
    top1, top5 : int
        Pictures whose likeliest class, or one of the five likeliest, is accepted.
    agree : int
        Pictures with the same likeliest class as the float network.
    pictures : int
    divergence : float
        Mean Kullback-Leibler divergence in nats of the class probabilities from float's.
    bits_per_weight : float
        N x B, averaged over the weights; 32 for float weights.
    mean_terms : float or None
        Non-zero terms per weight.
    zero_terms : float or None
        Share of the stored codes that are no term, 0..1.
    bytes : int
        Of the network as it is stored, class names and all; 4 per weight and bias for float ones.
    seconds : float
        Wall time of the rounding.
    """

    variant: str
    top1: int
    top5: int
    agree: int
    pictures: int
    divergence: float = 0.0
    bits_per_weight: float = 32.0
    mean_terms: float | None = None
    zero_terms: float | None = None
    bytes: int = 0
    seconds: float = 0.0

    def percent(self, count: int) -> float:
        """Return a count in percent of the pictures."""
        return 100.0 * count / self.pictures


@dataclass(frozen=True)
class Result:
    """All that was measured on one network.

    Attributes
    ----------
    network, title : str
    rows : list[Row]
        Float first, then 8-bit activations, then the variants.
    calibration : Calibration
    sensitivities : list[Sensitivity]
        Empty where no variant is mixed.
    curve : list[Mix]
    mixes : dict[str, Mix]
        The mixed variants by name.
    crops, judges : int
        Unlabelled pictures to round with, and to measure sensitivity on.
    options : dict
        All that was asked for, the variants' names, the engine whose cycles count, if they do, and
        a digest of SOURCES: rows of two results belong side by side where these are equal.
    """

    network: str
    title: str
    rows: list[Row]
    calibration: Calibration
    sensitivities: list[Sensitivity] = field(default_factory=list)
    curve: list[Mix] = field(default_factory=list)
    mixes: dict[str, Mix] = field(default_factory=dict)
    crops: int = 0
    judges: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "network": self.network,
            "title": self.title,
            "note": NOTE,
            "rounded_with": self.crops,
            "sensitivity_on": self.judges,
            "options": self.options,
            "rows": [asdict(row) for row in self.rows],
            "calibration": self.calibration.to_dict(),
            "sensitivity": [asdict(row) for row in self.sensitivities],
            "curve": [mix.to_dict() for mix in self.curve],
            "mixes": {name: mix.to_dict() for name, mix in self.mixes.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Result:
        """Return what :meth:`to_dict` made data of."""
        return cls(
            data["network"],
            data["title"],
            [Row(**row) for row in data["rows"]],
            Calibration.from_dict(data["calibration"]),
            [Sensitivity(**row) for row in data["sensitivity"]],
            [Mix(**mix) for mix in data["curve"]],
            {name: Mix(**mix) for name, mix in data["mixes"].items()},
            data["rounded_with"],
            data["sensitivity_on"],
            data["options"],
        )


Progress = Callable[[str, int, int], None]


def evaluate(
    name: str,
    variants: Sequence[Variant] = VARIANTS,
    *,
    limit: int | None = None,
    calibration: int = CALIBRATION_PICTURES,
    crops: int = CROPS,
    judges: int = JUDGES,
    seed: int = 0,
    known: Sequence[Sensitivity] = (),
    config: EngineConfig | None = None,
    progress: Progress | None = None,
) -> Result:
    """Evaluate float, 8-bit activations alone, and the variants of one network of the zoo.

    Parameters
    ----------
    name : str
        One of NETWORKS.
    variants : sequence of Variant
    limit : int, optional
        Use only so many labelled pictures, spread evenly; all of them by default.
    calibration, crops, judges : int
        Unlabelled pictures for the activation scales, to round with, to measure sensitivity on.
    seed : int
    known : sequence of Sensitivity
        Those of this network; by default they are measured where a variant is mixed.
    config : EngineConfig, optional
        The engine whose cycles count; needed where a variant's budget is of cycles.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    MissingDataError
        If a package with weights or pictures cannot be fetched.
    ValueError
        If the network is not one of NETWORKS, a variant is out of range, or cycles are to be
        counted and there is no engine, or one that cannot run the network.
    """
    if name not in NETWORKS:
        raise ValueError(f"accuracy knows {', '.join(NETWORKS)}, not {name!r}")
    by_cycles = [variant.name for variant in variants if variant.cycles]
    if by_cycles and config is None:
        raise ValueError(f"{by_cycles[0]!r} is a budget of cycles: say of which engine")
    options = {
        "variants": [variant.name for variant in variants], "limit": limit,
        "calibration": calibration, "crops": crops, "judges": judges, "seed": seed,
        "engine": config.to_dict() if config and by_cycles else None,
        "sources": digest_sources(CYCLE_SOURCES if by_cycles else SOURCES),
    }  # fmt: skip
    loader, tell = MODELS[name], progress or (lambda what, done, total: None)
    tell("weights and pictures", 0, 1)
    graph = loader.load_float()
    preprocess = graph.preprocess
    assert preprocess is not None and loader.labelled is not None
    seen = observe(graph, loader.calibration(calibration).split(BATCH))
    bench = _Bench(graph, seen.frac_bits, loader.labelled(limit), preprocess, crops, seed, tell)
    tell("weights and pictures", 1, 1)
    rows = [bench.float_row(), bench.activations_row()]
    sensitivities = list(known)
    mixes: dict[str, Mix] = {}
    for variant in variants:
        terms: int | dict[str, int]
        if isinstance(variant.terms, int):
            terms = variant.terms
        else:
            if not sensitivities:
                held = imagenet.held_out_crops(preprocess, judges, seed)
                sensitivities = bench.sensitivities(held, variant)
            mixes[variant.name] = _mix(variant, sensitivities, graph, seen.frac_bits, config)
            terms = mixes[variant.name].terms
        grids = seen
        if variant.act_bits != 8:
            grids = observe(graph, loader.calibration(calibration).split(BATCH), variant.act_bits)
        rows.append(bench.row(variant, terms, grids.frac_bits))
    curve = mix_curve(sensitivities) if sensitivities else []
    return Result(
        name, loader.title, rows, seen, sensitivities, curve, mixes, crops,
        judges if sensitivities else 0, options,
    )  # fmt: skip


def _mix(
    variant: Variant, sensitivities: Sequence[Sensitivity], graph: Graph,
    frac_bits: dict[str, int], config: EngineConfig | None,
) -> Mix:  # fmt: skip
    """Return N by convolution within a variant's budget, of terms or of an engine's cycles."""
    if not variant.cycles or config is None:
        return choose_mix(sensitivities, variant.terms)
    cycles = layer_cycles(graph, frac_bits, config, variant.bits)
    return choose_mix(sensitivities, variant.terms * sum(low for low, _ in cycles.values()), cycles)


def digest_sources(patterns: Sequence[str] = SOURCES) -> str:
    """Return a digest of sources, named relative to this one's folder."""
    folder = Path(__file__).parent
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class _Bench:
    """One network with its pictures; the float network's answers are the reference."""

    def __init__(
        self, graph: Graph, frac_bits: dict[str, int], pictures: Labelled, preprocess: Preprocess,
        crops: int, seed: int, tell: Progress,
    ) -> None:  # fmt: skip
        self.graph, self.frac_bits, self.pictures = graph, frac_bits, pictures
        self.seed, self.tell = seed, tell
        self.batches = imagenet.rounding_crops(preprocess, crops, seed).split(BATCH)
        convolutions = [node for node in graph.nodes if isinstance(node, ConvNode)]
        self.convolutions = len(convolutions)
        self.float_bytes = 4 * sum(n.weight.numel() + n.bias.numel() for n in convolutions)
        self.reference = self._scores("float", lambda x: graph.run(x)[graph.output])

    def _scores(self, name: str, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        parts, total = [], len(self.pictures.x)
        self.tell(f"{name}: evaluate", 0, total)
        for batch in self.pictures.x.split(BATCH):
            parts.append(score(batch).flatten(1))
            self.tell(f"{name}: evaluate", sum(map(len, parts)), total)
        return torch.cat(parts)

    def _row(self, name: str, scores: torch.Tensor, **figures: Any) -> Row:
        same = best(scores) == best(self.reference)
        return Row(
            variant=name,
            top1=self.pictures.right(scores),
            top5=self.pictures.right(scores, 5),
            agree=int(same.sum()),
            pictures=len(scores),
            divergence=divergence(self.reference, scores),
            **figures,
        )

    def float_row(self) -> Row:
        """Return the float network's row."""
        return self._row("float", self.reference, bytes=self.float_bytes)

    def activations_row(self) -> Row:
        """Return the row of float weights with quantised activations."""
        name = "8-bit activations"
        scores = self._scores(name, lambda x: activations_only(self.graph, self.frac_bits, x))
        return self._row(name, scores, bytes=self.float_bytes)

    def sensitivities(self, judges: torch.Tensor, variant: Variant) -> list[Sensitivity]:
        """Return every layer's sensitivity."""
        return measure_sensitivity(
            self.graph, self.frac_bits, self.batches, judges, method=variant.method,
            bits=variant.bits, seed=self.seed,
            progress=lambda layer, done: self.tell("sensitivity", done, 2 * self.convolutions),
        )  # fmt: skip

    def row(self, variant: Variant, terms: int | dict[str, int], frac_bits: dict[str, int]) -> Row:
        """Return the row of one variant; ``frac_bits`` are those of its activations."""
        acts = variant.act_bits
        start = time.monotonic()
        what = f"{variant.name}: round"
        self.tell(what, 0, self.convolutions)
        if variant.method == "greedy" and isinstance(terms, int):  # looks at no pictures
            network = quantize(
                self.graph, frac_bits, terms=terms, bits=variant.bits,
                scale=variant.scale, book=variant.book, act_bits=acts,
            )  # fmt: skip
        else:
            rounded = round_graph(
                self.graph, frac_bits, self.batches, method=variant.method, terms=terms,
                bits=variant.bits, scale=variant.scale, seed=self.seed, book=variant.book,
                act_bits=acts, price=variant.price,
                progress=lambda layer, done: self.tell(what, done, self.convolutions),
            )  # fmt: skip
            network = quantize(self.graph, frac_bits, rounded=rounded, act_bits=acts)
        seconds = time.monotonic() - start
        self.tell(what, self.convolutions, self.convolutions)
        scores = self._scores(variant.name, lambda x: golden_scores(network, x))
        figures = sizes(network)
        if variant.integer:  # an integer is no sum of terms
            figures |= {"mean_terms": None, "zero_terms": None}
        return self._row(variant.name, scores, seconds=round(seconds, 1), **figures)


def golden_scores(network: Network, x: torch.Tensor) -> torch.Tensor:
    """Return the integer network's scores, float64 (B, classes)."""
    return to_scores(network, run(network, x, keep=False)[network.output])


def best(scores: torch.Tensor) -> torch.Tensor:
    """Return the likeliest classes (B,); of equal scores the lower class number."""
    return scores.sort(dim=1, descending=True, stable=True).indices[:, 0]


def sizes(network: Network) -> dict[str, Any]:
    """Return what a network's weights take: the last fields of :class:`Row` but for the time."""
    weights = slots = bits = used = 0
    for layer in network.convolutions():
        codes, book = layer.weights.codes, layer.weights.codebook
        weights += codes[0].numel()
        slots += codes.numel()
        bits += codes.numel() * book.bits
        used += int((codes != 0).sum())
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder))
        stored = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {
        "bits_per_weight": bits / weights,
        "mean_terms": used / weights,
        "zero_terms": 1 - used / slots,
        "bytes": stored,
    }


def calibrate_squeezenet(graph: Graph, limit: int = CALIBRATION_PICTURES) -> dict[str, int]:
    """Return SqueezeNet's activation scales from calibration pictures."""
    chosen = pictures.calibration(limit)
    batch = torch.stack([squeezenet.PREPROCESS(picture.open()) for picture in chosen])
    return calibrate(graph, batch.split(BATCH))
