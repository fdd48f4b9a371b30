"""Build a simulation once, run cocotb modules in it: the same calls for both simulators."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from .tools import (
    VERILATOR_MAKE,
    VERILATOR_QUIET,
    VERILATOR_SPEED,
    Simulator,
    SimulatorError,
    find_simulator,
)

BUILD_ROOT = Path("build") / "sim"
_TIMESCALE = ("1ns", "1ps")
_environment_lock = threading.RLock()


@dataclass(frozen=True)
class Build:
    """A compiled simulation, ready to run any number of times."""

    simulator: Simulator
    toplevel: str
    directory: Path
    waves: bool
    seconds: float  # spent compiling; 0 when it came from the cache


@dataclass(frozen=True)
class Run:
    """One finished simulation, all its tests passed."""

    tests: tuple[str, ...]
    log: Path
    results: Path
    seconds: float  # wall time, process start included
    cpu_seconds: float  # of the simulator's processes


def _arguments(simulator: Simulator, public: bool, specify: bool) -> list[str]:
    if simulator.name == "icarus":
        # cocotb's runner asks for 2012, in which Icarus sets declared values without an event at
        # time 0: Yosys's `always @*` blocks would then stay undefined. The last flag wins.
        return ["-g2005", *(["-gspecify", "-Tmax"] if specify else [])]
    # cocotb's runner makes every signal public, which stops most optimisation; the last flag wins.
    arguments = [*VERILATOR_QUIET, "--timing", "-CFLAGS", "-fcoroutines", *VERILATOR_SPEED]
    return arguments + ([] if public else ["--no-public-flat-rw"])


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` between processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Run with some environment variables changed; cocotb's runner reads the process's own."""
    with _environment_lock:
        before = dict(os.environ)
        os.environ.update(changes)
        # Under pytest cocotb's runner picks other file names and ends the process on a failure.
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _runner(simulator: Simulator):
    try:
        from cocotb_tools.runner import get_runner
    except ImportError:
        raise SimulatorError("no cocotb: pip install 'cocotb>=2.1,<2.2'") from None
    runner = get_runner(simulator.name)
    runner.log.setLevel(logging.ERROR)
    return runner


def build(
    sources: Sequence[Path],
    toplevel: str,
    simulator: str,
    *,
    defines: Mapping[str, object] | None = None,
    parameters: Mapping[str, int] | None = None,
    waves: bool = False,
    public: bool = False,
    specify: bool = False,
    root: Path | None = None,
) -> Build:
    """Compile Verilog for one simulator, or find it compiled already.

    A build is kept under ``root/cache``, keyed by the text of the sources, the parameters and the
    tool's version. Two processes that want the same build wait for one another.

    Parameters
    ----------
    sources : sequence of Path
        Verilog files.
    toplevel : str
        Name of the top module.
    simulator : str
        ``icarus`` or ``verilator``.
    defines, parameters : mapping, optional
        Verilog macros, and parameters of the top module.
    waves : bool
        Able to write waveforms with ``$dumpvars``. Only Verilator needs to know (and is slower).
    public : bool
        Let Python reach every signal. Only Verilator needs to know (and is slower); without it
        only signals marked ``/*verilator public_flat_rw*/`` in the Verilog are within reach.
    specify : bool
        With the delays of specify blocks and SDF, the largest ones; Icarus only.
    root : Path, optional
        Folder of the builds, ``build/sim`` by default.

    Raises
    ------
    SimulatorError
        If the simulator is not usable or does not accept the sources; names the log.
    """
    tool = find_simulator(simulator)
    arguments = _arguments(tool, public, specify)
    defines, parameters = dict(defines or {}), dict(parameters or {})
    paths = [Path(source).resolve() for source in sources]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise SimulatorError(f"no Verilog file {missing[0]}")
    if simulator == "icarus":
        waves = public = False  # needs no other build for either
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    key = _key(tool.name, tool.version, version("cocotb"), toplevel, texts, defines, parameters,
               arguments, VERILATOR_MAKE, waves)  # fmt: skip
    directory = (root or BUILD_ROOT).resolve() / "cache" / f"{simulator}-{toplevel}-{key}"
    stamp = directory / "built"
    with _locked(directory.with_suffix(".lock")):
        if stamp.exists():
            stamp.touch()
            return Build(tool, toplevel, directory, waves, 0.0)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        log = directory / "build.log"
        started = time.monotonic()
        changes = {**tool.environment, "MAKEFLAGS": VERILATOR_MAKE}
        with _environment(changes):
            try:
                _runner(tool).build(
                    sources=paths,
                    hdl_toplevel=toplevel,
                    defines=defines,
                    parameters=parameters,
                    build_args=arguments,
                    build_dir=directory,
                    timescale=_TIMESCALE,
                    waves=waves,
                    log_file=log,
                    always=True,
                )
            except (RuntimeError, SystemExit) as error:
                raise SimulatorError(
                    f"{simulator} does not build {toplevel} ({_first_error(log) or error}): "
                    f"see {log}"
                ) from None
        stamp.touch()
        return Build(tool, toplevel, directory, waves, time.monotonic() - started)


def _first_error(log: Path, skip: str = "\0") -> str:
    """Return the first line of a log that speaks of an error, shortened; empty if there is none."""
    if not log.exists():
        return ""
    for line in log.read_text(errors="replace").splitlines():
        if "error" in line.lower() and skip not in line:
            return line.strip()[:200]
    return ""


def run(
    compiled: Build,
    module: str,
    *,
    work: Path,
    plusargs: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    test_filter: str | None = None,
    seed: int = 1,
    timeout: float = 3600.0,
) -> Run:
    """Run the tests of a cocotb module in a compiled simulation.

    Parameters
    ----------
    compiled : Build
        From `build`.
    module : str
        Importable name of the cocotb module, like ``shiftwork.sim.engine_tb``.
    work : Path
        Folder the simulation runs in; ``sim.log`` and ``results.xml`` end up there.
    plusargs : sequence of str
        Like ``+seed=3``.
    environment : mapping, optional
        Extra environment variables.
    test_filter : str, optional
        Regular expression of the tests to run.
    seed : int
        Seed of cocotb's own random numbers.
    timeout : float
        Wall seconds after which the simulator is ended.

    Raises
    ------
    SimulatorError
        If a test fails, none runs or the simulator ends early; names the test and the log.
    """
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    log, results = work / "sim.log", work / "results.xml"
    changes = {
        **compiled.simulator.environment,
        "COCOTB_LOG_LEVEL": "WARNING",
        "SIM_CMD_PREFIX": f"timeout -k 5 {timeout:g}",
        # cocotb's runner switches Icarus' waveforms off; the last flag wins.
        "SIM_CMD_SUFFIX": "-vcd" if compiled.simulator.name == "icarus" else "",
        **(environment or {}),
    }
    started, cpu = time.monotonic(), _children_seconds()
    failure = ""
    with _environment(changes):
        try:
            _runner(compiled.simulator).test(
                test_module=module,
                hdl_toplevel=compiled.toplevel,
                hdl_toplevel_lang="verilog",
                build_dir=compiled.directory,
                test_dir=work,
                results_xml=str(results),
                plusargs=list(plusargs),
                test_filter=test_filter,
                seed=seed,
                timescale=_TIMESCALE,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            failure = str(error)
    seconds, cpu = time.monotonic() - started, _children_seconds() - cpu
    if "124" in failure and seconds >= timeout:
        raise SimulatorError(f"{module} did not end within {timeout:g} s: see {log}")
    passed, failed = _outcome(results)
    if failed:
        name, why = failed[0]
        raise SimulatorError(f"{module}: test {name} failed ({why}): see {log}")
    if failure or not passed:
        reason = failure or _first_error(log, skip="ERROR    gpi") or "no test ran"
        raise SimulatorError(f"{module} in {compiled.simulator.name}: {reason}: see {log}")
    return Run(tuple(passed), log, results, seconds, cpu)


def _children_seconds() -> float:
    """Return the CPU time of all processes started from here that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _outcome(results: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the names of the passed tests, and the failed ones with one line of why."""
    if not results.exists():
        return [], []
    passed: list[str] = []
    failed: list[tuple[str, str]] = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        name = case.get("name", "?")
        trouble = case.find("failure")
        trouble = case.find("error") if trouble is None else trouble
        if trouble is not None:
            why = trouble.get("message") or trouble.get("error_msg") or (trouble.text or "")
            failed.append((name, " ".join(why.split())[:200]))
        elif case.find("skipped") is None:
            passed.append(name)
    return passed, failed
