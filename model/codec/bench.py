"""Accuracy against stored bits: every code on one network's maps, on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..calibrate import calibrate
from ..graph import GlobalAverageNode
from ..mixed import divergence
from ..quantize import quantize
from ..zoo import MODELS, imagenet
from ..zoo.loader import Labelled
from .choose import Choice, pick_at_most
from .coded import CodedGraph, Lossy
from .crossings import loaded_bytes
from .ebpc import Ebpc
from .learned_rows import neighbour_rows, plane_rows
from .maps import stored_maps, values_of
from .measure import measured
from .options import Fit, Option, Profile, fit_tables, masked_options, of_fixed_rate, profiles
from .pair import JointMeans, best_pairs
from .place import groups_of
from .plain import companded, linear, truncation
from .plan import NETWORKS, PLANS
from .table import TableCode
from .tune import Tuning, tune
from .zeros import ZeroMask, ZeroRun

PAIR_BITS = (7, 5)
CALIBRATION_PICTURES = 48
CROPS, HELD = 240, 96
BATCH = 12
STEPS = 40
GENTLY: dict[str, Any] = {"rate": 0.03, "network_rate": 0.003, "encoder": False}
FITTED: dict[str, Fit] = {
    "table, least squares": "squares", "table": "weighted", "table, plain means": "means",
}  # fmt: skip
FIXED, MASKED = "chosen per map", "chosen per map, masks"

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
    loaded_bytes : int
        Of tables as an engine loads them, see :func:`.crossings.loaded_bytes`.
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
    loaded_bytes: int = 0


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

    Attributes
    ----------
    integer : Network
        Of N = 2, B = 4 without codes.

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
        self.plan = PLANS[name]
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
        # what the global average reads, and gives: rarely far from zero, so that some hundred
        # pictures do not show what decides, and too small for tables to pay
        averages = [node for node in graph.nodes if isinstance(node, GlobalAverageNode)]
        raw = {name for node in averages for name in (*node.inputs, node.output)}
        every = [m for m in stored_maps(graph) if m not in raw]
        self.integer = quantize(graph, frac_bits, terms=2, bits=4)
        self.groups = groups_of(self.integer, every)  # which maps the engine stores alike
        self.sets = {"SQ2": list(self.plan.subset)} if self.plan.subset else {}
        self.sets["ALL"] = every
        self.values = values_of(graph, every)
        self.tell("weights and pictures", 1, 1)
        self.tell("histograms and gradients", 0, 1)
        self.profiles = profiles(self.network, self.crops, every, seed)
        self.tell("histograms and gradients", 1, 1)
        self.reference = self._scores(self.network, {})

    def _scores(self, network: CodedGraph, codes: Mapping[str, Lossy]) -> torch.Tensor:
        return network.scores(self.pictures.x, codes)

    def row(
        self, maps: str, code: str, bits: float, codes: Mapping[str, Lossy], *,
        fixed: bool = True, network: CodedGraph | None = None, step: int | None = None,
        scores: torch.Tensor | None = None,
    ) -> Row:  # fmt: skip
        """Return the row of some codes; ``scores`` are those with them where they are known."""
        if scores is None:
            scores = self._scores(network or self.network, codes) if codes else self.reference
        right, before = self._right(scores), self._right(self.reference)
        return Row(
            maps, code, bits, fixed, int(right.sum()), self.pictures.right(scores, 5),
            int((before & ~right).sum()), int((right & ~before).sum()),
            int((scores.argmax(1) == self.reference.argmax(1)).sum()),
            divergence(self.reference, scores), len(scores),
            sum(getattr(c, "table_bits", 0) for c in codes.values()) // 8, step,
            sum(map(loaded_bytes, codes.values())),
        )  # fmt: skip

    def _right(self, scores: torch.Tensor) -> torch.Tensor:
        best = scores.argmax(1).tolist()
        accepted = self.pictures.classes
        return torch.tensor([b in good for b, good in zip(best, accepted, strict=True)])

    def rows(self) -> Iterator[Row]:
        """Yield every row, the cheap ones first."""
        for maps in self.sets:
            yield from self.plain_rows(maps)
        for maps in self.sets:
            yield from neighbour_rows(self, maps)
        yield from plane_rows(self)
        yield from self._chosen()
        if self.steps:
            yield from self._tuned()

    def plain_rows(self, maps: str) -> Iterator[Row]:
        """Yield what is lossless, codes of one size and pairs, of one set of maps."""
        yield from self.lossless_rows(maps)
        yield from self._fixed(maps, self.sets[maps])
        if self.plan.subset:
            yield from self.pair_rows(maps)

    def choices(self) -> dict[str, dict[str, TableCode]]:
        """Return the codes whose traffic is of interest, by what to call them."""
        choice = self._choice(FIXED, 4)
        return {
            "tables of 4 bits": self.tables(self.sets["ALL"], 4),
            f"chosen per map, {choice.bits:.3g} bits": choice.codes,
        }

    def table_rows(self, maps: str) -> Iterator[Row]:
        """Yield companded levels and tables by what an error costs, of one set of maps."""
        names = self.sets[maps]
        for done, k in enumerate(self.plan.bits, start=1):
            made = {
                n: companded(self.profiles[n].counts, k, self.network.zero[n]) for n in names
            }  # fmt: skip
            yield self.row(maps, "companded", k, made)
            yield self.row(maps, "table", k, {n: self.fitted[n]["weighted"][k] for n in names})
            self.tell(f"{maps} tables", done, len(self.plan.bits))

    def lossless_rows(self, maps: str) -> Iterator[Row]:
        """Yield lossless codes of one set of maps."""
        names = self.sets[maps]
        codes = (ZeroMask(), ZeroRun(), Ebpc())
        stored = dict.fromkeys((code.name for code in codes), 0)
        total = 0

        def look(name: str, a: torch.Tensor) -> None:
            nonlocal total
            if name in names:
                total += a.numel()
                plain = a ^ self.network.zero[name]  # as two's complement where it is signed
                for code in codes:
                    stored[code.name] += code.stored_bits(plain)

        for number, batch in enumerate(self.pictures.x.split(BATCH), start=1):
            self.network.scores(batch, {}, look=look)
            self.tell(f"{maps} lossless", number * BATCH, len(self.pictures.x))
        yield self.row(maps, "raw", 8.0, {})
        for name, bits in stored.items():
            yield self.row(maps, name, bits / total, {}, fixed=False)

    def _fixed(self, maps: str, names: Sequence[str]) -> Iterator[Row]:
        plain = {"truncation": _truncated, "linear": linear, "companded": companded}
        sizes = self.plan.bits
        for done, k in enumerate(sizes):
            self.tell(f"{maps} fixed rate", done, len(sizes))
            counts = {name: self.profiles[name].counts for name in names}
            for code, make in plain.items():
                made = {n: make(c, k, self.network.zero[n]) for n, c in counts.items()}
                yield self.row(maps, code, k, made)
            for code, fit in FITTED.items():
                yield self.row(maps, code, k, {n: self.fitted[n][fit][k] for n in names})
            yield self.row(maps, "table, measured", k, self.tables(names, k))
        self.tell(f"{maps} fixed rate", len(sizes), len(sizes))

    @cached_property
    def fitted(self) -> dict[str, dict[Fit, dict[int, TableCode]]]:
        """Every map's learned tables."""
        found: dict[str, dict[Fit, dict[int, TableCode]]] = {}
        for name in self.sets["ALL"]:
            found[name] = fit_tables(self.profiles[name], self.plan.bits)
            self.tell("fit tables", len(found), len(self.sets["ALL"]))
        return found

    @cached_property
    def options(self) -> dict[str, list[Option]]:
        """Every table of each map, with its measured loss."""
        options = {}
        for name, fits in self.fitted.items():
            codes = (code for codes in fits.values() for code in codes.values())
            options[name] = of_fixed_rate(self.profiles[name], codes)
        return self.measured(options, "measure codes")

    @cached_property
    def _options(self) -> dict[str, list[Option]]:
        """Every way to store each map, with its measured loss: tables, and these behind masks."""
        masks: dict[str, list[Option]] = {}
        for name, profile in self.profiles.items():
            if _zeros(profile) > 0.25:  # a mask pays only then
                masks[name] = [
                    option
                    for price in self.plan.mask_prices
                    for option in masked_options(profile, self.plan.masks, price)
                ]
        found = self.measured(masks, "measure masks") if any(masks.values()) else {}
        return {name: [*several, *found.get(name, ())] for name, several in self.options.items()}

    def measured(
        self, options: Mapping[str, Sequence[Option]], label: str
    ) -> dict[str, list[Option]]:
        """Return options with the losses measured on the first of the held-out crops."""
        return measured(
            self.network, options, self.held[: self.plan.measured],
            tell=lambda done, total: self.tell(label, done, total),
        )  # fmt: skip

    def tables(self, names: Sequence[str], k: int) -> dict[str, TableCode]:
        """Return for each map the table of a size that measured the least loss."""
        return {n: self._best(n, k).code for n in names}

    def _best(self, name: str, k: int) -> Option:
        several = [option for option in self.options[name] if option.code.bits == k]
        return min(several, key=lambda option: option.loss)

    def pair_rows(self, maps: str) -> Iterator[Row]:
        """Yield codes of two channels together, of one set of maps."""
        names = self.sets[maps]
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

    def _chosen(self) -> Iterator[Row]:
        wanted = self._wanted()
        for done, (name, most) in enumerate(wanted):
            self.tell("ALL chosen per map", done, len(wanted))
            choice = self._choice(name, most)
            masked = _masked(choice)
            bits = self._mean_bits(choice.codes, masked) if name == MASKED else choice.bits
            yield self.row("ALL", name, bits, choice.codes, fixed=not masked)
        self.tell("ALL chosen per map", len(wanted), len(wanted))

    def _wanted(self) -> list[tuple[str, float]]:
        return [(FIXED, most) for most in self.plan.fixed] + [
            (MASKED, most) for most in self.plan.masked
        ]

    def _choice(self, name: str, most: float) -> Choice:
        """Return the best choice of some mean rate, from unlabelled crops alone."""
        options = {
            n: [o for o in several if name == MASKED or not o.masked]
            for n, several in self._options.items()
        }
        return pick_at_most(options, self.values, most, self.groups)

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
        jobs: list[tuple[str, str, float, dict[str, TableCode], set[str]]] = []
        for maps, several in self.plan.tuned.items():
            jobs += [(maps, "table", k, self.tables(self.sets[maps], k), set()) for k in several]
        wanted = [(FIXED, most) for most in self.plan.tuned_fixed]
        wanted += [(MASKED, most) for most in self.plan.tuned_masked]
        for name, most in wanted:
            choice = self._choice(name, most)
            jobs.append(("ALL", name, choice.bits, choice.codes, _masked(choice)))
        for maps, what, bits, start, mask in jobs:
            # few maps can move their thresholds too, and fast
            how = recipe if maps == "SQ2" else replace(recipe, **GENTLY)
            label = f"{maps} {what} {bits:.3g}, tuned"
            tuned = tune(
                self.network, start, self.crops, self.held, how,
                lambda step, now, label=label: self.tell(label, step, self.steps),
            )  # fmt: skip
            stored = self._mean_bits(tuned.codes, mask, tuned.network) if mask else bits
            yield self.row(
                maps, f"{what}, tuned", stored, tuned.codes, fixed=not mask,
                network=tuned.network, step=tuned.step,
            )  # fmt: skip


def _masked(choice: Choice) -> set[str]:
    return {name for name, option in choice.options.items() if option.masked}


def _truncated(counts: torch.Tensor, bits: int, zero_point: int = 0) -> TableCode:
    return truncation(len(counts), bits)


def _zeros(profile: Profile) -> float:
    """Return the share of zeros among a map's values."""
    return float(profile.counts[:, 0].sum() / profile.counts.sum())
