"""Average pools that leave padding out of the mean: how many values each window counts.

PyTorch leaves out the padding with ``count_include_pad=False``, and in ceil mode always what lies
beyond it. So windows at the edges are divided by fewer values than those inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .network import AveragePool

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class Counts:
    """Values counted by the window of output pixel (y, x): rows[y] x columns[x]."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def distinct(self) -> list[int]:
        """Different products, ascending."""
        return sorted({a * b for a, b in product(set(self.rows), set(self.columns))})

    def segments(self) -> list[range]:
        """Return the longest runs of output columns that count the same."""
        found, first = [], 0
        for _, run in groupby(self.columns):
            count = len(list(run))
            found.append(range(first, first + count))
            first += count
        return found


def counts_of(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, left_out: Padding
) -> Counts:
    """Return what the windows of a pool count.

    Parameters
    ----------
    size, kernel, stride : (int, int)
        Vertical, horizontal.
    padding : (int, int, int, int)
        Top, left, bottom, right.
    left_out : (int, int, int, int)
        Outermost rows and columns of the padding that are not counted.
    """
    axes = []
    for axis, (n, k, s) in enumerate(zip(size, kernel, stride, strict=True)):
        before, after = padding[axis], padding[axis + 2]
        low, high = left_out[axis] - before, n + after - left_out[axis + 2]
        starts = range(-before, n + after - k + 1, s)
        axes.append(tuple(min(at + k, high) - max(at, low) for at in starts))
    return Counts(*axes)


def check_counts(layer: AveragePool, counts: Counts) -> None:
    """Check that a pool has a requantiser for every number of values its windows count.

    Raises
    ------
    ValueError
        Naming the layer and what it must have.
    """
    if not all(0 <= out <= pad for out, pad in zip(layer.left_out, layer.padding, strict=True)):
        raise ValueError(
            f"layer {layer.name!r}: left_out must be within the padding {layer.padding}, "
            f"not {layer.left_out}"
        )
    if min(counts.distinct, default=1) < 1:
        raise ValueError(f"layer {layer.name!r}: a window counts no value at all")
    want = [count for count in counts.distinct if count != layer.kernel[0] * layer.kernel[1]]
    if [count for count, _ in layer.edges] != want:
        raise ValueError(
            f"layer {layer.name!r}: edges must have requantisers of windows that count {want} "
            f"values, not {[count for count, _ in layer.edges]}"
        )
    clamp = (layer.requantiser.lo, layer.requantiser.hi)
    if any(edge.slope or (edge.lo, edge.hi) != clamp for _, edge in layer.edges):
        raise ValueError(f"layer {layer.name!r}: edges must be clamped as the rest, without slope")
