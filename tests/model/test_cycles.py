"""The cycle model against the counters of the Verilog."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import EngineConfig, preset
from shiftwork.model import golden
from shiftwork.model.bus import Bus
from shiftwork.model.clock import Channel, Clock
from shiftwork.model.compile import compile_network
from shiftwork.model.cycles import predict_cycles
from shiftwork.model.network import Network
from shiftwork.sim.scoreboard import Latency, simulate
from tests.networks import NetworkBuilder

ENGINES = {
    "window4": EngineConfig(name="window4", rows=4, cols=4, hold=64, buffer_words=1024, window=4,
                            burst_beats=16, weight_fifo=16, requantise_lanes=2, leaky=True),
    "odd": EngineConfig(name="odd", rows=3, cols=5, hold=32, buffer_words=512, burst_beats=4,
                        weight_fifo=4),
    "wide": EngineConfig(name="wide", rows=8, cols=8, bus_bits=128, requantise_lanes=4),
    "shallow": EngineConfig(name="shallow", rows=4, cols=4, hold=64, buffer_words=1024, window=4,
                            burst_beats=16, weight_fifo=16, requantise_lanes=2, leaky=True,
                            pipeline="shallow"),
}  # fmt: skip


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rtl")
    return {name: emit(config, folder / name).verilog for name, config in ENGINES.items()}


def mixed() -> NetworkBuilder:
    """Many kinds of layers, some bound by loading, by weights, or by the drain."""
    b = NetworkBuilder(1, 3, 20, 18)
    b.conv(13, (3, 3), (2, 2), (1, 1, 1, 1))
    b.max_pool((3, 3), (2, 2), (0, 0, 1, 1))
    stem = b.conv(9, terms=1)
    left = b.conv(9, (3, 3), padding=(1, 1, 1, 1))
    b.add(stem, left)
    b.depthwise((3, 3), padding=(1, 1, 1, 1))
    b.upsample()
    b.conv(21, terms=1)
    b.global_average()
    b.conv(30)
    return b


SLOW = pytest.mark.slow
RUNS = [("window4", 8), ("wide", 50), ("shallow", 8), *(
    pytest.param(*run, marks=SLOW)
    for run in (("window4", 50), ("wide", 8), ("odd", 8), ("odd", 50))
)]  # fmt: skip


@pytest.mark.parametrize(("name", "delay"), RUNS)
def test_cycles_and_bytes_of_small_networks(name: str, delay: int, verilog) -> None:
    config, builder = ENGINES[name], mixed()
    network, x = builder.build(), builder.picture()
    program = compile_network(network, config)
    predicted = predict_cycles(program, config, read_latency=delay, write_latency=delay)
    result = simulate(
        program, config, verilog[name], {network.input: x[0]}, golden.run(network, x), "icarus",
        latency=Latency(read=delay, write=delay), waveform=False,
    )  # fmt: skip
    assert result.ok, result.summary()
    exact = ("compute", "read", "written")
    assert [predicted.totals[n] for n in exact] == [result.totals[n] for n in exact]
    assert predicted.bytes_read == result.totals["read"] * config.bus_bytes
    assert predicted.cycles == pytest.approx(result.totals["busy"], rel=0.03)
    for cause in ("wait_weights", "wait_load", "wait_drain"):
        near = 0.03 * result.totals["busy"]
        assert predicted.totals[cause] == pytest.approx(result.totals[cause], abs=near)
    assert [layer.name for layer in predicted.layers] == [plan.name for plan in program.layers]


def network() -> Network:
    builder = NetworkBuilder(5, 20, 30, 30)
    builder.conv(40, (3, 3))
    builder.conv(10)
    return builder.build()


def test_layers_add_up_and_compute_is_no_less_than_ideal() -> None:
    config = preset("base")
    program = compile_network(network(), config)
    predicted = predict_cycles(program, config)
    for plan, layer in zip(program.layers, predicted.layers, strict=True):
        assert layer.counters["compute"] >= plan.ideal_cycles
    for name, total in predicted.totals.items():
        assert sum(layer.counters[name] for layer in predicted.layers) == pytest.approx(
            total, abs=5
        )


def test_a_slower_memory_takes_longer_and_moves_the_same() -> None:
    config = preset("small")
    program = compile_network(network(), config)
    fast, slow = (
        predict_cycles(program, config, read_latency=delay, write_latency=delay)
        for delay in (0, 500)
    )
    assert slow.cycles > fast.cycles + 1000
    assert (slow.bytes_read, slow.bytes_written) == (fast.bytes_read, fast.bytes_written)


def test_a_negative_latency_is_refused() -> None:
    config = preset("small")
    with pytest.raises(ValueError, match="must be 0 or more, not -1 and 8"):
        predict_cycles(compile_network(network(), config), config, read_latency=-1)


def test_a_full_channel_waits_until_an_entry_is_dropped() -> None:
    clock = Clock()
    channel = Channel(clock, 1)
    times: list[tuple[str, int]] = []

    def producer():
        for _ in range(2):
            yield from channel.put("entry")
            times.append(("put", clock.now))

    def consumer():
        yield 5
        for _ in range(2):
            yield from channel.look()
            times.append(("look", clock.now))
            channel.drop()

    clock.start(producer())
    clock.start(consumer())
    assert clock.run() == 6
    assert times == [("put", 0), ("look", 5), ("put", 5), ("look", 6)]


def test_a_client_whose_fifo_is_full_leaves_the_bus_to_others() -> None:
    config = preset("tiny")
    clock = Clock()
    bus = Bus(clock, config, (16, 64), 8)
    ends: dict[int, int] = {}

    def ask(client: int, beats: int, take: bool):
        yield from bus.request(client, 0, beats)
        if take:
            yield from bus.take(client, beats)
            ends[client] = clock.now

    clock.start(ask(0, 64, False))
    clock.start(ask(1, 64, True))
    clock.run()
    assert bus.beats == 16 + 64
    assert 64 + 16 <= ends[1] <= 64 + 16 + 20
