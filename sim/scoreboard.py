"""Run a program on the emitted Verilog and compare every byte with the golden model."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hw.config import EngineConfig
from ..hw.descriptor import ErrorCode
from . import files, runner
from .events import Events, read_events
from .expected import Expected, expect
from .host import COUNTER_NAMES, identity
from .result import Mismatch, SimResult, Stray, layer_counters, numbered
from .turns import judge_turns, read_writes

_VERILOG = Path(__file__).parent / "verilog"
BENCH = tuple(_VERILOG / f"{name}.v" for name in ("tb", "axi_memory", "axi_checker", "axil_master"))
_LEAST_WORDS = {"icarus": 1 << 10, "verilator": 1 << 21}  # Verilator: few sizes, so few builds
_run_number = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How the memory behaves. The default is as fast as AXI can be.

    Parameters
    ----------
    read, write : int
        Cycles from an accepted address to the first beat.
    random : int
        Largest number of extra cycles of a burst, drawn at random.
    stall : float
        Chance of a channel to wait in a cycle, 0..0.99.
    """

    read: int = 8
    write: int = 8
    random: int = 0
    stall: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.stall < 1:
            raise ValueError(f"stall must be in 0..0.99, not {self.stall}")
        if min(self.read, self.write, self.random) < 0:
            raise ValueError("latencies must be 0 or more cycles")

    def plusargs(self) -> list[str]:
        """Return the arguments axi_memory.v understands."""
        stall = min(255, round(self.stall * 256))
        channels = [f"+stall_{channel}={stall}" for channel in ("ar", "r", "aw", "w", "b")]
        latencies = [f"+read_latency={self.read}", f"+write_latency={self.write}"]
        return [*latencies, f"+random_latency={self.random}", *channels]


FAST = Latency()
SLOW = Latency(read=20, write=12, random=40, stall=0.3)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Error answers of the memory: the beat that gets one (from 1; 0 for none), and which."""

    read_beat: int = 0
    write_beat: int = 0
    code: int = 2

    def plusargs(self) -> list[str]:
        """Return the arguments axi_memory.v understands."""
        return [
            f"+error_read={self.read_beat}",
            f"+error_write={self.write_beat}",
            f"+error_code={self.code}",
        ]


def simulate(
    program: Any,
    config: EngineConfig,
    verilog: Path | Sequence[Path],
    inputs: Mapping[str, Any],
    expected: Mapping[str, Any],
    simulator: str = "icarus",
    *,
    latency: Latency = FAST,
    faults: Faults | None = None,
    seed: int = 1,
    module: str | None = None,
    work: Path | None = None,
    max_cycles: int | None = None,
    waveform: bool = True,
    window: int = 200,
    stop_after: int = 0,
    period: int | None = None,
    builds: Path | None = None,
) -> SimResult:
    """Run `program` on the engine's Verilog and compare what it writes, byte by byte.

    Memory outside the program and its inputs starts with random bytes, so nothing is right by
    luck. Each write is compared as it reaches memory; at the end the memory is read back, which
    also finds bytes that were never written. Where tensors share memory, the writes are kept in a
    file and compared after the run, every byte with the tensor whose turn it was.

    Parameters
    ----------
    program : Program
        Of `model.compile`: image, addresses and layers.
    config : EngineConfig
        The engine's; gives bus width and module name.
    verilog : Path or sequence of Path
        The emitted Verilog, or a netlist and its cells.
    inputs, expected : mapping of str to array
        Tensors by name, (C, H, W) or (1, C, H, W) uint8, numpy or torch. Entries of `expected`
        that are also inputs are left out; a tensor of the program that is in neither may be
        written but is not compared.
    simulator : str
        ``icarus`` or ``verilator``.
    latency, faults : Latency, Faults
        What the memory does.
    seed : int
        Of the memory's random waits and of its first content.
    module : str, optional
        Name of the engine's module, ``config.module_name`` by default.
    work : Path, optional
        Folder for this run. By default one under ``build/sim/runs``, removed if all is well.
    max_cycles : int, optional
        Cycles after which the engine counts as hung.
    waveform : bool
        Run again with a waveform of `window` cycles around the first trouble, if there is any.
    stop_after : int
        Stop after this many wrong beats; 0 runs to the end. Where tensors share memory only
        beats outside all of them count.
    period : int, optional
        Clock period in ns of a netlist with delays, even; Icarus only.
    builds : Path, optional
        Folder that keeps compiled simulations, by default ``build/sim``.

    Raises
    ------
    ValueError
        If a tensor is unknown or has another shape, or two compared tensors share memory.
    SimulatorError
        If the simulator is missing, or does not build or run this. A wrong answer of the engine
        is not an error: see `SimResult.ok`.
    """
    wanted = expect(program, inputs, expected, seed=seed, word_bytes=config.bus_bytes)
    words = max(_LEAST_WORDS.get(simulator, 1), 1 << (wanted.words - 1).bit_length())
    sources = [verilog] if isinstance(verilog, Path) else list(verilog)
    options: dict[str, Any] = {
        "defines": {"ENGINE": module or config.module_name, "BUS_BITS": config.bus_bits},
        "parameters": {"MEMORY_WORDS": words},
        "root": builds,
    }
    if period:
        options["parameters"]["HALF_PERIOD"] = period // 2
        options["specify"] = True
    compiled = runner.build([*BENCH, *sources], "tb", simulator, **options)
    folder = work or runner.BUILD_ROOT / "runs" / (
        f"{options['defines']['ENGINE']}-{simulator}-{os.getpid()}-{next(_run_number)}"
    )
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if max_cycles is None:
        max_cycles = 1_000_000 + 50 * sum(int(layer.ideal_cycles) for layer in program.layers)
    plusargs = [
        f"+memory_words={wanted.words}", f"+timeout={max_cycles}", f"+seed={seed}",
        "+image=image.hex", "+allow=allow.hex", *_comparing(wanted),
        *latency.plusargs(), *(faults or Faults()).plusargs(),
    ]  # fmt: skip
    _write_run(folder, program, config, wanted)
    extra = [f"+stop_after={stop_after}"]
    done = runner.run(compiled, _TB, work=folder, plusargs=[*plusargs, *extra])
    result, first = _judge(folder, program, wanted, done, compiled)
    if result.ok:
        if work is None:
            shutil.rmtree(folder, ignore_errors=True)
    elif waveform:
        traced = runner.build([*BENCH, *sources], "tb", simulator, waves=True, **options)
        path = _trace(folder, traced, plusargs, first, window)
        result = replace(result, waveform=path)
    return result


_TB = "shiftwork.sim.engine_tb"


def _comparing(wanted: Expected) -> list[str]:
    """Return the arguments that make the memory compare writes, or write them down."""
    if wanted.turns is None:
        return ["+want=want.hex", "+check=check.hex"]
    return ["+writes=writes.log"]


def _write_run(folder: Path, program: Any, config: EngineConfig, wanted: Expected) -> None:
    """Write the files one simulation reads."""
    size = wanted.word_bytes
    files.write_words(folder / "image.hex", wanted.image, size)
    files.write_runs(folder / "want.hex", wanted.want, size, wanted.runs)
    files.write_lanes(folder / "check.hex", wanted.check, size)
    files.write_lanes(folder / "allow.hex", wanted.allow, size)
    job = {
        "identity": identity(config),
        "program": int(program.first_descriptor),
        "layers": [index for index, _ in numbered(program.layers)],
        "dumps": wanted.runs,
    }
    (folder / "job.json").write_text(json.dumps(job))


def _judge(
    folder: Path, program: Any, wanted: Expected, done: runner.Run, compiled: runner.Build
) -> tuple[SimResult, int]:
    """Return the result, and the cycle in which the first thing went wrong, or the last one."""
    outcome = json.loads((folder / "outcome.json").read_text())
    events = read_events(folder / "events.log")
    final, undefined = wanted.image.copy(), np.zeros(len(wanted.image), bool)
    for number, (first, last) in enumerate(wanted.runs):
        span = slice(first * wanted.word_bytes, (last + 1) * wanted.word_bytes)
        final[span], undefined[span] = files.read_dump(folder / f"dump.{number}", wanted.word_bytes)
    wrong = wanted.check & ((final != wanted.want) | undefined)
    found = _mismatches(program, wanted, events, wrong, final, undefined)
    wrong_bytes, checked_bytes = int(wrong.sum()), int(wanted.check.sum())
    if wanted.turns is not None:
        writes = read_writes(folder / "writes.log", wanted.word_bytes)
        judged = judge_turns(program, wanted.turns, writes, wanted.allow, wrong, wanted.want)
        wrong_bytes, checked_bytes, found = judged.wrong_bytes, judged.checked_bytes, judged.found
        events.add(judged.wrong_beats, judged.extra_beats, judged.extra, judged.first_cycle)
    error, layer = outcome.get("error", 0), outcome.get("error_layer", 0)
    result = SimResult(
        simulator=compiled.simulator.name,
        cycles=outcome.get("cycles", 0),
        seconds=done.seconds,
        cpu_seconds=done.cpu_seconds,
        build_seconds=compiled.seconds,
        layers=layer_counters(program.layers, outcome.get("layers", {})),
        totals=dict(zip(COUNTER_NAMES, outcome.get("totals", []), strict=False)),
        checked_bytes=checked_bytes,
        wrong_bytes=wrong_bytes,
        wrong_beats=events.wrong_beats,
        stray_beats=events.stray_beats,
        broken_rules=events.broken_rules,
        mismatches=found,
        strays=[_stray(program, stray) for stray in events.strays],
        violations=events.violations,
        trouble=_trouble(outcome, events, program, error, layer),
        error=error,
        error_layer=layer,
        timeout=bool(outcome.get("timeout")),
        read_beats=events.read_beats,
        write_beats=events.write_beats,
        log=done.log,
        outputs={name: program.read_tensor(final[program.base :], name) for name in wanted.names},
    )
    first = events.first_cycle
    return result, events.stop_cycle if first is None else first


def _trouble(outcome: dict[str, Any], events: Events, program: Any, error: int, layer: int) -> str:
    names = {index: entry.name for index, entry in numbered(program.layers)}
    if outcome["trouble"]:
        return f"host: {outcome['trouble']}"
    if outcome["timeout"]:
        return f"the engine did not end in {outcome['cycles']} cycles"
    if error:
        known = {code.value: code.name for code in ErrorCode}
        return (
            f"the engine stopped with error {known.get(error, error)} "
            f"in layer {names.get(layer, layer)}"
        )
    if events.pending is not None:
        return f"done in cycle {events.pending} before every write was answered"
    return ""


def _mismatch(program: Any, address: int, got: int | None, want: int, cycle: int | None):
    place = program.locate(address) or ("?", "?", -1, -1, -1)
    layer, tensor, channel, y, x = place
    return Mismatch(str(layer), str(tensor), channel, y, x, got, want, cycle, address)


def _mismatches(
    program: Any,
    wanted: Expected,
    events: Events,
    wrong: NDArray[np.bool_],
    final: NDArray[np.uint8],
    undefined: NDArray[np.bool_],
) -> list[Mismatch]:
    found: list[Mismatch] = []
    for beat in events.wrong:
        for lane, got in beat.bytes():
            address = beat.address + lane
            found.append(_mismatch(program, address, got, int(wanted.want[address]), beat.cycle))
    untouched = wrong & ~undefined & (final == wanted.image)
    for address in np.flatnonzero(untouched)[: max(0, 16 - len(found))]:
        found.append(_mismatch(program, int(address), None, int(wanted.want[address]), None))
    return found


def _stray(program: Any, beat: Any) -> Stray:
    lane = next((lane for lane, _ in beat.bytes()), 0)
    place = program.locate(beat.address + lane)
    where = f"layer {place[0]}, tensor {place[1]}" if place else "in no tensor"
    return Stray(beat.address, beat.data, beat.lanes, beat.cycle, where)


def _trace(
    folder: Path, traced: runner.Build, plusargs: list[str], cycle: int, window: int
) -> Path | None:
    """Run again with the waveform on around a cycle."""
    where = folder / "wave"
    where.mkdir()
    for name in ("image", "want", "check", "allow"):
        (where / f"{name}.hex").symlink_to(folder / f"{name}.hex")
    job = json.loads((folder / "job.json").read_text())
    (where / "job.json").write_text(json.dumps({**job, "layers": [], "dumps": []}))
    limits = [f"+wave_first={max(0, cycle - window)}", f"+wave_last={cycle + window}"]
    runner.run(traced, _TB, work=where, plusargs=[*plusargs, "+wave=wave.vcd", *limits])
    path = where / "wave.vcd"
    return path if path.exists() else None
