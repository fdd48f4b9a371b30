"""The fault bench: every fault ends as stated, writes nothing astray, and is recovered from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.descriptor import ErrorCode
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim.builder import NetworkBuilder
from shiftwork.sim.fault_bench import run_faults
from shiftwork.sim.faults import Fault, Faults

CONFIG = EngineConfig(
    name="faulty", rows=2, cols=2, code_bits=3, max_terms=2, max_fan_in=64, hold=8,
    buffer_words=64, burst_beats=8, weight_fifo=8, max_layers=4, watchdog_bits=8,
)  # fmt: skip
CYCLES = 900  # of an undisturbed run, about


@dataclass(frozen=True)
class System:
    """A small network on a small engine: convolutions, a pool, several bands and tiles."""

    program: Any
    verilog: Path
    inputs: dict[str, Any]
    want: dict[str, Any]

    def inject(self, faults: list[Fault], simulator: str, work: Path) -> None:
        outcomes = run_faults(
            self.program, CONFIG, self.verilog, self.inputs, self.want, faults, simulator, work=work
        )
        kinds = Counter((outcome.fault.kind, ErrorCode(outcome.code).name) for outcome in outcomes)
        print(f"{len(outcomes)} faults on {simulator}:", dict(sorted(kinds.items())))
        wrong = [f"{o.fault.kind}: {o.fault.name}: {o.trouble}" for o in outcomes if o.trouble]
        assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    builder = NetworkBuilder(3, 3, 4, 4, zero_point=128)
    builder.conv(3, (2, 2), padding=(1, 0, 0, 1), bits=3, terms=1)
    builder.max_pool((2, 2), (1, 1))
    builder.conv(4, bits=3)
    network, x = builder.build(), builder.picture()
    return System(
        compile_network(network, CONFIG),
        emit(CONFIG, tmp_path_factory.mktemp("faults")).verilog,
        {network.input: x[0]},
        golden.run(network, x, exact="integer"),
    )


def test_faults_of_every_kind(system: System, tmp_path: Path) -> None:
    make = Faults(system.program, CONFIG, seed=1)
    faults = [
        *make.checksums(20), *list(make.headers())[::3], *make.sizes(),
        *list(make.stuck())[::2], *list(make.addresses())[::2], *make.reads(40), *make.writes(16),
        *make.disturbances(10, 8, 8, CYCLES),
    ]  # fmt: skip
    assert len(faults) >= 200
    system.inject(faults, "verilator", tmp_path)


def test_a_fault_that_ends_otherwise_is_told(system: System, tmp_path: Path) -> None:
    """The bench itself: outcomes that are not as stated are found."""
    good = {"base": 0, "limit": system.program.size - 1}
    faults = [
        Fault(kind="none", name="nothing wrong", setup=good, codes=(ErrorCode.READ,)),
        Fault(kind="address", name="another layer", setup={"base": 64, "limit": 63},
              codes=(ErrorCode.ADDRESS,), layers=(1,)),
        next(iter(Faults(system.program, CONFIG, seed=2).reads(1))),
    ]  # fmt: skip
    outcomes = run_faults(
        system.program, CONFIG, system.verilog, system.inputs, system.want, faults, "icarus",
        work=tmp_path,
    )  # fmt: skip
    assert outcomes[0].trouble == "error 0, not one of [5]"
    assert outcomes[1].trouble == "error 8 in layer 0, not in [1]"
    assert outcomes[2].trouble == ""


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_every_word_fails(system: System, simulator: str, tmp_path: Path) -> None:
    """Every read word and every written word answers with an error, and much more."""
    make = Faults(system.program, CONFIG, seed=2)
    few = simulator == "icarus"
    faults = [
        *make.checksums(20 if few else 300), *make.headers(), *make.sizes(), *make.stuck(),
        *make.addresses(), *make.reads(40 if few else None), *make.writes(20 if few else None),
        *make.disturbances(*(10, 10, 5) if few else (100, 60, 40), CYCLES),
    ]  # fmt: skip
    system.inject(faults, simulator, tmp_path)
