"""Verilog and a main program in C++ to one executable, by Verilator."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from ..sim.tools import (
    VERILATOR_MAKE,
    VERILATOR_QUIET,
    VERILATOR_SPEED,
    SimulatorError,
    find_simulator,
)
from .files import content_key

CACHE = Path("build/cache/verilate")
_FLAGS = VERILATOR_SPEED + VERILATOR_QUIET
_KEPT_ERROR_LINES = 3


def verilate(
    verilog: Path, top: str, main: Path, name: str, *, cache: Path = CACHE, jobs: int = 1
) -> Path:
    """Compile a simulation with a main program of its own, or find it compiled already.

    Parameters
    ----------
    verilog : Path
        Plain Verilog.
    top : str
        Its top module.
    main : Path
        C++ that includes ``V{name}.h``.
    name : str
        Of the class and the executable.
    cache : Path
        Folder of the executables, by the content of the sources and Verilator's version.
    jobs : int
        Compilers at a time.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    SimulatorError
        If Verilator is missing, or it or the compiler fails.
    """
    simulator = find_simulator("verilator")
    flags = (*_FLAGS, VERILATOR_MAKE)
    key = content_key(
        verilog.read_bytes(), main.read_bytes(), top, name, flags, simulator.version_text
    )
    target = cache.absolute() / f"{name}-{key}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as work:
        done = subprocess.run(
            [simulator.executable, "--cc", "--exe", "--build", "-j", str(jobs), *_FLAGS,
             "--top-module", top, "--prefix", f"V{name}", "--Mdir", work, "-o", name,
             "-MAKEFLAGS", VERILATOR_MAKE, verilog.absolute(), main.absolute()],
            env={**os.environ, **simulator.environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        built = Path(work) / name
        if done.returncode or not built.exists():
            lines = [line for line in done.stdout.splitlines() if "rror" in line]
            why = " ".join(lines[:_KEPT_ERROR_LINES]) or done.stdout.strip()[-200:] or "no output"
            raise SimulatorError(f"{name} could not be built: {why}")
        built.replace(target)
    return target
