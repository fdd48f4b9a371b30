"""Tables that the left neighbour switches, as circuits hold them: plain data.

Each channel has S tables, and what is read back of the pixel to the left, in the same row, lies in
one of S ranges, which says which table is meant; the first pixel of a row goes by range 0. A
circuit never compares what is read back: beside each level the decoder holds the range it lies in.
The encoder needs no level: for every left range, what is read back rises with the value, so the
next range changes at S - 1 values at most. These *edges* of all left ranges, sorted, are a table
of S (S - 1) thresholds, and between two of them the next range depends on the left one alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

MOST = 4  # tables: of 8 the next ranges would not go into a byte


def range_bits(tables: int) -> int:
    """Return the bits of a range's number.

    Raises
    ------
    ValueError
        If there are not 2 or 4 tables.
    """
    if tables not in (2, MOST):
        raise ValueError(f"tables must be 2 or {MOST}, not {tables}")
    return tables.bit_length() - 1


def edge_bits(tables: int) -> int:
    """Return the stages of a search among the edges of so many ranges."""
    return (tables * (tables - 1)).bit_length()


def packed_ranges(
    limits: Sequence[int], levels: Sequence[int], act_bits: int = 8, ranges: int = MOST
) -> list[int]:
    """Return the ranges of levels, as many in a word as go into a value, the first lowest.

    Parameters
    ----------
    limits : sequence of int
        The thresholds that part the ranges.
    levels : sequence of int
    act_bits : int
        Bits of a value.
    ranges : int
        How many ranges there are, 2 or 4.
    """
    wide = range_bits(ranges)
    each = act_bits // wide
    numbers = [bisect_right(limits, level) for level in levels]
    return [
        sum(number << wide * n for n, number in enumerate(numbers[start : start + each]))
        for start in range(0, len(numbers), each)
    ]


def edges(
    limits: Sequence[int], thresholds: Sequence[Sequence[int]], levels: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]]:
    """Return a channel's edges, and what the next range is from each of them on.

    Parameters
    ----------
    limits : sequence of int
        The S - 1 thresholds that part the ranges.
    thresholds, levels : sequence of sequences of int
        Of each left range, sorted.

    Returns
    -------
    list of int
        2^`edge_bits` - 1 sorted values; the highest one repeats.
    list of int
        2^`edge_bits` words, for values that reach 0, 1, 2... edges: the next range for each left
        range, the first lowest.

    Raises
    ------
    ValueError
        If there are not 2 or 4 tables, or levels fall: the next range would change too often.
    """
    tables = len(thresholds)
    for left, of in enumerate(levels):
        if list(of) != sorted(of):
            raise ValueError(f"levels of left range {left} must not fall: sort them")
    wide = range_bits(tables)

    def following(value: int) -> int:
        return sum(
            bisect_right(limits, of[bisect_right(at, value)]) << wide * left
            for left, (at, of) in enumerate(zip(thresholds, levels, strict=True))
        )

    count = (1 << edge_bits(tables)) - 1
    values = sorted({t for at in thresholds for t in at})
    found = [t for t in values if t and following(t) != following(t - 1)]
    found += [max(found, default=0)] * (count - len(found))
    return found, [following(0), *(following(edge) for edge in found)]
