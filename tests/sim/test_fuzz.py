"""The fuzzer: what it draws, that it finds nothing, and that it would find something."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import PRESETS, EngineConfig, preset
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim import fuzz as fuzzer
from shiftwork.sim.builder import NetworkBuilder
from shiftwork.sim.fuzz import fuzz, random_latency
from shiftwork.sim.fuzz_coverage import FEATURES, coverage, features, impossible
from shiftwork.sim.fuzz_networks import LAYERS, random_network
from shiftwork.sim.scoreboard import FAST

SMALL = EngineConfig(name="fuzz4", rows=4, cols=4, hold=32, buffer_words=2048, window=4,
                     burst_beats=16, weight_fifo=16, requantise_lanes=2, leaky=True)  # fmt: skip


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emit(SMALL, tmp_path_factory.mktemp("rtl")).verilog


@pytest.mark.parametrize("name", PRESETS)
def test_an_engine_can_run_whatever_is_drawn_for_it(name: str) -> None:
    config = preset(name)
    for seed in range(40):
        network, x = random_network(seed, config)
        assert 1 <= len(network.layers) <= LAYERS[1]
        assert tuple(x.shape[1:]) == network.tensors[network.input].shape
        compile_network(network, config)


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_nothing_is_left_out(name: str) -> None:
    config = preset(name)
    seen = coverage(
        (features(random_network(seed, config)[0], random_latency(seed)) for seed in range(1, 301)),
        config,
    )
    assert set(seen) | impossible(config) == set(FEATURES)
    assert not [(feature, count) for feature, count in seen.items() if count < 10]


def test_features_are_seen() -> None:
    builder = NetworkBuilder(1, 4, 12, 24, zero_point=128)
    builder.conv(6, (1, 7), (1, 4), (0, 0, 0, 3), (1, 2), terms=3, bits=2, slope=0.1)
    builder.depthwise((3, 3), limits=(10, 200))
    network = builder.build()
    seen = features(network, FAST)
    assert seen == {
        "convolution", "depthwise", "kernel not square", "kernel 7", "stride 4", "strides differ",
        "padding not symmetric", "dilation 2", "N = 2", "N = 3", "B = 2", "B = 4", "leaky ReLU",
        "clamped (ReLU6)", "signed input", "unsigned input", "unsigned output",
        "memory as fast as can be",
    }  # fmt: skip


def test_a_seed_always_draws_the_same() -> None:
    (a, x), (b, y) = (random_network(12, SMALL) for _ in range(2))
    assert [layer.name for layer in a.layers] == [layer.name for layer in b.layers]
    assert x.equal(y)
    assert golden.run(a, x)[a.output].equal(golden.run(b, y)[b.output])
    assert random_latency(12) == random_latency(12)
    latencies = {random_latency(seed) for seed in range(40)}
    assert FAST in latencies and len(latencies) > 20


def test_a_few_networks_are_bit_exact(verilog: Path) -> None:
    cases = list(fuzz(SMALL, verilog, count=2, seed=1, simulator="icarus"))
    assert [case.seed for case in cases] == [1, 2]
    assert not [case for case in cases if case.trouble]
    assert all(case.values for case in cases)


@pytest.mark.slow
def test_thirty_networks_are_bit_exact_on_icarus(verilog: Path) -> None:
    cases = fuzz(SMALL, verilog, count=30, seed=1000, simulator="icarus")
    assert not [case for case in cases if case.trouble]


@pytest.mark.slow
def test_three_hundred_networks_are_bit_exact_on_verilator(verilog: Path) -> None:
    cases = fuzz(SMALL, verilog, count=300, seed=1, simulator="verilator")
    assert not [case for case in cases if case.trouble]


def test_a_difference_is_reported(verilog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(network, x, exact):
        found = run(network, x, exact=exact)
        found[network.output] = found[network.output] ^ 1
        return found

    run = golden.run
    monkeypatch.setattr(fuzzer.golden, "run", off_by_one)
    (case,) = fuzz(SMALL, verilog, count=1, seed=1, simulator="icarus")
    assert "bytes differ" in case.trouble


@pytest.mark.parametrize(("count", "seed"), [(0, 1), (1, -1), (2, (1 << 31) - 1)])
def test_impossible_counts_and_seeds_are_refused(count: int, seed: int, verilog: Path) -> None:
    with pytest.raises(ValueError, match=r"must be (at least 1|in 0\.\.)"):
        list(fuzz(SMALL, verilog, count=count, seed=seed))
