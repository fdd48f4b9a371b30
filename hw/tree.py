"""Balanced adder trees."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Value


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
