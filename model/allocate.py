"""Memory for blocks that live for a while: those that never live together may share it.

Placing blocks that each live from one step to another is dynamic storage allocation, which is
NP-hard; placing the largest first, each at the lowest free address, comes within some per cent of
the best in practice (Pisarchyk and Lee, "Efficient memory management for deep neural net
inference", 2020, section 5.1). Three orders are tried here and the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hold:
    """The first ``size`` bytes of a block, held from step ``first`` to step ``last``.

    A step first reads and then writes: bytes that are read for the last time in the step in
    which others are first written may be the same.
    """

    first: int
    last: int
    size: int

    def meets(self, other: Hold) -> bool:
        """Whether both are held at once."""
        return self.first < other.last and other.first < self.last


Block = Sequence[Hold]  # that start at one address


def most_live(blocks: Sequence[Block]) -> int:
    """Return the most bytes held at once: no placement needs less.

    The holds of one block that are held together count as the largest of them.
    """
    steps = {hold.first for block in blocks for hold in block}
    return max(
        (
            sum(
                max((h.size for h in block if h.first <= step < h.last), default=0)
                for block in blocks
            )
            for step in steps
        ),
        default=0,
    )


def allocate(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """Return the offset of each block, and the bytes that all of them span.

    Bytes of different blocks that are held at once are apart. Offsets are sums of sizes, so they
    are multiples of whatever all sizes are multiples of.
    """
    orders: tuple[Callable[[Block], tuple[int, ...]], ...] = (
        lambda block: (-max(hold.size for hold in block),),
        lambda block: (-sum(hold.size * (hold.last - hold.first) for hold in block),),
        lambda block: (min(hold.first for hold in block), -max(hold.size for hold in block)),
    )
    best: tuple[list[int], int] | None = None
    for order in orders:
        found = _place(blocks, sorted(range(len(blocks)), key=lambda n: order(blocks[n])))
        if best is None or found[1] < best[1]:
            best = found
    assert best is not None
    return best


def _place(blocks: Sequence[Block], order: Sequence[int]) -> tuple[list[int], int]:
    """Place blocks in an order, each at the lowest offset where it meets no other."""
    flat = [(n, hold) for n in order for hold in blocks[n]]
    first = np.array([hold.first for _, hold in flat], np.int64)
    last = np.array([hold.last for _, hold in flat], np.int64)
    size = np.array([hold.size for _, hold in flat], np.int64)
    start = np.zeros(len(flat), np.int64)
    offsets = [0] * len(blocks)
    placed = 0
    for n in order:
        taken: list[tuple[int, int]] = []  # offsets between these would touch another hold
        for hold in blocks[n]:
            meet = (first[:placed] < hold.last) & (hold.first < last[:placed])
            below = start[:placed][meet]
            taken += zip((below - hold.size).tolist(), (below + size[:placed][meet]).tolist(),
                         strict=True)  # fmt: skip
        offset = 0
        for low, high in sorted(taken):
            if offset <= low:
                break
            offset = max(offset, high)
        offsets[n] = offset
        start[placed : placed + len(blocks[n])] = offset
        placed += len(blocks[n])
    return offsets, int((start + size).max(initial=0))
