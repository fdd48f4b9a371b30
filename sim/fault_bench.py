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
from ..hw.descriptor import DESCRIPTOR_BYTES
from ..model.program import check_header
from . import files, runner
from .expected import expect
from .faults import Fault
from .scoreboard import BENCH, Latency

MARGIN = 4096  # bytes of memory behind the program, in which nothing may be written
SILENT = "silent"  # of a fault's setup: the word, and what comes after it, is never answered


@dataclass(frozen=True)
class Outcome:
    """What one fault led to.

    Attributes
    ----------
    code, layer : int
        What the ERROR register said at the end; 0 and 0 after a reset.
    stated : bool
        Whether the run ended with a code and in a layer that the fault states; for code 0, with
        the right output too.
    hung : bool
        Whether the run, or the soft reset after it, had no end.
    strays : int
        Write beats outside the program's tensors, from the start of the case to the end of the
        run after the reset.
    early : int
        Bytes that were written of layers beyond the one at fault.
    recovered : bool
        Whether the run of the good program after the reset was right.
    trouble : str
        All that went wrong, in words; empty if the fault ended as it must.
    """

    fault: Fault
    code: int = 0
    layer: int = 0
    stated: bool = False
    hung: bool = False
    strays: int = 0
    early: int = 0
    recovered: bool = False
    trouble: str = ""


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
        As for `scoreboard.simulate`. Memory before a program's base is watched too.
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
    np.save(folder / "first.npy", image)
    turn, last = _turns(program, size)
    np.save(folder / "turn.npy", turn)
    at_fault = {
        program.first_descriptor + number * DESCRIPTOR_BYTES: number
        for number in range(sum(plan.descriptors for plan in program.layers))
    }
    cases = []
    for number, fault in enumerate(faults, 1):
        _write_patch(folder / f"load.{number}", image, fault, config.bus_bytes)
        case = {"load": number, "action": fault.action, **fault.setup}
        patched = [at_fault[address] for address in fault.patch if address in at_fault]
        cases.append(case | ({"descriptor": min(patched)} if patched else {}))
    job = {
        "program": program.first_descriptor, "base": program.base,
        "limit": program.base + program.size - 1, "word_bytes": config.bus_bytes, "last": last,
        "cases": cases,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    plusargs = [
        f"+memory_words={words}", f"+timeout={max_cycles}", f"+seed={seed}", "+image=load.0",
        "+want=want.hex", "+check=check.hex", "+allow=allow.hex",
        *(latency or Latency(read=6, write=4, random=5, stall=0.1)).plusargs(),
    ]  # fmt: skip
    runner.run(compiled, "shiftwork.sim.faults_tb", work=folder, plusargs=plusargs)
    seen = json.loads((folder / "outcome.json").read_text())
    layers = {plan.index for plan in program.layers}
    accepted = [fault.file and _accepts(program, config, fault) for fault in faults]
    outcomes = [
        _judge(fault, got, layers, taken)
        for fault, got, taken in zip(faults, seen, accepted, strict=True)
    ]
    if work is None and not any(outcome.trouble for outcome in outcomes):
        shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def _turns(program: Any, size: int) -> tuple[Any, dict[int, int]]:
    """Return who writes each byte, and the last descriptor of every layer.

    Returns
    -------
    ndarray int64 (size,)
        Number of the first descriptor of the layer whose output the byte is of, -1 for none.
    dict of int to int
        Layer to number of its last descriptor.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, descriptor in enumerate(program.descriptors()):
        first.setdefault(descriptor["layer"], number)
        last[descriptor["layer"]] = number
    turn = np.full(size, -1)
    for plan in sorted(program.layers, key=lambda plan: -first[plan.index]):
        written = program.places[plan.output].contents(None)[0]
        turn[written] = first[plan.index]  # the earliest stays
    return turn, last


def _write_patch(path: Path, image: Any, fault: Fault, word_bytes: int) -> None:
    """Write the words that a fault changes; the first word unchanged if there are none."""
    changed, runs = image.copy(), []
    for address, data in fault.patch.items():
        changed[address : address + len(data)] = np.frombuffer(data, np.uint8)
        runs.append((address // word_bytes, (address + len(data) - 1) // word_bytes))
    files.write_runs(path, changed, word_bytes, runs or [(0, 0)])


def _accepts(program: Any, config: EngineConfig, fault: Fault) -> bool:
    """Return whether a host would load the program as a fault leaves it."""
    image = bytearray(program.image)
    for address, data in fault.patch.items():
        at = address - program.base
        image[at : at + len(data)] = data
    try:
        check_header(bytes(image), config)
    except ValueError:
        return False
    return True


def _judge(fault: Fault, got: dict[str, Any], layers: set[int], accepted: bool) -> Outcome:
    """Compare how a fault ended with how it must."""
    if got.get("trouble"):  # the host had no answer from the engine
        return Outcome(fault, hung=True, trouble=f"host: {got['trouble']}")
    wrong = _ending(fault, got, layers) if "code" in got else []
    if accepted:
        wrong.append("the host loads the damaged file")
    stated = not wrong
    if not got.get("ended", True):
        wrong.append("no end")
    if not got.get("quiet", True):
        wrong.append("still writing after the end")
    if got["strays"]:
        wrong.append(f"{got['strays']} stray writes")
    if got["rules"]:
        wrong.append(f"{got['rules']} breaches of AXI")
    if got.get("early"):
        wrong.append(f"{got['early']} bytes written of layers beyond the one at fault")
    silent = SILENT in fault.setup  # bursts under way never end, so neither does a soft reset
    if got["reset"] == silent:
        wrong.append("not busy after a soft reset" if silent else "busy after a soft reset")
    if not got["cleared"]:
        wrong.append("STATUS or ERROR not cleared")
    if not got["recovered"]:
        wrong.append("the next run is wrong")
    return Outcome(
        fault, got.get("code", 0), got.get("layer", 0), stated,
        not (got.get("ended", True) and got["reset"] != silent), got["strays"],
        got.get("early", 0), got["recovered"], "; ".join(wrong),
    )  # fmt: skip


def _ending(fault: Fault, got: dict[str, Any], layers: set[int]) -> list[str]:
    """Say what is wrong with the code, layer or output that a run ended with."""
    code, layer = got["code"], got["layer"]
    if code not in fault.codes:
        return [f"error {code}, not one of {[int(c) for c in fault.codes]}"]
    if code and layer not in (fault.layers or layers):
        return [f"error {code} in layer {layer}, not in {list(fault.layers or layers)}"]
    if not code and not got["right"] and not fault.file:
        return ["wrong output"]
    return []
