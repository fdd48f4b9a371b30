"""Activation scales: observers that see the float network run once over unlabelled pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch

from .graph import AddNode, ConcatNode, ConvNode, Graph, MaxPoolNode, UpsampleNode
from .network import ADD_SHIFT_MAX

SAMPLES = 200_000  # values kept per tensor and batch of calibration pictures
KEPT = 1_600_000  # values kept per tensor in all: twice as many are thinned to every second one
SEED = 0  # of which values are kept
HEADROOM = 1.25  # the output's range over its largest calibration value
PERCENTILE = 99.99  # share of |values| in percent that observer "percentile" does not clip

Observer = Literal["error", "max", "percentile"]
OBSERVERS: tuple[Observer, ...] = get_args(Observer)


@dataclass(frozen=True)
class TensorRange:
    """What calibration saw of one tensor, and what its grid makes of it.

    Attributes
    ----------
    name : str
    low, high : float
        Smallest and largest value of all pictures, in real units.
    frac_bits : int
        f of the chosen scale 2^-f.
    grid_low, grid_high : float
        Smallest and largest value the grid can hold.
    clipped : float
        Share of the values outside the grid, 0..1.
    sqnr : float
        Signal to quantisation noise in dB: 10 log10 (mean square of values / of their errors);
        infinite where there is no error.
    """

    name: str
    low: float
    high: float
    frac_bits: int
    grid_low: float
    grid_high: float
    clipped: float
    sqnr: float


@dataclass(frozen=True)
class Calibration:
    """Scales of all tensors and what was seen on the way.

    Attributes
    ----------
    frac_bits : dict[str, int]
        f by tensor name; the input's is the graph's.
    ranges : tuple[TensorRange, ...]
        In the order of execution, without the input.
    observer : str
    pictures : int
    """

    frac_bits: dict[str, int]
    ranges: tuple[TensorRange, ...]
    observer: str
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; an infinite ratio becomes None."""
        rows = [asdict(row) for row in self.ranges]
        for row in rows:
            row["sqnr"] = row["sqnr"] if math.isfinite(row["sqnr"]) else None
        return {
            "observer": self.observer,
            "pictures": self.pictures,
            "frac_bits": self.frac_bits,
            "tensors": rows,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """Return what :meth:`to_dict` made data of."""
        rows = [
            TensorRange(**row | {"sqnr": math.inf if row["sqnr"] is None else row["sqnr"]})
            for row in data["tensors"]
        ]
        return cls(data["frac_bits"], tuple(rows), data["observer"], data["pictures"])


class _Seen:
    """Values of one tensor: one drawn of every k, k doubling when there are too many.

    Drawn, because every k-th one would always be from the same columns of a map.
    """

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(SEED)
        self.parts: list[torch.Tensor] = []
        self.low, self.high = math.inf, -math.inf
        self.every = 1

    def add(self, values: torch.Tensor) -> None:
        low, high = values.aminmax()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        stride = max(1, values.numel() // SAMPLES) * self.every
        self.parts.append(self._thin(values, stride))
        if sum(len(part) for part in self.parts) > KEPT:
            self.parts = [self._thin(torch.cat(self.parts), 2)]
            self.every *= 2

    def _thin(self, values: torch.Tensor, stride: int) -> torch.Tensor:
        """Return one value of every ``stride`` neighbours."""
        stride = min(stride, values.numel())
        count = values.numel() // stride
        drawn = torch.randint(stride, (count,), generator=self.rng)
        return values[torch.arange(count) * stride + drawn]

    def values(self) -> torch.Tensor:
        return torch.cat(self.parts).double()


def observe(
    graph: Graph,
    batches: Iterable[torch.Tensor],
    bits: int = 8,
    *,
    observer: Observer = "error",
    fixed: dict[str, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run the float network once over pictures and choose each tensor's scale 2^-f.

    Tensors that a concatenation, a max pool or upsampling ties together share one f. The
    network's outputs are the exception: their largest values decide, so the f is the finest one
    that clips none. Where two addends would be more than ADD_SHIFT_MAX bits apart, the finer one
    becomes coarser.

    Parameters
    ----------
    graph : Graph
    batches : iterable of Tensor uint8 (B, C, H, W)
        Calibration pictures, already preprocessed; none of the pictures to be judged on. Read
        once; memory does not grow with their number.
    bits : int
        A, bits of a stored activation, 2..8.
    observer : "error" | "max" | "percentile"
        The f with the least squared rounding and clipping error; the finest f that clips nothing;
        or the finest one that clips no more than 0.01 % of the values.
    fixed : dict[str, int], optional
        f of tensors that is not to be chosen.
    progress : callable, optional
        Called with the number of pictures after each batch.

    Raises
    ------
    ValueError
        If there are no calibration pictures, the observer is unknown, or a value is NaN or
        infinite.
    """
    if observer not in OBSERVERS:
        raise ValueError(f"observer must be one of {', '.join(OBSERVERS)}, not {observer!r}")
    seen = {node.output: _Seen() for node in graph.nodes}
    pictures = 0
    for batch in batches:
        tensors = graph.run(batch)
        for name, found in seen.items():
            found.add(tensors[name].flatten())
            if not (math.isfinite(found.low) and math.isfinite(found.high)):
                raise ValueError(f"tensor {name!r} has values that are NaN or infinite")
        pictures += len(batch)
        if progress:
            progress(len(batch))
    if not seen or not pictures:
        raise ValueError("calibration needs at least one picture")
    signed = signed_tensors(graph)
    owner = tied_tensors(graph)
    members: dict[str, list[str]] = {}
    for name in (graph.input, *seen):
        members.setdefault(owner[name], []).append(name)
    chosen: dict[str, int] = {}
    for names in members.values():
        if graph.input in names:
            chosen |= dict.fromkeys(names, graph.frac_bits)
            continue
        values = torch.cat([seen[name].values() for name in names])
        low, high = stored_range(bits, not signed.isdisjoint(names))
        top, bottom = max(seen[name].high for name in names), min(seen[name].low for name in names)
        if not set(graph.outputs).isdisjoint(names):
            f = _finest(top * HEADROOM, bottom * HEADROOM, low, high)
        elif observer == "max":
            f = _finest(top, bottom, low, high)
        else:
            f = _CHOOSE[observer](values, low, high)
        chosen |= dict.fromkeys(names, f)
    _bring_addends_together(graph, chosen, [members[owner[name]] for name in owner])
    chosen |= fixed or {}
    ranges = tuple(
        _range(name, found, chosen[name], *stored_range(bits, name in signed))
        for name, found in seen.items()
    )
    return Calibration(chosen, ranges, observer, pictures)


def calibrate(graph: Graph, batches: Iterable[torch.Tensor], bits: int = 8) -> dict[str, int]:
    """Return each tensor's f with the least squared error: :func:`observe` without its table."""
    return observe(graph, batches, bits).frac_bits


def stored_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the smallest and the largest stored value less the zero point."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def _range(name: str, seen: _Seen, frac_bits: int, low: int, high: int) -> TensorRange:
    values = seen.values()
    scaled = (values * 2.0**frac_bits).round()
    noise = float((scaled.clamp(low, high) * 2.0**-frac_bits - values).square().mean())
    power = float(values.square().mean())
    sqnr = math.inf if noise == 0.0 else 10 * math.log10(power / noise) if power else -math.inf
    clipped = float(((scaled < low) | (scaled > high)).double().mean())
    step = 2.0**-frac_bits
    return TensorRange(
        name, seen.low, seen.high, frac_bits, low * step, high * step, clipped, sqnr
    )  # fmt: skip


def _finest(top: float, bottom: float, low: int, high: int) -> int:
    """Return the finest f whose grid low..high reaches from ``bottom`` to ``top``."""
    peak = max(top / high, bottom / low if low else 0.0)
    return math.floor(-math.log2(peak)) if peak > 0 else 0


def _by_percentile(values: torch.Tensor, low: int, high: int) -> int:
    """Return the finest f that clips no more than 100 - PERCENTILE percent of the values."""
    spare = int(len(values) * (1 - PERCENTILE / 100))
    needs = torch.where(values > 0, values / high, values / low if low else values * 0.0)
    peak = float(needs.kthvalue(len(values) - spare).values)
    return math.floor(-math.log2(peak)) if peak > 0 else 0


def _by_error(values: torch.Tensor, low: int, high: int) -> int:
    """Return the f whose grid low..high has the least squared error on the values."""
    peak = float(values.abs().max())
    if peak == 0.0:
        return 0
    widest = math.floor(math.log2(high / peak))  # nothing is clipped
    errors = {}
    for f in range(widest - 1, widest + 5):
        grid = (values * 2.0**f).round().clamp(low, high) * 2.0**-f
        errors[f] = float((grid - values).square().mean())
    return min(errors, key=errors.__getitem__)


_CHOOSE = {"error": _by_error, "percentile": _by_percentile}


def _bring_addends_together(graph: Graph, chosen: dict[str, int], groups: list[list[str]]) -> None:
    """Lower f, with that of tied tensors, where an addend is too fine for the other."""
    tied = {name: names for names in groups for name in names}
    moved = True
    while moved:  # every step lowers an f that stays above another: it ends
        moved = False
        for node in graph.nodes:
            if not isinstance(node, AddNode):
                continue
            coarse, fine = sorted(node.inputs, key=chosen.__getitem__)
            limit = chosen[coarse] + ADD_SHIFT_MAX
            if chosen[fine] > limit and graph.input not in tied[fine]:
                chosen.update(dict.fromkeys(tied[fine], limit))
                moved = True


def signed_tensors(graph: Graph) -> set[str]:
    """Return the tensors that may be negative, and those that share a scale with such a one.

    Negative values come from a signed input and from convolutions and sums without plain ReLU.
    """
    signed = {graph.input} if graph.zero_point else set()
    owner = tied_tensors(graph)
    count = -1
    while len(signed) > count:
        count = len(signed)
        for node in graph.nodes:
            if isinstance(node, ConvNode | AddNode):
                negative = not node.relu or node.leak != 0.0
            else:
                negative = not signed.isdisjoint(node.inputs)
            if negative:
                signed.add(node.output)
        roots = {owner[name] for name in signed}
        signed |= {name for name, root in owner.items() if root in roots}
    return signed


def tied_tensors(graph: Graph) -> dict[str, str]:
    """Return for each tensor the representative of those that must share its scale."""
    owner = {name: name for name in (graph.input, *(node.output for node in graph.nodes))}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if isinstance(node, ConcatNode | MaxPoolNode | UpsampleNode):
            for name in node.inputs:
                owner[root(name)] = root(node.output)
    return {name: root(name) for name in owner}
