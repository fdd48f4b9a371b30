"""The emitted Verilog against the golden model: random layers, small networks, odd engines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftwork.hw.config import PRESETS, EngineConfig, preset
from shiftwork.hw.geometry import loads_outlast
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.fixed import Requantiser
from shiftwork.model.network import Conv, Network
from shiftwork.sim.result import SimResult
from shiftwork.sim.scoreboard import FAST, SLOW, Latency, simulate
from tests.networks import NetworkBuilder, dense_net, edge_pool, random_conv, u_net

# The layers of tests/model/test_golden.py with the fewest beats on 8 x 8 lanes: Icarus runs some
# thousand cycles per second.
SHORT_LAYERS = (180, 149, 31, 67, 47, 52, 183, 46, 190, 62, 160, 166, 123, 165, 79, 177, 72, 164,
                121, 44, 42, 16, 7, 29, 162, 142, 176, 64, 100, 129)  # fmt: skip
LONGER_LAYERS = (88, 49, 93, 10, 159, 117, 136, 80, 60, 198)

ODD_ENGINES = {
    "one": EngineConfig(name="one", rows=1, cols=1, hold=8, buffer_words=1024),
    "odd": EngineConfig(name="odd", rows=3, cols=5, hold=7, buffer_words=512, burst_beats=4,
                        weight_fifo=4, select="mux"),
    "tall": EngineConfig(name="tall", rows=16, cols=4, hold=16, buffer_words=512,
                         requantise_lanes=4, burst_beats=16, weight_fifo=16),
    "wide": EngineConfig(name="wide", rows=2, cols=6, hold=12, buffer_words=512, bus_bits=128,
                         code_bits=5),
    "six": EngineConfig(name="six", rows=6, cols=2, hold=8, buffer_words=512, window=2,
                        burst_beats=16, weight_fifo=16),
    "many": EngineConfig(name="many", rows=9, cols=9, hold=8, buffer_words=512),
    "shallow": EngineConfig(name="shallow", rows=4, cols=4, hold=4, buffer_words=512, window=4,
                            leaky=True, requantise_lanes=4, burst_beats=16, weight_fifo=16,
                            pipeline="shallow"),
    "window4": EngineConfig(name="window4", rows=4, cols=4, hold=16, buffer_words=512, window=4,
                            leaky=True, burst_beats=16, weight_fifo=16),
    "int8": EngineConfig(name="int8", rows=3, cols=5, hold=8, buffer_words=512, burst_beats=8,
                         weight_fifo=8, arithmetic="int8", leaky=True),
    "int4": EngineConfig(name="int4", rows=12, cols=6, hold=16, buffer_words=512, window=2,
                         requantise_lanes=2, arithmetic="int4", act_bits=6, bus_bits=128),
    "window2": EngineConfig(name="window2", rows=8, cols=8, hold=32, buffer_words=512, window=2,
                            requantise_lanes=2, burst_beats=16, weight_fifo=16, act_bits=4),
}  # fmt: skip


def run(
    network: Network,
    x: torch.Tensor,
    config: EngineConfig,
    verilog: Path,
    simulator: str,
    latency: Latency = FAST,
) -> SimResult:
    """Simulate a whole network and check that every tensor is the golden model's."""
    want = golden.run(network, x, exact="integer")
    program = compile_network(network, config)
    result = simulate(
        program, config, verilog, {network.input: x[0]}, want, simulator, latency=latency, seed=3
    )
    assert result.ok, result.summary()
    outputs = (program.copies.get(plan.output, plan.output) for plan in program.layers)
    assert result.checked_bytes == sum(math.prod(network.tensors[name].shape) for name in outputs)
    return result


@pytest.mark.parametrize("seed", SHORT_LAYERS)
def test_random_layer_on_icarus(seed: int, verilog) -> None:
    network, x = random_conv(seed)
    run(network, x, preset("small"), verilog(preset("small")), "icarus")


@pytest.mark.parametrize("seed", LONGER_LAYERS)
def test_random_layer_on_verilator(seed: int, verilog) -> None:
    network, x = random_conv(seed)
    layer = network.layers[0]
    assert isinstance(layer, Conv)
    result = run(network, x, preset("small"), verilog(preset("small")), "verilator", SLOW)
    assert result.layers[0].counters["compute"] >= result.layers[0].ideal_cycles


def integers_of(config: EngineConfig) -> int | None:
    """The bits of its integer weights, None for powers of two."""
    return None if config.arithmetic == "shift" else config.code_bits


def every_layer(signed: bool = False, bits: int = 8, integers: int | None = None) -> NetworkBuilder:
    """A network of dense layers and pools, with holes in a concatenation, and N = 1 and 2."""
    middle = 1 << (bits - 1)
    b = NetworkBuilder(1, 3, 12, 11, middle if signed else 0, bits, integers)
    b.conv(10, (3, 3), (2, 2), terms=1, zero_point=middle)
    b.max_pool((3, 3), (2, 2), (0, 0, 1, 1))
    squeeze = b.conv(5)
    left = b.conv(9, source=squeeze, bits=3)
    right = b.conv(20, (3, 2), padding=(1, 0, 1, 1), source=squeeze)
    b.concat(left, right)
    b.max_pool((2, 2), (1, 1), (1, 1, 0, 0))
    b.conv(17, bits=2)
    b.global_average()
    return b


def every_separate_layer(
    bits: int, slope: float | None, integers: int | None = None
) -> NetworkBuilder:
    """A network of the layers that keep channels apart, signed, grouped ones, and a leaky ReLU."""
    middle = 1 << (bits - 1)
    b = NetworkBuilder(2, 1, 9, 6, middle, bits, integers)
    b.conv(5, (3, 5), (2, 1), (1, 2, 1, 2), zero_point=middle)
    left = b.depthwise((3, 3), padding=(1, 1, 1, 1))
    right = b.depthwise((5, 5), padding=(2, 2, 2, 2), terms=1)
    b.add(left, right, (2, 0), zero_point=middle)
    b.max_pool((3, 3), (2, 2), (1, 1, 1, 1))
    b.upsample()
    b.average_pool((3, 2), (1, 2), (1, 0, 1, 0))
    b.conv(6, (1, 2), slope=slope, zero_point=middle)
    b.depthwise((2, 2), channels=9, groups=3)
    b.depthwise((3, 3), dilation=(1, 2), padding=(2, 2, 2, 2))
    b.global_average()
    b.conv(5)
    return b


@pytest.mark.parametrize("name", ODD_ENGINES)
def test_layers_that_keep_channels_apart(name: str, verilog) -> None:
    config = ODD_ENGINES[name]
    slope = 0.1 if config.leaky else None
    builder = every_separate_layer(config.act_bits, slope, integers_of(config))
    run(builder.build(), builder.picture(), config, verilog(config), "icarus")


@pytest.mark.parametrize("latency", [FAST, SLOW], ids=["fast", "slow"])
@pytest.mark.parametrize("name", ODD_ENGINES)
def test_every_layer_kind_on_engines_of_odd_sizes(name: str, latency: Latency, verilog) -> None:
    config = ODD_ENGINES[name]
    builder = every_layer(True, config.act_bits, integers_of(config))
    if config.max_terms >= 3:
        builder.conv(6, terms=3)
    run(builder.build(), builder.picture(), config, verilog(config), "icarus", latency)


def test_a_bank_that_takes_longer_to_drain_than_the_watchdog_waits(verilog) -> None:
    config = EngineConfig(name="deep", rows=2, cols=8, hold=256, watchdog_bits=9)
    builder = NetworkBuilder(1, 2, 16, 16)
    builder.conv(16, terms=1)
    assert config.hold * config.cols // config.requantise_lanes > 1 << config.watchdog_bits
    run(builder.build(), builder.picture(), config, verilog(config), "icarus")


def test_words_that_take_longer_to_load_than_the_watchdog_waits(verilog) -> None:
    config = EngineConfig(name="dog", rows=2, cols=2, max_fan_in=256, watchdog_bits=6)
    assert loads_outlast(config) and not any(map(loads_outlast, PRESETS.values()))
    builder = NetworkBuilder(1, 2, 16, 16)
    builder.global_average()
    program = compile_network(builder.build(), config)
    assert program.descriptors()[0]["load_words"] == 16 * 16
    run(builder.build(), builder.picture(), config, verilog(config), "icarus")


@pytest.mark.parametrize("draw", [dense_net, u_net])
def test_networks_whose_tensors_are_copied(draw: Callable[[NetworkBuilder], None], verilog) -> None:
    """Parts of two concatenations, the picture as a part, sums of tensors with holes."""
    builder = NetworkBuilder(3, 4, 8, 6)
    draw(builder)
    config = preset("tiny")
    run(builder.build(), builder.picture(), config, verilog(config), "icarus", SLOW)


@pytest.mark.parametrize("bits", [2, 3])
def test_a_narrower_codebook_with_a_nearly_dead_channel(bits: int, verilog) -> None:
    """Right shifts near the limit: the engine's wider codebook takes none of its room."""
    builder = NetworkBuilder(4, 5, 6, 5)
    builder.conv(6, (2, 2), bits=bits, terms=2)
    builder.depthwise((2, 2), bits=bits)
    layer = builder.layers[0]
    assert isinstance(layer, Conv)
    scale = np.array([1e-30, 1e-14, 1e-12, 1e-9, 1e-3, 1e-2])
    dead = Requantiser.from_real(scale, np.array([200.0, 100.0, 50.0, -3.0, 60.0, 128.0]))
    assert int(dead.right.max()) >= 35
    builder.layers[0] = replace(layer, requantiser=dead)
    config = preset("small")
    run(builder.build(), builder.picture(), config, verilog(config), "icarus")


@pytest.mark.parametrize("name", ["odd", "tall", "window4"])
def test_a_mean_without_padding(name: str, verilog) -> None:
    """Runs of one count in each row, the map's rows further apart than a run is wide."""
    config = ODD_ENGINES[name]
    network = edge_pool((7, 6, 8), (3, 3), (2, 1), (1, 1, 1, 1), (1, 1, 1, 1), 128)
    x = torch.randint(0, 256, (1, 7, 6, 8), generator=torch.Generator().manual_seed(1))
    run(network, x.to(torch.uint8), config, verilog(config), "icarus", SLOW)


def test_both_simulators_take_the_same_cycles(verilog) -> None:
    config = preset("small")
    builder = every_layer()
    network, x = builder.build(), builder.picture()
    cycles = {
        s: run(network, x, config, verilog(config), s).cycles for s in ("icarus", "verilator")
    }
    assert cycles["icarus"] == cycles["verilator"]


def test_a_layer_too_large_for_the_buffer_is_cut_into_bands(verilog) -> None:
    config = ODD_ENGINES["tall"]
    builder = NetworkBuilder(7, 40, 30, 9)
    builder.conv(6, (3, 3), padding=(1, 1, 1, 1))
    builder.max_pool((3, 3), (2, 2))
    network = builder.build()
    program = compile_network(network, config)
    assert all(plan.descriptors > 1 for plan in program.layers)
    run(network, builder.picture(), config, verilog(config), "icarus")


def test_a_wrong_weight_is_found_and_named(verilog) -> None:
    """The comparison is about the Verilog: another program gives other bytes."""
    config = preset("small")
    builder = NetworkBuilder(9, 8, 6, 6)
    builder.conv(8, (3, 3))
    network, x = builder.build(), builder.picture()
    program = compile_network(network, config)
    image = bytearray(program.image)
    image[-32] ^= 0x11  # two codes of the last block
    damaged = type(program)(bytes(image), program.base, program.first_descriptor, program.size,
                            program.places, program.layers)  # fmt: skip
    want = golden.run(network, x, exact="integer")
    result = simulate(damaged, config, verilog(config), {network.input: x[0]}, want, "icarus",
                      waveform=False)  # fmt: skip
    assert not result.bit_exact
    assert {m.layer for m in result.mismatches} == {"conv0"}
    assert all(m.got != m.want for m in result.mismatches)
