"""The adder tree of an array circuit."""

from __future__ import annotations

import numpy as np
import pytest

from shiftwork.hw.arrays.tree import compress

from .gates import Evaluator, from_bits


@pytest.mark.parametrize("rows", [1, 2, 3, 16])
@pytest.mark.parametrize("late", [False, True])
def test_it_adds(rows: int, late: bool) -> None:
    rng = np.random.default_rng(rows)
    terms = rng.integers(0, 1 << 14, (rows, 500))
    before = rng.integers(0, 1 << 20, 500) * late
    bits = [(j, (row >> j & 1).astype(bool)) for row in terms for j in range(14)]
    last = [(j, (before >> j & 1).astype(bool)) for j in range(20)] if late else []
    result = compress(Evaluator(), bits, last, 24)  # type: ignore[arg-type]
    got = from_bits([bit if isinstance(bit, np.ndarray) else np.zeros(500, bool) for bit in result])
    assert len(result) == 24
    assert np.array_equal(got, terms.sum(axis=0) + before)


def test_a_bit_less_for_each_full_adder() -> None:
    gates = Evaluator()
    bits = [(j, np.zeros(1, bool)) for _ in range(16) for j in range(14)]
    last = [(j, np.zeros(1, bool)) for j in range(27)]
    compress(gates, bits, last, 27)  # type: ignore[arg-type]
    # Each takes away one of the 16 x 14 + 27 bits, the topmost two: its carry is not needed.
    assert gates.count["full_adder"] == 16 * 14 + 27 - 27 - 1
    assert gates.count["half_adder"] <= 14


def test_late_bits_pass_one_adder_only() -> None:
    """A late bit is an input of the last adder of its position."""
    reach: list[int] = []

    class Depth(Evaluator):
        def full_adder(self, a: int, b: int, c: int) -> tuple[int, int]:  # type: ignore[override]
            reach.append(sum(value >= 100 for value in (a, b, c)))
            return (a | b | c) % 100, 0

        def half_adder(self, a: int, b: int) -> tuple[int, int]:  # type: ignore[override]
            reach.append(sum(value >= 100 for value in (a, b)))
            return (a | b) % 100, 0

    early = [(j, 1) for _ in range(9) for j in range(6)]
    compress(Depth(), early, [(j, 100) for j in range(12)], 12)  # type: ignore[arg-type]
    assert max(reach) == 1
    assert sum(reach) >= 8  # positions above the early bits and their carries need no adder
