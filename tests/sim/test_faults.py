"""The fault bench: every fault ends as stated, writes nothing astray, and is recovered from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import preset
from shiftwork.hw.descriptor import ErrorCode
from shiftwork.sim.fault_bench import Outcome, run_faults
from shiftwork.sim.fault_campaign import (
    ENGINE,
    STORED,
    System,
    all_faults,
    count_kinds,
    draw,
    draw_for,
    run_campaign,
    small_system,
)
from shiftwork.sim.fault_maps import contents
from shiftwork.sim.faults import Fault, Faults
from shiftwork.sim.scoreboard import Latency, simulate
from tests.sim.mutants import (
    counts_every_response,
    inverts_wlast,
    mutant,
    withdraws_writes_at_a_soft_reset,
    writes_ahead,
)

KINDS = {"checksum", "operation", "version", "size", "stuck", "address", "read", "write",
         "soft reset", "hard reset", "engine reset", "drained reset",
         "silence", "start while busy", "weights"}  # fmt: skip
STORED_KINDS = KINDS | {"codec", "tables", "zeros", "masks"}


@pytest.fixture(scope="module")
def system() -> System:
    return small_system(ENGINE)


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emit(ENGINE, tmp_path_factory.mktemp("faults")).verilog


def inject(
    system: System, verilog: Path, faults: list[Fault], simulator: str, every: set[str] = KINDS
) -> None:
    outcomes = list(run_campaign(system, verilog, faults, simulator))
    wrong = [f"{o.fault.kind}: {o.fault.name}: {o.trouble}" for o in outcomes if o.trouble]
    assert not wrong, "\n".join(wrong)
    kinds = count_kinds(outcomes)
    assert {kind.kind for kind in kinds} == every
    assert sum(kind.faults for kind in kinds) == len(faults)
    for kind in kinds:
        assert kind.faults == kind.stated == kind.recovered == sum(kind.codes.values())
        assert kind.strays == kind.early == kind.hung == 0


def test_faults_of_every_kind(system: System, verilog: Path) -> None:
    faults = draw(all_faults(system, seed=1), 300, seed=1)
    assert len(faults) == 300
    inject(system, verilog, faults, "verilator")


def test_faults_of_maps_that_are_stored_otherwise(tmp_path: Path) -> None:
    """Coded maps and maps without zeros: refused by range or checksum, recovered from."""
    system = small_system(STORED)
    assert {
        plan.output: bool(system.program.places[plan.output].code) for plan in system.program.layers
    } == {"conv0.out": True, "pool1.out": False, "conv2.out": False}
    assert [place.segment for place in system.program.places.values()] == [0, 0, 1, 0]
    faults = [f for f in all_faults(system, seed=2) if f.kind in STORED_KINDS - KINDS]
    verilog = emit(STORED, tmp_path).verilog
    inject(system, verilog, draw(faults, 16, seed=2), "icarus", STORED_KINDS - KINDS)


@pytest.mark.slow
def test_every_fault_of_maps_that_are_stored_otherwise(tmp_path: Path) -> None:
    system = small_system(STORED)
    faults = all_faults(system, seed=4)
    assert len(faults) > 1400
    inject(system, emit(STORED, tmp_path).verilog, faults, "verilator", STORED_KINDS)


def test_a_damaged_file_that_a_host_would_load_is_told(system: System, verilog: Path) -> None:
    fault = replace(next(contents(Faults(system.program, ENGINE), 1)), patch={})
    (outcome,) = run_campaign(system, verilog, [fault], "icarus")
    assert outcome.trouble == "the host loads the damaged file"
    assert not outcome.stated and outcome.recovered


def test_faults_are_shared_between_engines() -> None:
    systems = [small_system(ENGINE), small_system(STORED)]
    shares = {count: [len(drawn) for _, drawn in draw_for(systems, count, 1)] for count in (1, 7)}
    assert shares == {1: [1], 7: [4, 3]}
    assert {f.kind for f in all_faults(systems[1], 1)} == STORED_KINDS


def test_faults_are_drawn_evenly_and_again_the_same(system: System) -> None:
    every = all_faults(system, seed=3)
    assert len(every) > 1000
    kinds = Counter(fault.kind for fault in draw(every, 120, seed=3))
    assert set(kinds) == KINDS
    assert min(kinds.values()) >= 8  # all failing writes there are
    assert max(kinds.values()) <= 12
    assert draw(every, 120, seed=3) == draw(all_faults(system, seed=3), 120, seed=3)
    assert draw(every, 120, seed=3) != draw(every, 120, seed=4)
    assert len(draw(every, 10_000, seed=3)) == len(every)
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        draw(every, 0, seed=1)


@pytest.mark.parametrize("name", ["small", "base"])
def test_every_preset_has_faults(name: str) -> None:
    assert {fault.kind for fault in all_faults(small_system(preset(name)), 1)} == KINDS


def test_a_fault_that_ends_otherwise_is_told(system: System, verilog: Path, tmp_path: Path) -> None:
    """The bench itself: outcomes that are not as stated are found."""
    make = Faults(system.program, ENGINE, seed=2)
    faults = [
        Fault(kind="none", name="nothing wrong", setup=make.window, codes=(ErrorCode.READ,)),
        Fault(kind="address", name="another layer", setup={"base": 64, "limit": 63},
              codes=(ErrorCode.ADDRESS,), layers=(1,)),
        *make.reads(1),
    ]  # fmt: skip
    outcomes = run_faults(
        system.program, ENGINE, verilog, system.inputs, system.want, faults, "icarus",
        work=tmp_path,
    )  # fmt: skip
    assert [outcome.stated for outcome in outcomes] == [False, False, True]
    assert all(outcome.recovered and not outcome.hung for outcome in outcomes)
    assert outcomes[0].trouble == "error 0, not one of [5]"
    assert outcomes[1].trouble == "error 8 in layer 0, not in [1]"
    assert outcomes[2].trouble == ""


def injected(system: System, verilog: Path, faults: list[Fault], work: Path) -> list[Outcome]:
    return run_faults(
        system.program, ENGINE, verilog, system.inputs, system.want, faults, "icarus",
        latency=Latency(read=6, write=4, random=5, stall=0.5), work=work,
    )  # fmt: skip


def test_a_breach_of_axi_by_a_soft_reset_is_told(
    system: System, verilog: Path, tmp_path: Path
) -> None:
    glitch = mutant(verilog, tmp_path / "rtl", withdraws_writes_at_a_soft_reset)
    cycles = system.cycles * 3 // 2  # the memory is slow
    faults = [
        *Faults(system.program, ENGINE, seed=2).disturbances(cycles, soft=150)
    ]  # few cycles are hit
    outcomes = injected(system, glitch, faults, tmp_path / "run")
    troubles = {outcome.trouble for outcome in outcomes}
    # A reset while nothing waits breaks no rule, others break one or two.
    assert {""} < troubles <= {"", "1 breaches of AXI", "2 breaches of AXI"}


def test_an_engine_that_trusts_responses_from_before_its_reset_is_told(
    system: System, verilog: Path, tmp_path: Path
) -> None:
    trusting = mutant(verilog, tmp_path / "rtl", counts_every_response, everywhere=True)
    faults = [*Faults(system.program, ENGINE, seed=1).disturbances(system.cycles, alone=48)]
    troubles = {o.trouble for o in run_campaign(system, trusting, faults, "icarus")}
    assert troubles == {"", "the next run is wrong"}


def test_a_layer_written_before_its_time_is_told(
    system: System, verilog: Path, tmp_path: Path
) -> None:
    place = system.program.places[system.program.layers[-1].output]
    early = mutant(verilog, tmp_path / "rtl", writes_ahead(place.address, 2))
    first, *_, last = Faults(system.program, ENGINE, seed=1).headers()
    (outcome,) = injected(system, early, [first], tmp_path / "run")
    assert outcome.trouble == f"{outcome.early} bytes written of layers beyond the one at fault"
    assert outcome.early > 4 and outcome.strays == 0
    assert injected(system, early, [last], tmp_path / "run")[0].early == 0  # it was its turn


def test_a_breach_of_axi_that_only_the_memory_sees_is_told(
    system: System, verilog: Path, tmp_path: Path
) -> None:
    inverted = mutant(verilog, tmp_path / "rtl", inverts_wlast)
    make = Faults(system.program, ENGINE, seed=1)
    faults = [Fault(kind="none", name="nothing wrong", setup=make.window), *make.reads(1)]
    for outcome in injected(system, inverted, faults, tmp_path / "run"):
        assert "breaches of AXI" in outcome.trouble
    result = simulate(
        system.program, ENGINE, inverted, system.inputs, system.want, "icarus", waveform=False,
        work=tmp_path / "simulate",
    )  # fmt: skip
    assert not result.ok and result.broken_rules > 1
    assert "WLAST is wrong" in result.summary()


@pytest.mark.slow
@pytest.mark.parametrize(("simulator", "count"), [("verilator", 2000), ("icarus", 66)])
def test_every_word_fails(simulator: str, count: int, system: System, verilog: Path) -> None:
    """Every read word and every written word answers with an error, and much more."""
    inject(system, verilog, draw(all_faults(system, seed=2), count, seed=2), simulator)
