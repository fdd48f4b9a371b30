"""Requantise against the contract's formula: extremes, then seeded random with stalls."""

from random import Random

import pytest

from shiftwork.hw.config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, RIGHT_SHIFT_MAX, EngineConfig
from shiftwork.hw.record import pack_record, pack_slope
from shiftwork.hw.requantise import Requantise
from tests.hw.bench import listen, rests, simulate, source

Channel = tuple[int, int, tuple[int, ...], tuple[int, ...], int]  # acc, bias, sign, shift, right


Slope = tuple[tuple[int, int], ...]  # (sign, shift) of each term of k


def formula(channel: Channel, lo: int, hi: int, slope: Slope = (), zero: int = 0) -> int:
    acc, bias, sign, shift, right = channel
    multiplier = sum(s << k for s, k in zip(sign, shift, strict=True))
    half = (1 << right) >> 1
    value = (acc * multiplier + bias + half) >> right
    if slope and value < zero:
        depth = min(zero - value, 2048)
        value = zero - ((depth * sum(s << k for s, k in slope) + 64) >> 7)
    return min(max(value, lo), hi)


def extremes(config: EngineConfig) -> list[Channel]:
    top = (1 << config.acc_bits) - 1
    wide = (1 << BIAS_BITS - 1) - (1 << RIGHT_SHIFT_MAX - 1) - 5
    plus, minus, none = (1, 1, 1, 1), (-1, -1, -1, -1), (0, 0, 0, 0)
    big, small = (MULTIPLIER_SHIFT_MAX,) * 4, (0,) * 4
    channels: list[Channel] = [
        (top, 0, plus, big, RIGHT_SHIFT_MAX),
        (top, wide, plus, big, RIGHT_SHIFT_MAX),
        (top, -wide, minus, big, 1),
        (top, 0, none, small, 0),
        (0, 0, minus, big, 0),
        (200, 0, (1, 0, 0, 0), small, 0),
        (255, 0, (1, 0, 0, 0), small, 0),
        (0, 3, none, small, 1),
        (0, -3, none, small, 1),
        (1 << 15, 0, (1, 0, 0, 0), small, 8),
        ((1 << 16) - 128, 0, (1, 0, 0, 0), small, 8),
    ]
    return [(min(channel[0], top), *channel[1:]) for channel in channels]


def randomly(config: EngineConfig, rng: Random) -> Channel:
    right = rng.randint(0, RIGHT_SHIFT_MAX)
    sign = tuple(rng.choice([-1, 0, 1]) for _ in range(4))
    shift = tuple(rng.randint(0, MULTIPLIER_SHIFT_MAX) for _ in range(4))
    acc = rng.getrandbits(config.acc_bits) >> rng.randrange(config.acc_bits)
    product = acc * sum(s << k for s, k in zip(sign, shift, strict=True))
    # A bias that brings the result near the range, so that all bits matter.
    near = rng.choice([rng.randint(-64, 320), rng.randint(-3000, 3000)])
    bias = (near << right) + rng.getrandbits(right + 1) - product
    limit = (1 << BIAS_BITS - 1) - (1 << RIGHT_SHIFT_MAX - 1) - 5
    return acc, min(max(bias, -limit), limit), sign, shift, right


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", [
    EngineConfig(), EngineConfig(requantise_lanes=2), EngineConfig(rows=1, cols=1, act_bits=5),
    EngineConfig(max_fan_in=1, code_bits=2, max_terms=1),
    EngineConfig(leaky=True, requantise_lanes=2),
    EngineConfig(pipeline="shallow"), EngineConfig(pipeline="shallow", leaky=True),
], ids=["one", "two", "five_bits", "narrow", "leaky", "shallow", "shallow_leaky"])  # fmt: skip
def test_equals_the_formula(config: EngineConfig, stall: float) -> None:
    rng = Random(3)
    lanes, peak = config.requantise_lanes, (1 << config.act_bits) - 1
    first = extremes(config)
    first += [first[0]] * (len(first) % lanes)
    channels = first + [randomly(config, rng) for _ in range(600 * lanes)]
    beats, expected = [], []
    for index in range(0, len(channels), lanes):
        group = channels[index : index + lanes]
        lo = rng.choice([0, 0, rng.randint(0, peak)])
        hi = rng.choice([peak, peak, rng.randint(lo, peak)])
        slope: Slope = ()
        bend = {}
        if config.leaky:
            slope = rng.choice([(), ((1, 7),), ((1, 3), (1, 2), (1, 0)), ((1, 4), (-1, 1))])
            bend = {"slope": pack_slope(slope), "zero": rng.choice([0, 128, 255])}
        records = [int.from_bytes(pack_record(*c[1:]), "little") for c in group]
        beats.append({
            "acc": [c[0] for c in group],
            "record": [r & (1 << 78) - 1 for r in records],
            "lo": lo, "hi": hi, **bend,
        })  # fmt: skip
        expected.append([formula(c, lo, hi, slope, bend.get("zero", 0)) for c in group])
    dut = Requantise(config)
    got: list[list[int]] = []
    simulate(
        dut,
        source(dut.i, beats, rng=Random(4), stall=stall),
        listen(dut.o, len(expected), got),
        background=[rests(dut.o.valid, dut.o.payload)],
    )
    assert got == expected
    assert len({value for group in expected for value in group}) > min(100, peak)


@pytest.mark.parametrize(
    ("sign", "shift", "bias", "right", "named"),
    [
        ((1, 0, 0), (0, 0, 0), 0, 1, "4 terms"),
        ((2, 0, 0, 0), (0, 0, 0, 0), 0, 1, "-1, 0 or 1"),
        ((1, 0, 0, 0), (11, 0, 0, 0), 0, 1, "2^11"),
        ((1, 0, 0, 0), (0, 0, 0, 0), 1 << 47, 1, "48 bits"),
        ((1, 0, 0, 0), (0, 0, 0, 0), 0, 48, "right shift"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(sign, shift, bias, right, named) -> None:
    with pytest.raises(ValueError, match=named.replace("^", r"\^")):
        pack_record(bias, sign, shift, right)
