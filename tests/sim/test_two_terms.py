"""Engines whose lanes take two terms at once: whole networks on both simulators."""

from __future__ import annotations

import pytest

from shiftwork.hw.config import EngineConfig, preset
from shiftwork.sim.scoreboard import FAST, SLOW, Latency
from tests.networks import NetworkBuilder

from .test_engine import run

TINY = preset("tiny").replace(lane_terms=2, max_terms=4, hold=16, max_fan_in=64)


def every_number_of_terms(config: EngineConfig) -> NetworkBuilder:
    """A network of layers of 1 to 4 terms per weight, with all that runs in one pass between."""
    b, bits = NetworkBuilder(6, 5, 9, 7, 128), config.code_bits
    b.conv(6, (3, 3), padding=(1, 1, 1, 1), terms=4, bits=bits, zero_point=128)
    left = b.depthwise((3, 3), padding=(1, 1, 1, 1), terms=3, bits=bits)
    right = b.conv(6, terms=2, bits=bits, zero_point=128)
    b.add(left, right, (0, config.shift_max), zero_point=128)
    b.max_pool((2, 2), (1, 1))
    b.conv(7, (2, 3), (2, 1), terms=1, bits=bits)
    b.upsample()
    b.conv(9, (2, 2), terms=2, bits=2)
    b.average_pool((2, 2), (2, 2))
    b.conv(5, terms=3, bits=bits)
    return b


@pytest.mark.parametrize(
    ("bits", "simulator", "latency"),
    [
        (3, "icarus", SLOW),
        (4, "icarus", FAST),
        pytest.param(3, "verilator", FAST, marks=pytest.mark.slow),
        pytest.param(4, "verilator", SLOW, marks=pytest.mark.slow),
    ],
)
def test_every_number_of_terms(bits: int, simulator: str, latency: Latency, verilog) -> None:
    config = TINY.replace(name=f"two_b{bits}", code_bits=bits)
    builder = every_number_of_terms(config)
    run(builder.build(), builder.picture(), config, verilog(config), simulator, latency)
