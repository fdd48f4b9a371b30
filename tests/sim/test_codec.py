"""Engines with a codec: the emitted Verilog against the golden model, coded tensors and all."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.coded import with_codes
from shiftwork.model.compile import compile_network
from shiftwork.model.cycles import predict_cycles
from shiftwork.sim.fuzz_codes import random_code, random_codes
from shiftwork.sim.result import SimResult
from shiftwork.sim.scoreboard import FAST, SLOW, Latency, simulate
from tests.networks import NetworkBuilder

ENGINES = {
    "square": EngineConfig(name="square", rows=4, cols=4, hold=32, buffer_words=512, codec_bits=4,
                           codec_planes=16, burst_beats=8, weight_fifo=8),
    "wide": EngineConfig(name="wide", rows=4, cols=8, hold=9, buffer_words=512, window=2,
                         codec_bits=7, codec_planes=8, requantise_lanes=2, burst_beats=8,
                         weight_fifo=8),
    "tall": EngineConfig(name="tall", rows=16, cols=16, hold=32, buffer_words=512, window=4,
                         codec_bits=5, codec_planes=4, requantise_lanes=4, leaky=True),
    "odd": EngineConfig(name="odd", rows=5, cols=5, act_bits=6, hold=16, buffer_words=256,
                        bus_bits=128, codec_bits=3, codec_planes=8, burst_beats=4, weight_fifo=4),
}  # fmt: skip


def every_layer(bits: int) -> NetworkBuilder:
    """A network with holes in a concatenation, a sum, and layers that keep channels apart."""
    middle = 1 << (bits - 1)
    b = NetworkBuilder(2, 3, 9, 8, 0, bits)
    b.conv(7, (3, 3), (2, 1), padding=(2, 1, 0, 1), terms=1, zero_point=middle)
    b.max_pool((2, 2), (1, 1), (1, 0, 1, 1))
    squeeze = b.conv(5)
    left = b.conv(4, source=squeeze, bits=3, terms=1)
    right = b.conv(6, (3, 2), padding=(1, 0, 1, 1), source=squeeze, terms=1)
    b.concat(left, right)
    b.max_pool((2, 2), (2, 1), (1, 1, 0, 0))
    first = b.conv(6, bits=2)
    b.depthwise((3, 3), padding=(1, 1, 1, 1), terms=1)
    b.add(first, b.last)
    b.conv(6)
    return b


def run(
    builder: NetworkBuilder, config: EngineConfig, verilog: Path, latency: Latency = FAST,
    *, simulator: str = "icarus", share: float = 1.0, keep_all: bool = False,
) -> tuple[SimResult, int]:  # fmt: skip
    """Simulate a coded network, check every byte; return the result and the cycles predicted."""
    network, x = random_codes(builder.build(), config.codec_bits, 3, share), builder.picture()
    want = golden.run(network, x, exact="integer", written=True)
    program = compile_network(network, config, keep_all=keep_all)
    assert any(d["load_bits"] for d in program.descriptors())
    result = simulate(program, config, verilog, {network.input: x[0]}, want, simulator,
                      latency=latency, seed=4)  # fmt: skip
    assert result.ok, result.summary()
    predicted = predict_cycles(
        program, config, read_latency=latency.read, write_latency=latency.write
    )
    exact = ("compute", "read", "written")
    assert [predicted.totals[n] for n in exact] == [result.totals[n] for n in exact]
    return result, predicted.cycles


@pytest.mark.parametrize("name", ["square", "odd"])
def test_every_layer_kind(name: str, verilog) -> None:
    config = ENGINES[name]
    result, predicted = run(every_layer(config.act_bits), config, verilog(config))
    assert predicted == pytest.approx(result.totals["busy"], rel=0.05)


def test_lanes_without_channels_have_one_code(verilog) -> None:
    """A pool hands on what the holes of a concatenation held; its codes are known nevertheless."""
    config = ENGINES["square"]
    builder = NetworkBuilder(7, 3, 4, 5)
    left, right = builder.conv(3, terms=1), builder.conv(2, source="input", terms=1)
    joined = builder.concat(left, right)
    builder.max_pool((2, 2), (1, 1))
    builder.conv(4, terms=1)
    network, x = builder.build(), builder.picture()
    pooled = next(layer.output for layer in network.layers if layer.inputs == (joined,))
    network = with_codes(network, {pooled: random_code(Random(1), 5, 3)})
    program = compile_network(network, config)
    place = program.places[pooled]
    assert place.slots.tolist() == [0, 1, 2, 4, 5]
    want = golden.run(network, x, exact="integer", written=True)
    addresses, values = place.contents(want[pooled][0].numpy())
    assert all(value & 0x88 == 0x88 for value in values[::2])  # lane 3, two planes in a byte
    assert len(addresses) == 2 * 3 * 4 * 2
    result = simulate(program, config, verilog(config), {network.input: x[0]}, want, seed=4)
    assert result.ok, result.summary()


@pytest.mark.parametrize("bits", [1, 5])
def test_words_to_load_are_progress(bits: int, verilog) -> None:
    """Words of few beats, and tables, that take longer to load than the watchdog waits."""
    config = EngineConfig(name="dog", rows=4, cols=4, hold=256, buffer_words=1024, codec_bits=5,
                          codec_planes=1, watchdog_bits=6)  # fmt: skip
    builder = NetworkBuilder(5, 4, 16, 16)
    coded = builder.conv(4, terms=1)
    builder.global_average()
    network, x = builder.build(), builder.picture()
    network = with_codes(network, {coded: random_code(Random(1), 4, bits)})
    program = compile_network(network, config)
    last = program.descriptors()[-1]
    assert last["load_words"] == 256 and last["wait"] == len(program.descriptors()) - 1
    want = golden.run(network, x, exact="integer", written=True)
    result = simulate(program, config, verilog(config), {network.input: x[0]}, want, seed=4,
                      waveform=False)  # fmt: skip
    assert result.ok, result.summary()


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("latency", [FAST, SLOW], ids=["fast", "slow"])
@pytest.mark.parametrize("name", ENGINES)
def test_every_layer_kind_in_every_way(
    name: str, latency: Latency, share: float, verilog
) -> None:  # fmt: skip
    config = ENGINES[name]
    run(every_layer(config.act_bits), config, verilog(config), latency, share=share,
        keep_all=share < 1)  # fmt: skip


@pytest.mark.slow
def test_both_simulators_take_the_same_cycles(verilog) -> None:
    config = ENGINES["tall"]
    cycles = {
        name: run(every_layer(8), config, verilog(config), simulator=name)[0].cycles
        for name in ("icarus", "verilator")
    }
    assert cycles["icarus"] == cycles["verilator"]
