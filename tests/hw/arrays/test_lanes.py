"""Every lane, with every weight and every activation, against the product."""

from __future__ import annotations

from itertools import product
from typing import Any, cast

import numpy as np
import pytest

from shiftwork.hw.arrays.circuits import CIRCUITS, Circuit
from shiftwork.hw.arrays.lanes import Lane, ShiftLane
from shiftwork.model.codebook import Codebook

from .gates import Evaluator, to_bits

GATED = [c for c in CIRCUITS.values() if not c.plain]
OTHERS = [
    Circuit(f"n{n}_b{b}_a{a}", "", ShiftLane(n, b, a))
    for n, b, a in [(1, 2, 8), (1, 5, 8), (3, 3, 4), (2, 4, 5)]
]


def weights_of(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Every weight, (N, weights), and the integers they stand for."""
    lane: Any = circuit.lane
    if not circuit.shifts:
        top = (1 << (lane.weight_bits - 1)) - 1
        integers = np.arange(-top, top + 1)
        return integers[None], integers
    book = Codebook(lane.terms, lane.code_bits)
    m = book.magnitudes
    codes = np.array(list(product(range(-m, m + 1), repeat=lane.terms))).T
    total = np.zeros(codes.shape[1], np.int64)
    for n, row in enumerate(codes):
        sizes = 2.0 ** np.array([0, *book.exponents(n + 1)])[np.abs(row)]
        total += (np.sign(row) * sizes * 2.0**book.fraction_bits).astype(np.int64)
    return codes, total


@pytest.mark.parametrize("circuit", [*GATED, *OTHERS], ids=lambda c: c.name)
def test_a_lane_adds_the_product_and_a_constant_of_the_weight(circuit: Circuit) -> None:
    lane = circuit.lane
    codes, integers = weights_of(circuit)
    x = np.arange(1 << lane.act_bits)[None, :]
    held = lane.hold(codes)
    assert held.min() >= 0
    assert held.max() >> lane.held_bits == 0
    bits = to_bits(np.broadcast_to(x, (len(integers), x.shape[1])), lane.act_bits)
    inverse = [~bit for bit in bits]
    got = np.zeros((len(integers), x.shape[1]), np.int64)
    assert not isinstance(lane, type(CIRCUITS["int8_plain"].lane))
    found = lane.bits(Evaluator(), bits, inverse, to_bits(held[:, None], lane.held_bits))  # type: ignore[union-attr]
    for position, bit in found:
        got += cast("np.ndarray", bit).astype(np.int64) << position
    assert np.array_equal(got, integers[:, None] * x + lane.constant(codes)[:, None])
    assert got.max() <= lane.top
    assert circuit.acc_bits == (4608 * lane.top).bit_length()


def test_a_shift_lane_has_no_adder_and_few_multiplexers() -> None:
    gates = Evaluator()
    lane: Lane = ShiftLane(1, 4)
    bits = [np.zeros(1, bool)] * 8
    found = lane.bits(gates, bits, bits, [np.zeros(1, bool)] * lane.held_bits)  # type: ignore[arg-type]
    assert gates.count == {"choose": 8, "mux": 21, "nor": 9, "nand": 4}
    assert sorted(position for position, _ in found) == list(range(14))
