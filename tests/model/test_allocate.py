"""Blocks that live together lie apart; no placement is below what lives at once."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model.allocate import Hold, allocate, most_live

holds = st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(1, 9)).map(
    lambda each: Hold(each[0], each[0] + each[1], 64 * each[2])
)
blocks = st.lists(st.lists(holds, min_size=1, max_size=3), min_size=1, max_size=9)


def apart(one: Hold, at: int, other: Hold, there: int) -> bool:
    return at + one.size <= there or there + other.size <= at


@given(blocks)
@settings(deadline=None, max_examples=200)
def test_what_is_held_at_once_lies_apart(blocks: list[list[Hold]]) -> None:
    offsets, size = allocate(blocks)
    for (one, at), (other, there) in combinations(zip(blocks, offsets, strict=True), 2):
        for a in one:
            for b in other:
                together = a.first < b.last and b.first < a.last
                assert not together or apart(a, at, b, there), (a, at, b, there)
    ends = [at + max(h.size for h in block) for block, at in zip(blocks, offsets, strict=True)]
    assert size == max(ends)
    assert all(at >= 0 and at % 64 == 0 for at in offsets)
    assert most_live(blocks) <= size <= sum(max(h.size for h in block) for block in blocks)


def test_a_step_may_write_what_it_has_read() -> None:
    chain = [[Hold(-1, 0, 64)], [Hold(0, 1, 128)], [Hold(1, 2, 192)], [Hold(2, 9, 64)]]
    offsets, size = allocate(chain)
    assert (offsets, size) == ([0, 0, 0, 0], 192)
    together = [[Hold(-1, 1, 64)], [Hold(0, 2, 128)]]
    assert allocate(together)[1] == most_live(together) == 192


def test_what_nobody_reads_still_has_its_place() -> None:
    offsets, size = allocate([[Hold(0, 9, 64)], [Hold(5, 5, 64)]])
    assert sorted(offsets) == [0, 64] and size == 128


def test_holds_of_one_block_start_at_one_address() -> None:
    grows = [Hold(0, 3, 64), Hold(2, 6, 256)]
    early, late = [Hold(0, 2, 192)], [Hold(3, 8, 64)]
    offsets, size = allocate([grows, early, late])
    assert size == 256 + 64
    assert offsets[0] == 0 and offsets[1] >= 64 and offsets[2] == 256
    assert most_live([grows, early, late]) == 256 + 64


@given(st.lists(holds, min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_near_the_best_of_all_orders(holds: list[Hold]) -> None:
    """First fit in some order is the best placement; three orders come within a third of it."""
    best = None
    for order in permutations(holds):
        placed: list[tuple[Hold, int]] = []
        for hold in order:
            taken = sorted(
                (at - hold.size, at + h.size)
                for h, at in placed
                if h.first < hold.last and hold.first < h.last
            )
            offset = 0
            for low, high in taken:
                if offset > low:
                    offset = max(offset, high)
            placed.append((hold, offset))
        size = max(at + h.size for h, at in placed)
        best = size if best is None else min(best, size)
    assert best is not None
    assert 3 * allocate([[hold] for hold in holds])[1] <= 4 * best
