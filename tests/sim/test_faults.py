"""The fault bench: every fault ends as stated, writes nothing astray, and is recovered from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import preset
from shiftwork.hw.descriptor import ErrorCode
from shiftwork.sim.fault_bench import run_faults
from shiftwork.sim.fault_campaign import (
    ENGINE,
    System,
    all_faults,
    count_kinds,
    draw,
    run_campaign,
    small_system,
)
from shiftwork.sim.faults import Fault, Faults

KINDS = {"checksum", "operation", "version", "size", "stuck", "address", "read", "write",
         "soft reset", "hard reset", "start while busy"}  # fmt: skip


@pytest.fixture(scope="module")
def system() -> System:
    return small_system(ENGINE)


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emit(ENGINE, tmp_path_factory.mktemp("faults")).verilog


def inject(system: System, verilog: Path, faults: list[Fault], simulator: str) -> None:
    outcomes = list(run_campaign(system, verilog, faults, simulator))
    wrong = [f"{o.fault.kind}: {o.fault.name}: {o.trouble}" for o in outcomes if o.trouble]
    assert not wrong, "\n".join(wrong)
    kinds = count_kinds(outcomes)
    assert {kind.kind for kind in kinds} == KINDS
    assert sum(kind.faults for kind in kinds) == len(faults)
    for kind in kinds:
        assert kind.faults == kind.stated == kind.recovered == sum(kind.codes.values())
        assert kind.strays == kind.hung == 0


def test_faults_of_every_kind(system: System, verilog: Path) -> None:
    faults = draw(all_faults(system, seed=1), 300, seed=1)
    assert len(faults) == 300
    inject(system, verilog, faults, "verilator")


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
    good = {"base": 0, "limit": system.program.size - 1}
    faults = [
        Fault(kind="none", name="nothing wrong", setup=good, codes=(ErrorCode.READ,)),
        Fault(kind="address", name="another layer", setup={"base": 64, "limit": 63},
              codes=(ErrorCode.ADDRESS,), layers=(1,)),
        next(iter(Faults(system.program, ENGINE, seed=2).reads(1))),
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


@pytest.mark.slow
@pytest.mark.parametrize(("simulator", "count"), [("verilator", 2000), ("icarus", 66)])
def test_every_word_fails(simulator: str, count: int, system: System, verilog: Path) -> None:
    """Every read word and every written word answers with an error, and much more."""
    inject(system, verilog, draw(all_faults(system, seed=2), count, seed=2), simulator)
