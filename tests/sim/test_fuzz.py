"""The fuzzer: what it draws, that it finds nothing, and that it would find something."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import PRESETS, EngineConfig, preset
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim import fuzz as fuzzer
from shiftwork.sim.builder import NetworkBuilder
from shiftwork.sim.fuzz import fuzz, fuzz_engines, random_latency
from shiftwork.sim.fuzz_coverage import (
    FEATURES,
    PROGRAM,
    coverage,
    features,
    impossible,
    program_features,
)
from shiftwork.sim.fuzz_engines import ENGINES
from shiftwork.sim.fuzz_networks import LAYERS, random_network
from shiftwork.sim.scoreboard import FAST

SMALL = ENGINES[0]


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


def test_nothing_is_left_out() -> None:
    """Four hundred networks on the engines of the list."""
    seen = []
    for seed in range(1, 401):
        config = ENGINES[seed % len(ENGINES)]
        network, _ = random_network(seed, config)
        program = compile_network(network, config)
        seen.append(features(network, random_latency(seed)) | program_features(program, config))
    counts = coverage(seen, *ENGINES)
    assert set(counts) == {*FEATURES, *PROGRAM}
    assert not [(feature, count) for feature, count in counts.items() if count < 10]


def test_what_an_engine_cannot_have_is_not_counted() -> None:
    tiny = preset("tiny")
    assert impossible(tiny) == (
        {"leaky ReLU", "coded maps", "integer weights", "maps without zeros"}
        | {f"N = {n}" for n in range(2, 5) if n > tiny.max_terms}
        | {f"B = {b}" for b in range(3, 6) if b > tiny.code_bits}
    )
    assert "leaky ReLU" not in coverage([], preset("tiny"))
    assert "leaky ReLU" in coverage([], preset("tiny"), ENGINES[0])


def test_engines_differ_in_every_shape() -> None:
    assert {engine.window for engine in ENGINES} == {1, 2, 4}
    assert {engine.bus_bits for engine in ENGINES} == {64, 128}
    assert {(e.rows > e.cols) - (e.rows < e.cols) for e in ENGINES} == {-1, 0, 1}
    assert min(engine.buffer_words for engine in ENGINES) == 64
    assert len({engine.requantise_lanes for engine in ENGINES}) > 3
    assert {engine.pipeline for engine in ENGINES} == {"deep", "shallow"}
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)


def test_bands_are_seen() -> None:
    builder = NetworkBuilder(1, 4, 2, 40)
    builder.conv(4, (3, 3), padding=(9, 1, 0, 1), bits=3, act_bits=5)
    network = builder.build()
    for config in (ENGINES[2], ENGINES[0]):
        program = compile_network(network, config)
        assert program_features(program, config) == {"several bands", "band without input"}
    builder = NetworkBuilder(1, 4, 20, 20)
    builder.conv(4, (3, 3), bits=3)
    program = compile_network(builder.build(), ENGINES[2])
    assert program_features(program, ENGINES[2]) == {"several bands", "input beyond the buffer"}
    assert "bits differ" in features(network, FAST)


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


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[EngineConfig, Path]]:
    folder = tmp_path_factory.mktemp("engines")
    return [(config, emit(config, folder).verilog) for config in ENGINES]


@pytest.mark.slow
def test_some_networks_are_bit_exact_on_icarus(
    engines: list[tuple[EngineConfig, Path]],
) -> None:
    cases = fuzz_engines(engines, count=32, seed=1000, simulator="icarus")
    assert not [case for case in cases if case.trouble]


@pytest.mark.slow
def test_four_hundred_networks_are_bit_exact_on_verilator(
    engines: list[tuple[EngineConfig, Path]],
) -> None:
    cases = [*fuzz_engines(engines, count=400, seed=1, simulator="verilator")]
    assert not [case for case in cases if case.trouble]
    assert set(Counter(case.engine for case in cases).values()) == {50}


def test_a_difference_is_reported(verilog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(network, x, exact, written):
        found = run(network, x, exact=exact, written=written)
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
