"""Engines that store maps without zeros: the emitted Verilog against the golden model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.descriptor import DESCRIPTOR_BYTES, ErrorCode, pack_descriptor
from shiftwork.model import golden
from shiftwork.model.coded import with_zeros_left_out
from shiftwork.model.compile import compile_network
from shiftwork.model.cycles import predict_cycles
from shiftwork.model.network import Conv, Network
from shiftwork.model.program import Program
from shiftwork.model.zeros import zero_groups
from shiftwork.sim.fault_bench import run_faults
from shiftwork.sim.faults import Fault, Faults
from shiftwork.sim.fuzz_codes import random_storage
from shiftwork.sim.result import SimResult
from shiftwork.sim.scoreboard import FAST, SLOW, Latency, simulate
from tests.networks import NetworkBuilder

from .test_codec import every_layer

ENGINES = {
    "square": EngineConfig(name="square", rows=4, cols=4, hold=32, buffer_words=512,
                           burst_beats=8, weight_fifo=8, zero_maps=True),
    "wide": EngineConfig(name="wide", rows=4, cols=8, hold=9, buffer_words=512, window=2,
                         codec_bits=4, codec_planes=8, requantise_lanes=2, burst_beats=8,
                         weight_fifo=8, zero_maps=True),
    "tall": EngineConfig(name="tall", rows=16, cols=16, hold=32, buffer_words=512, window=4,
                         requantise_lanes=4, leaky=True, zero_maps=True),
    "odd": EngineConfig(name="odd", rows=5, cols=5, act_bits=6, hold=16, buffer_words=256,
                        bus_bits=128, burst_beats=4, weight_fifo=4, zero_maps=True),
}  # fmt: skip


def small(bits: int) -> NetworkBuilder:
    """A network whose maps have odd sizes, and that is soon through."""
    b = NetworkBuilder(4, 3, 5, 7, 0, bits)
    squeeze = b.conv(5, terms=1)
    left = b.conv(4, (3, 3), padding=(1, 1, 1, 1), source=squeeze, bits=3, terms=1)
    right = b.conv(6, source=squeeze, terms=1)
    b.concat(left, right)
    b.conv(6, bits=2, terms=1)
    return b


def sparse(network: Network) -> Network:
    """Return the network with outputs of which about a half is 0."""
    layers = []
    for layer in network.layers:
        rq = getattr(layer, "requantiser", None)
        if rq is not None and layer.output != network.output and not rq.slope:
            bias = rq.bias - (int(rq.hi) << (rq.right.to(torch.int64) - 1).clamp(0))
            layer = replace(layer, requantiser=replace(rq, bias=bias, lo=0))  # type: ignore[type-var]
        layers.append(layer)
    return replace(network, layers=layers)


def run(
    network: Network, x: torch.Tensor, config: EngineConfig, verilog: Path,
    latency: Latency = FAST, *, simulator: str = "icarus", keep_all: bool = False,
) -> tuple[SimResult, int]:  # fmt: skip
    """Simulate a network, check every byte and what moves; return the cycles predicted, too."""
    want = golden.run(network, x, exact="integer", written=True)
    program = compile_network(network, config, keep_all=keep_all)
    result = simulate(program, config, verilog, {network.input: x[0]}, want, simulator,
                      latency=latency, seed=4)  # fmt: skip
    assert result.ok, result.summary()
    predicted = predict_cycles(
        program, config, read_latency=latency.read, write_latency=latency.write, tensors=want
    )
    exact = ("compute", "read", "written")
    assert [predicted.totals[n] for n in exact] == [result.totals[n] for n in exact]
    most = predict_cycles(program, config).totals
    assert all(most[n] >= result.totals[n] for n in exact)
    return result, predicted.cycles


def all_without_zeros(network: Network, config: EngineConfig) -> Network:
    return with_zeros_left_out(
        network, [name for group in zero_groups(network, config) for name in group]
    )


@pytest.mark.parametrize(("name", "latency"), [("square", FAST), ("odd", SLOW)])
def test_maps_are_smaller_and_exact(name: str, latency: Latency, verilog) -> None:
    config = ENGINES[name]
    builder = small(config.act_bits)
    network, x = sparse(builder.build()), builder.picture()
    less, cycles = run(all_without_zeros(network, config), x, config, verilog(config), latency)
    whole, _ = run(network, x, config, verilog(config), latency)
    assert less.totals["written"] < whole.totals["written"]
    if latency == FAST:
        assert cycles == pytest.approx(less.totals["busy"], rel=0.05)


def test_words_without_values_are_progress(verilog) -> None:
    """More words whose values are all 0 than the watchdog waits, stored and loaded again."""
    config = EngineConfig(name="dog", rows=4, cols=4, hold=128, buffer_words=1024, burst_beats=8,
                          weight_fifo=8, requantise_lanes=4, watchdog_bits=6,
                          zero_maps=True)  # fmt: skip
    builder = NetworkBuilder(4, 3, 3, 130)
    empty = builder.conv(4, (3, 3), terms=1)
    builder.conv(4, terms=1)
    network = all_without_zeros(builder.build(), config)
    layers = [
        replace(layer, requantiser=replace(layer.requantiser, hi=0))
        if isinstance(layer, Conv) and layer.output == empty else layer
        for layer in network.layers
    ]  # fmt: skip
    network, x = replace(network, layers=layers), builder.picture()
    assert network.zeros == (empty,)
    program = compile_network(network, config)
    assert program.descriptors()[0]["pixels"] > 1 << config.watchdog_bits
    want = golden.run(network, x, exact="integer", written=True)
    assert not want[empty].any()
    result = simulate(program, config, verilog(config), {network.input: x[0]}, want, "icarus",
                      latency=FAST, seed=4, waveform=False)  # fmt: skip
    assert result.ok, result.summary()


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("latency", [FAST, SLOW], ids=["fast", "slow"])
@pytest.mark.parametrize("name", ENGINES)
def test_every_layer_kind_in_every_way(
    name: str, latency: Latency, share: float, verilog
) -> None:  # fmt: skip
    config = ENGINES[name]
    builder = every_layer(config.act_bits)
    network = random_storage(builder.build(), config, 3, share)
    assert network.zeros
    run(network, builder.picture(), config, verilog(config), latency, keep_all=share < 1)


@pytest.mark.slow
def test_both_simulators_take_the_same_cycles(verilog) -> None:
    """On one picture: what is loaded, and so the cycles, depend on its zeros."""
    config = ENGINES["tall"]
    builder = every_layer(8)
    network, x = all_without_zeros(builder.build(), config), builder.picture()
    cycles = {
        name: run(network, x, config, verilog(config), simulator=name)[0].cycles
        for name in ("icarus", "verilator")
    }
    assert cycles["icarus"] == cycles["verilator"]


def _changed(program: Program, number: int, **changes: int) -> dict[int, bytes]:
    """Return a descriptor with some fields changed, its checksum right, by its address."""
    fields = program.descriptors()[number]
    del fields["checksum"]
    at = program.first_descriptor + number * DESCRIPTOR_BYTES
    return {at: pack_descriptor(**fields | changes)}


def test_damaged_fields_are_refused(verilog, tmp_path: Path) -> None:
    config = ENGINES["square"]
    builder = small(8)
    network, x = all_without_zeros(builder.build(), config), builder.picture()
    program = compile_network(network, config, base=4096, keep_all=True)
    found = program.descriptors()
    load = next(n for n, d in enumerate(found) if d["load_segment"])
    store = next(n for n, d in enumerate(found) if d["store_segment"])
    size, address = ErrorCode.SIZE, ErrorCode.ADDRESS
    window = {"base": program.base, "limit": program.base + program.size - 1}
    faults = [
        Fault(kind="zeros", name=str(change), patch=_changed(program, number, **change),
              setup=window, codes=(error,), layers=(found[number]["layer"],))
        for number, change, error in (
            (load, {"load_skip": found[load]["load_segment"]}, size),
            (load, {"load_segment": config.hold + 1}, size),
            (load, {"load_skip": 0xFFFF, "load_segment": 0xFFFF}, size),
            (load, {"load_skip": 2, "load_segment": 3, "load_words": 0xFFFE, "load_groups": 0xFFFF},
             size),
            (load, {"load_masks": 0xFFFF_F000}, address),
            (load, {"load_masks": 0}, address),
            (load, {"load_addr": 0xFFFF_F000}, address),
            (load, {"load_addr": 0}, address),
            (store, {"store_segment": config.hold + 1}, size),
            (store, {"store_segment": 1, "tile": 17, "tiles": 3}, size),
            (store, {"store_masks": window["limit"] + 1}, address),
            (store, {"store_masks": 0xFFFF_FFFF}, address),
            (store, {"out_addr": window["limit"] + 1}, address),
        )
    ]  # fmt: skip
    want = golden.run(network, x, exact="integer")
    outcomes = run_faults(program, config, verilog(config), {network.input: x[0]}, want, faults,
                          "icarus", work=tmp_path)  # fmt: skip
    assert [outcome.trouble for outcome in outcomes] == [""] * len(faults)


@pytest.mark.slow
def test_resets_at_random_cycles_are_recovered_from(verilog, tmp_path: Path) -> None:
    config = ENGINES["square"]
    builder = small(8)
    network, x = all_without_zeros(builder.build(), config), builder.picture()
    program = compile_network(network, config, base=4096, keep_all=True)
    want = golden.run(network, x, exact="integer")
    cycles = predict_cycles(program, config, tensors=want).cycles
    faults = [*Faults(program, config, seed=5).disturbances(cycles, soft=16, hard=4)]
    outcomes = run_faults(program, config, verilog(config), {network.input: x[0]}, want, faults,
                          "icarus", latency=Latency(read=6, write=4, random=5, stall=0.3),
                          work=tmp_path)  # fmt: skip
    assert [outcome.trouble for outcome in outcomes] == [""] * len(faults)


def test_any_bytes_are_a_map(verilog) -> None:
    """Masks that nobody wrote: wrong values, but an end, and nothing outside."""
    config = ENGINES["square"]
    builder = small(8)
    network, x = all_without_zeros(builder.build(), config), builder.picture()
    program = compile_network(network, config, keep_all=True)
    number = next(n for n, d in enumerate(program.descriptors()) if d["load_segment"])
    image = bytearray(program.image)
    want = golden.run(network, x, exact="integer", written=True)
    good = predict_cycles(program, config, tensors=want).totals["read"]  # exact, see `run`
    for masks in range(64, 640, 192):  # descriptors and weights
        for at, packed in _changed(program, number, load_masks=masks).items():
            image[at : at + DESCRIPTOR_BYTES] = packed
        bad = replace(program, image=bytes(image))
        result = simulate(bad, config, verilog(config), {network.input: x[0]}, {}, "icarus",
                          waveform=False)  # fmt: skip
        assert result.ok, result.summary()
        assert result.totals["read"] != good  # other masks tell of other values
