"""Accuracy against stored bits: every code on one network's maps, on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..calibrate import calibrate
from ..mixed import divergence
from ..zoo import MODELS, imagenet
from ..zoo.loader import Labelled
from .choose import Option, Profile, masked_options, pick, profiles
from .coded import CodedGraph, Lossy
from .ebpc import Ebpc
from .levels import best_tables
from .maps import stored_maps, values_of
from .pair import JointMeans, best_pairs
from .plain import companded, linear, truncation
from .table import TableCode
from .tune import Tuning, tune
from .zeros import ZeroMask, ZeroRun

NETWORKS = ("squeezenet1_1",)
SQ2 = ("fire2_squeeze1x1", "fire3_squeeze1x1")
BITS = (6, 5, 4, 3, 2)
PAIR_BITS = (7, 5)
CALIBRATION_PICTURES = 48
CROPS, HELD = 240, 96
BATCH = 12
PRICES = (1.5e-7, 4e-8)  # nats per stored bit of the codes of variable rate
STEPS = 40
TUNED = {"SQ2": (4, 3, 2), "ALL": (5, 4)}

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Row:
    """One code on one set of maps, over all labelled pictures.

    Attributes
    ----------
    maps : "SQ2" | "ALL"
    code : str
    bits : float
        Really stored per value of these maps, on average.
    fixed : bool
        Whether the rate is the same for every picture.
    top1, top5 : int
        Pictures whose likeliest class, or one of the five likeliest, is accepted.
    lost, won : int
        Pictures that the uncoded network has right and this one has not, and the other way round.
    agree : int
        Pictures with the same likeliest class as without codes.
    divergence : float
        Mean divergence in nats of the class probabilities from those without codes.
    pictures : int
    table_bytes : int
        Of the code's own tables.
    step : int or None
        Of tuning; None where nothing was tuned.
    """

    maps: str
    code: str
    bits: float
    fixed: bool
    top1: int
    top5: int
    lost: int
    won: int
    agree: int
    divergence: float
    pictures: int
    table_bytes: int = 0
    step: int | None = None


class Bench:
    """One network with its pictures and what its codes are fitted to.

    Parameters
    ----------
    name : str
        Of NETWORKS.
    limit : int, optional
        Use only so many labelled pictures.
    crops, held : int
        Unlabelled crops to fit codes to, and others to stop tuning by.
    steps : int
        Of tuning; 0 tunes nothing.
    seed : int
    tell : callable, optional
        Called with what is done, how much of it, and how much there is.

    Raises
    ------
    ValueError
        If the network is not one of NETWORKS.
    """

    def __init__(
        self, name: str, *, limit: int | None = None, crops: int = CROPS, held: int = HELD,
        steps: int = STEPS, seed: int = 0, tell: Tell | None = None,
    ) -> None:  # fmt: skip
        if name not in NETWORKS:
            raise ValueError(f"the codec bench knows {', '.join(NETWORKS)}, not {name!r}")
        self.tell = tell or (lambda what, done, total: None)
        self.steps, self.seed = steps, seed
        self.tell("weights and pictures", 0, 1)
        loader = MODELS[name]
        graph = loader.load_float()
        preprocess = graph.preprocess
        assert preprocess is not None and loader.labelled is not None
        frac_bits = calibrate(graph, loader.calibration(CALIBRATION_PICTURES).split(BATCH))
        self.network = CodedGraph(graph, frac_bits)
        self.pictures: Labelled = loader.labelled(limit)
        self.crops = imagenet.rounding_crops(preprocess, crops, seed)
        self.held = imagenet.held_out_crops(preprocess, held, seed)
        # conv10's map is read by the global average alone: stored as it is
        every = [m for m in stored_maps(graph) if m != graph.nodes[-1].inputs[0]]
        self.sets = {"SQ2": list(SQ2), "ALL": every}
        self.values = values_of(graph, every)
        self.tell("weights and pictures", 1, 1)
        self.tell("histograms and gradients", 0, 1)
        self.profiles = profiles(self.network, self.crops, every, seed)
        self.tell("histograms and gradients", 1, 1)
        self.reference = self._scores(self.network, {})
        self._fitted: dict[tuple[str, bool], dict[int, TableCode]] = {}

    def _scores(self, network: CodedGraph, codes: Mapping[str, Lossy]) -> torch.Tensor:
        return network.scores(self.pictures.x, codes)

    def row(
        self, maps: str, code: str, bits: float, codes: Mapping[str, Lossy], *,
        fixed: bool = True, network: CodedGraph | None = None, step: int | None = None,
    ) -> Row:  # fmt: skip
        """Return the row of some codes."""
        scores = self._scores(network or self.network, codes) if codes else self.reference
        right, before = self._right(scores), self._right(self.reference)
        return Row(
            maps, code, bits, fixed, int(right.sum()), self.pictures.right(scores, 5),
            int((before & ~right).sum()), int((right & ~before).sum()),
            int((scores.argmax(1) == self.reference.argmax(1)).sum()),
            divergence(self.reference, scores), len(scores),
            sum(getattr(c, "table_bits", 0) for c in codes.values()) // 8, step,
        )  # fmt: skip

    def _right(self, scores: torch.Tensor) -> torch.Tensor:
        best = scores.argmax(1).tolist()
        accepted = self.pictures.classes
        return torch.tensor([b in good for b, good in zip(best, accepted, strict=True)])

    def rows(self) -> Iterator[Row]:
        """Yield every row, the cheap ones first."""
        for maps, names in self.sets.items():
            yield from self._lossless(maps, names)
            yield from self._fixed(maps, names)
            yield from self._pairs(maps, names)
        yield from self._variable()
        if self.steps:
            yield from self._tuned()

    def _lossless(self, maps: str, names: Sequence[str]) -> Iterator[Row]:
        codes = (ZeroMask(), ZeroRun(), Ebpc())
        stored = dict.fromkeys((code.name for code in codes), 0)
        total = 0

        def look(name: str, a: torch.Tensor) -> None:
            nonlocal total
            if name in names:
                total += a.numel()
                for code in codes:
                    stored[code.name] += code.stored_bits(a)

        for number, batch in enumerate(self.pictures.x.split(BATCH), start=1):
            self.network.scores(batch, {}, look=look)
            self.tell(f"{maps} lossless", number * BATCH, len(self.pictures.x))
        yield self.row(maps, "raw", 8.0, {})
        for name, bits in stored.items():
            yield self.row(maps, name, bits / total, {}, fixed=False)

    def _fixed(self, maps: str, names: Sequence[str]) -> Iterator[Row]:
        plain = {"truncation": _truncated, "linear": linear, "companded": companded}
        for done, k in enumerate(BITS):
            self.tell(f"{maps} fixed rate", done, len(BITS))
            counts = {name: self.profiles[name].counts for name in names}
            for code, make in plain.items():
                yield self.row(maps, code, k, {n: make(c, k) for n, c in counts.items()})
            squares = {n: self._fit(n, weighted=False)[k] for n in names}
            yield self.row(maps, "table, least squares", k, squares)
            yield self.row(maps, "table", k, self._tables(names, k))
        self.tell(f"{maps} fixed rate", len(BITS), len(BITS))

    def _fit(self, name: str, weighted: bool = True) -> dict[int, TableCode]:
        """Return a map's learned tables of every size; they are fitted once."""
        if (name, weighted) not in self._fitted:
            profile = self.profiles[name]
            weights = profile.weights if weighted else profile.counts
            self._fitted[name, weighted] = best_tables(weights, BITS)
        return self._fitted[name, weighted]

    def _tables(self, names: Sequence[str], k: int) -> dict[str, TableCode]:
        return {n: self._fit(n)[k] for n in names}

    def _pairs(self, maps: str, names: Sequence[str]) -> Iterator[Row]:
        for done, bits in enumerate(PAIR_BITS):
            self.tell(f"{maps} pairs", done, len(PAIR_BITS))
            means = {n: JointMeans(best_pairs(self.profiles[n].weights, bits)) for n in names}

            def look(name: str, a: torch.Tensor, means: dict[str, JointMeans] = means) -> None:
                if name in means:
                    means[name].add(a)

            for batch in self.crops[:HELD].split(BATCH):
                self.network.scores(batch, {}, look=look)
            alone = {n: m.code for n, m in means.items()}
            yield self.row(maps, "pair", bits / 2, alone)
            joint = {n: m.joint() for n, m in means.items()}
            yield self.row(maps, "pair, joint means", bits / 2, joint)
        self.tell(f"{maps} pairs", len(PAIR_BITS), len(PAIR_BITS))

    def _variable(self) -> Iterator[Row]:
        for done, price in enumerate(PRICES):
            self.tell("ALL variable rate", done, len(PRICES))
            codes, masked = self._choice(price)
            bits = self._mean_bits(codes, masked)
            name = f"chosen per map, price {price:g}"
            yield self.row("ALL", name, bits, codes, fixed=False)
        self.tell("ALL variable rate", len(PRICES), len(PRICES))

    def _choice(self, price: float) -> tuple[dict[str, TableCode], set[str]]:
        options = {}
        for name in self.sets["ALL"]:
            profile = self.profiles[name]
            fitted = self._fit(name)
            several = [Option(c, False, profile.loss(c), float(k)) for k, c in fitted.items()]
            if _zeros(profile) > 0.25:  # a mask pays only then
                several += masked_options(profile, (3, 4), price)
            options[name] = several
        chosen = pick(options, self.values, price)
        return chosen.codes, {n for n, option in chosen.options.items() if option.masked}

    def _mean_bits(
        self, codes: Mapping[str, TableCode], masked: set[str], network: CodedGraph | None = None
    ) -> float:
        """Return the bits stored per value on the labelled pictures."""
        total = stored = 0

        def look(name: str, a: torch.Tensor) -> None:
            nonlocal total, stored
            if name in codes:
                total += a.numel()
                code = codes[name]
                stored += ZeroMask(code).stored_bits(a) if name in masked else code.bits * a.numel()

        (network or self.network).scores(self.pictures.x, codes, look=look)
        return stored / total

    def _tuned(self) -> Iterator[Row]:
        recipe = Tuning(steps=self.steps, every=max(1, self.steps // 4), seed=self.seed)
        jobs: list[tuple[str, str, float, dict[str, TableCode], Tuning, set[str]]] = []
        for maps, several in TUNED.items():
            for k in several:
                jobs.append(
                    (maps, "table, tuned", k, self._tables(self.sets[maps], k), recipe, set())
                )
        codes, masked = self._choice(PRICES[-1])
        keep = replace(recipe, encoder=False)
        name = f"chosen per map, price {PRICES[-1]:g}, tuned"
        jobs.append(("ALL", name, 0.0, codes, keep, masked))
        for maps, what, bits, start, how, mask in jobs:
            label = f"{maps} {what} {bits or ''}"
            tuned = tune(
                self.network, start, self.crops, self.held[::2], how,
                lambda step, now, label=label: self.tell(label, step, self.steps),
            )  # fmt: skip
            stored = bits or self._mean_bits(tuned.codes, mask, tuned.network)
            yield self.row(
                maps, what, stored, tuned.codes, fixed=not mask, network=tuned.network,
                step=tuned.step,
            )  # fmt: skip


def _truncated(counts: torch.Tensor, bits: int) -> TableCode:
    return truncation(len(counts), bits)


def _zeros(profile: Profile) -> float:
    """Return the share of zeros among a map's values."""
    return float(profile.counts[:, 0].sum() / profile.counts.sum())
