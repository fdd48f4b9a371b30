"""What a code picks from an activation: every code and every activation, in both circuits."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from shiftwork.hw.config import Arithmetic, EngineConfig, Select
from shiftwork.hw.digits import code_of, inverted
from shiftwork.hw.terms import active_layout, decode, pick, pick_fresh, pick_late


def term_of(config: EngineConfig, code: int, x: int) -> int:
    """The term that stands for sign(code) x 2^(M - |code|), with its constant added."""
    if code == 0:
        return 0
    k = config.magnitudes - abs(code)
    constant = ((1 << config.act_bits) - 1) << k
    return x << k if code > 0 else constant - (x << k)


@pytest.mark.parametrize("select", ["shifter", "mux"])
@pytest.mark.parametrize(
    ("act_bits", "code_bits"),
    [(2, 2), (2, 3), (3, 2), (4, 3), (3, 4), (5, 4), (2, 5), (8, 3), (8, 4)],
)
def test_every_code_and_activation(select: Select, act_bits: int, code_bits: int) -> None:
    config = EngineConfig(act_bits=act_bits, code_bits=code_bits, select=select)
    top = config.magnitudes
    wanted = {
        (code, x): term_of(config, code, x)
        for code in range(-top, top + 1)
        for x in range(1 << act_bits)
    }
    check(config, wanted)
    assert max(wanted.values()).bit_length() == config.term_bits


def check(config: EngineConfig, wanted: dict[tuple[int, int], int]) -> None:
    """Compare what codes pick from activations with what they should."""
    m = Module()
    x, code = Signal(config.act_bits), Signal(config.code_bits)
    active = Signal(active_layout(config))
    m.d.comb += active.as_value().eq(decode(config, code))
    term = pick(m, config, x, active, "term")
    late = pick_late(m, config, x, active, 1)
    serial = config.arithmetic == "shift" and config.select == "shifter"
    fresh = pick_fresh(m, config, x, code, 2) if serial else term
    assert len(term) == len(late) == len(fresh) == config.term_bits

    async def testbench(ctx: Any) -> None:
        before = None  # the term of the cycle before, mostly with another code
        for (number, value), want in Random(3).sample(list(wanted.items()), len(wanted)):
            ctx.set(code, number & (1 << config.code_bits) - 1)
            ctx.set(x, value)
            assert ctx.get(term) == ctx.get(fresh) == want, (number, value)
            assert before is None or ctx.get(late) == before, (number, value)
            await ctx.tick()
            before = want

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def wanted_of(
    config: EngineConfig, weights: Sequence[int], activations: Sequence[int]
) -> dict[tuple[int, int], int]:
    """Return what a lane adds: w x and, for what is inverted of w, as many times 2^A - 1."""
    bits, top = config.code_bits, (1 << config.act_bits) - 1
    each = np.array(weights)
    codes, minus = code_of(each, bits).tolist(), inverted(each, bits).tolist()
    return {
        (code, x): w * x + over * top
        for w, code, over in zip(weights, codes, minus, strict=True)
        for x in activations
    }


@pytest.mark.parametrize(("arithmetic", "act_bits"), [("int4", 2), ("int4", 8), ("int8", 3)])
def test_every_integer_weight_and_activation(arithmetic: Arithmetic, act_bits: int) -> None:
    config = EngineConfig(arithmetic=arithmetic, act_bits=act_bits)
    top, half = (1 << act_bits) - 1, 1 << (config.code_bits - 1)
    wanted = wanted_of(config, range(-half, half), range(top + 1))
    assert len(wanted) == 2 * half * (top + 1)  # no two weights have one code
    check(config, wanted)
    assert min(wanted.values()) == 0
    assert max(wanted.values()) == config.term_max


def test_random_int8_weights_and_the_extremes() -> None:
    config, rng = EngineConfig(arithmetic="int8"), Random(1)
    weights = [-128, -127, -1, 0, 1, 127, *(rng.randint(-128, 127) for _ in range(200))]
    check(config, wanted_of(config, weights, [0, 255, *(rng.randint(0, 255) for _ in range(3))]))


@pytest.mark.parametrize("arithmetic", ["shift", "int8", "int4"])
def test_the_code_of_a_shift_picks_the_shifted_activation(arithmetic: Arithmetic) -> None:
    config = EngineConfig(arithmetic=arithmetic)
    check(config, {
        (config.shift_code(shift), x): x << shift
        for shift in range(config.shift_max + 1)
        for x in (0, 1, 170, 255)
    })  # fmt: skip


@pytest.mark.parametrize("select", ["shifter", "mux"])
def test_the_held_form_is_no_wider_than_it_must_be(select: Select) -> None:
    widths = [active_layout(EngineConfig(code_bits=b, select=select)).size for b in (2, 3, 4, 5)]
    assert widths == ([2, 3, 4, 5] if select == "mux" else [2, 4, 5, 6])
