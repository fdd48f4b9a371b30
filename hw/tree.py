"""Sums as balanced adder trees, and multiples by a constant."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Const, Value


def tree_sum(values: Sequence[Value]) -> Value:
    """Add values pairwise, so that widths grow by one bit per level and not per value.

    Raises
    ------
    ValueError
        If there is nothing to add.
    """
    level = list(values)
    if not level:
        raise ValueError("tree_sum needs at least one value")
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def times(value: Value, factor: int) -> Value:
    """Multiply by a constant with shifts and additions alone."""
    terms = [value << bit for bit in range(factor.bit_length()) if factor >> bit & 1]
    return tree_sum(terms) if terms else Const(0)
