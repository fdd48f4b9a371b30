# amaranth: UnusedElaboratable=no
"""Threshold layers: bits of weighted sums, of all shapes, with stalls, at the rate they state."""

from random import Random
from typing import Any

import numpy as np
import pytest

from shiftwork.hw.codec.threshold_layer import ThresholdLayer
from shiftwork.hw.codec.threshold_rows import RowLayout

from ..bench import count_high, holds, simulate, sink, source
from .plane_bench import integer, outputs_of, random_word, rows_of, write

#: inputs, outputs, groups, cycles, sets, bits of a weight, bits that are written at a time
SHAPES = [
    (128, 8, 1, 1, 1, 2, 128),
    (128, 8, 1, 4, 2, 2, 128),
    (24, 12, 3, 2, 1, 2, 16),
    (6, 4, 2, 2, 4, 2, 5),
    (1, 1, 1, 1, 1, 2, 2),
    (9, 4, 1, 4, 16, 2, 16),
    (20, 4, 2, 2, 1, 8, 32),
    (7, 8, 1, 4, 16, 4, 16),
]


def layer_of(shape: tuple[int, ...]) -> ThresholdLayer:
    inputs, outputs, groups, cycles, sets, weight_bits, data_bits = shape
    return ThresholdLayer(
        inputs, outputs, groups=groups, cycles=cycles, sets=sets, weight_bits=weight_bits,
        data_bits=data_bits,
    )  # fmt: skip


def wanted(
    dut: ThresholdLayer, bits: list[int], weights: np.ndarray, thresholds: np.ndarray
) -> int:
    """Return the outputs of a word, group by group."""
    inputs, outputs = dut.inputs // dut.groups, dut.outputs // dut.groups
    found: list[int] = []
    for group in range(dut.groups):
        own = slice(group * outputs, (group + 1) * outputs)
        part = bits[group * inputs : (group + 1) * inputs]
        found += outputs_of(part, weights[own], thresholds[own])
    return integer(found)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_of_words(shape: tuple[int, ...], stall: float) -> None:
    rng = Random(sum(shape))
    dut = layer_of(shape)
    inputs = dut.inputs // dut.groups
    numbers = np.random.default_rng(sum(shape))
    top = (1 << dut.layout.weight_bits - 1) - 1
    weights = numbers.integers(-top, top + 1, (dut.sets, dut.outputs, inputs))
    middle = weights.sum(2).min(0) // 2  # somewhere within what sums are
    thresholds = middle + numbers.integers(-2 * top, 2 * top + 1, dut.outputs)
    # never and always reached; all weights of one kind; just reached and just not
    weights[0, 0] = -top
    thresholds[0] = rng.choice([1, -inputs * top])
    thresholds[-1] = rng.choice([inputs * top + 1, -inputs * top - 1, 10_000, -10_000])
    words = [[0] * dut.inputs, [1] * dut.inputs]
    words += [random_word(rng, dut.inputs) for _ in range(60)]
    given, want = [], []
    for bits in words:
        chosen = rng.randrange(dut.sets)
        given.append({"bits": integer(bits), "set": chosen})
        found = wanted(dut, bits, weights[chosen], thresholds)
        want.append(dut.o.payload.shape().const({"bits": found, "set": chosen}))

    async def fill_and_run(ctx: Any) -> None:
        await write(ctx, dut, rows_of(dut, weights, thresholds))
        await source(dut.i, given, rng=Random(1), stall=stall)(ctx)

    simulate(
        dut,
        fill_and_run,
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize(("cycles", "rows"), [(1, 1), (4, 4), (4, 64)])
def test_the_rate_is_a_word_in_as_many_cycles(cycles: int, rows: int) -> None:
    dut = ThresholdLayer(64, 8, cycles=cycles, sets=rows // cycles)
    taken: list[int] = []
    came: list[int] = []

    async def take(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        await source(dut.i, [{"bits": n, "set": 0} for n in range(20)])(ctx)
        for _ in range(30):
            await ctx.tick()

    simulate(dut, take, background=[
        count_high(dut.i.valid & dut.i.ready, taken), count_high(dut.o.valid, came),
    ])  # fmt: skip
    assert len(taken) == len(came) == 20
    assert taken[-1] - taken[0] == came[-1] - came[0] == 19 * cycles
    assert came[0] - taken[0] == dut.latency


def test_a_row_is_signs_and_magnitudes_and_a_raised_threshold() -> None:
    layout = RowLayout(5, 2, 4)
    assert layout.part_bits == [4, 4, 2, 3] and layout.bits == 13
    row = layout.row(np.array([1, 0, -1, -1, 1]), 1)
    assert row == [0b0001, 0b1111, 0b01, 3]
    assert layout.row(np.array([1, 0, -1, -1, 1]), -3)[-1] == 0  # -2 is reached by every word
    assert layout.row(np.array([1, 0, -1, -1, 1]), 9)[-1] == 6  # by none
    wide = RowLayout(2, 8, 16)
    assert wide.row(np.array([-127, 5], np.int8), -100) == [5 << 8 | 0xFF, 27]


def test_what_they_cannot_be() -> None:
    for arguments, name in (
        ({"groups": 3}, "groups must divide 8 inputs and 4 outputs, 3"),
        ({"cycles": 3}, "cycles must be a power of two"),
        ({"cycles": 8}, "cycles .* divides the 4 outputs"),
        ({"sets": 3}, "sets must be a power of two, not 3"),
        ({"weight_bits": 9}, r"weight_bits must be 2\.\.8, not 9"),
        ({"data_bits": 3}, "data_bits must be 4 or more"),
    ):
        with pytest.raises(ValueError, match=name):
            ThresholdLayer(8, 4, **arguments)
    with pytest.raises(ValueError, match=r"weights must be -1\.\.1, not 2"):
        RowLayout(2).row(np.array([0, -2]), 0)
    with pytest.raises(ValueError, match="a row has 2 weights"):
        RowLayout(2).row(np.array([0]), 0)
    with pytest.raises(ValueError, match="1 or more inputs"):
        RowLayout(0)
