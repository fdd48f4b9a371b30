"""Run faults on the emitted Verilog, all in one simulation, and judge how each ended."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.config import EngineConfig
from . import files, runner
from .expected import expect
from .faults import Fault
from .scoreboard import BENCH, Latency

MARGIN = 4096  # bytes of memory behind the program, in which nothing may be written


@dataclass(frozen=True)
class Outcome:
    """What one fault led to; `trouble` is empty if that is what it must lead to."""

    fault: Fault
    code: int
    layer: int
    trouble: str


def run_faults(
    program: Any,
    config: EngineConfig,
    verilog: Path,
    inputs: Mapping[str, Any],
    expected: Mapping[str, Any],
    faults: Sequence[Fault],
    simulator: str = "verilator",
    *,
    latency: Latency | None = None,
    seed: int = 1,
    work: Path | None = None,
    max_cycles: int = 20_000,
) -> list[Outcome]:
    """Inject each fault into a run, then reset the engine and run the good program.

    Parameters
    ----------
    program, config, verilog, inputs, expected, simulator, latency, seed
        As for `scoreboard.simulate`.
    faults : sequence of Fault
        Of `faults.Faults`, for this program.
    work : Path, optional
        Folder of the simulation, one under ``build/sim/runs`` by default.
    max_cycles : int
        Cycles after which a run counts as hung.

    Returns
    -------
    list of Outcome
        One for each fault.

    Raises
    ------
    SimulatorError
        If the simulator is missing, or does not build or run this.
    """
    wanted = expect(program, inputs, expected, seed=seed, word_bytes=config.bus_bytes)
    size = -(-len(wanted.image) // 4096) * 4096 + MARGIN
    margin = (0, size - len(wanted.image))
    image, want = (np.pad(part, margin) for part in (wanted.image, wanted.want))
    check, allow = (np.pad(part, margin) for part in (wanted.check, wanted.allow))
    words = size // config.bus_bytes
    compiled = runner.build(
        [*BENCH, verilog], "tb", simulator,
        defines={"ENGINE": config.module_name, "BUS_BITS": config.bus_bits},
        parameters={"MEMORY_WORDS": words},
    )  # fmt: skip
    folder = (work or runner.BUILD_ROOT / "runs" / f"faults-{simulator}-{os.getpid()}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files.write_words(folder / "load.0", image, config.bus_bytes)
    for name, part in (("check", check), ("allow", allow)):
        files.write_lanes(folder / f"{name}.hex", part, config.bus_bytes)
    files.write_words(folder / "want.hex", want, config.bus_bytes)
    np.save(folder / "want.npy", want)
    np.save(folder / "check.npy", check)
    cases = []
    for number, fault in enumerate(faults, 1):
        _write_patch(folder / f"load.{number}", image, fault, config.bus_bytes)
        cases.append({"load": number, "action": fault.action, **fault.setup})
    job = {"program": program.first_descriptor, "word_bytes": config.bus_bytes, "cases": cases}
    (folder / "job.json").write_text(json.dumps(job))
    plusargs = [
        f"+memory_words={words}", f"+timeout={max_cycles}", f"+seed={seed}", "+image=load.0",
        "+want=want.hex", "+check=check.hex", "+allow=allow.hex",
        *(latency or Latency(read=6, write=4, random=5, stall=0.1)).plusargs(),
    ]  # fmt: skip
    runner.run(compiled, "shiftwork.sim.faults_tb", work=folder, plusargs=plusargs)
    seen = json.loads((folder / "outcome.json").read_text())
    layers = {plan.index for plan in program.layers}
    outcomes = [
        Outcome(fault, got.get("code", 0), got.get("layer", 0), _trouble(fault, got, layers))
        for fault, got in zip(faults, seen, strict=True)
    ]
    if work is None and not any(outcome.trouble for outcome in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def _write_patch(path: Path, image: Any, fault: Fault, word_bytes: int) -> None:
    """Write the words that a fault changes; the first word unchanged if there are none."""
    changed, runs = image.copy(), []
    for address, data in fault.patch.items():
        changed[address : address + len(data)] = np.frombuffer(data, np.uint8)
        runs.append((address // word_bytes, (address + len(data) - 1) // word_bytes))
    files.write_runs(path, changed, word_bytes, runs or [(0, 0)])


def _trouble(fault: Fault, got: dict[str, Any], layers: set[int]) -> str:
    """Say what is wrong with how a fault ended, if anything."""
    if got.get("trouble"):
        return f"host: {got['trouble']}"
    wrong: list[str] = []
    if fault.action not in ("soft", "hard"):
        code, layer = got["code"], got["layer"]
        if not got["ended"]:
            wrong.append("no end")
        if code not in fault.codes:
            wrong.append(f"error {code}, not one of {[int(c) for c in fault.codes]}")
        elif code and layer not in (fault.layers or layers):
            wrong.append(f"error {code} in layer {layer}, not in {list(fault.layers or layers)}")
        elif not code and not got["right"]:
            wrong.append("wrong output")
        if not got["quiet"]:
            wrong.append("still writing after the end")
    if got["strays"]:
        wrong.append(f"{got['strays']} stray writes")
    if got["rules"]:
        wrong.append(f"{got['rules']} breaches of AXI")
    if not got["reset"]:
        wrong.append("busy after a soft reset")
    if not got["cleared"]:
        wrong.append("STATUS or ERROR not cleared")
    if not got["recovered"]:
        wrong.append("the next run is wrong")
    return "; ".join(wrong)
