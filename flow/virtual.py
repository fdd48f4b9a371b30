"""A board in Verilator behind a pseudo-terminal, for the driver that talks to real ones."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import boards, hw
from ..boards.top import Board, Top
from ..boards.virtual.platform import MODULE, VirtualBoard
from .emit import emit_component, tool_versions
from .files import content_key
from .tools import ToolError
from .verilate import verilate

CACHE = Path("build/cache/verilate")
DIVISOR = 4  # clock cycles per bit: as few as the line's receiver can do with, to be quick
MAIN = Path(boards.__path__[0]) / "virtual" / "main.cpp"
_EMITTERS = ("emit.py", "merge.py", "names.py", "rtlil.py", "verilog.py")


def _source_key(board: Board) -> str:
    """Return a hash of all that decides what the board's Verilog is."""
    folders = [Path(package.__path__[0]) for package in (hw, boards)]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    files += [Path(__file__).with_name(name) for name in _EMITTERS]
    sources = b"".join(path.read_bytes() for path in files)
    return content_key(sources, asdict(board), DIVISOR, tool_versions())


def build_virtual(board: Board, cache: Path = CACHE) -> Path:
    """Return the executable of a virtual board; built once for the same sources.

    Raises
    ------
    SimulatorError
        If Verilator is missing or fails.
    """
    folder = cache / f"{board.name}-{_source_key(board)}"
    verilog = folder / f"{MODULE}.v"
    if not verilog.exists():
        emit_component(VirtualBoard(Top(board, DIVISOR)), MODULE, folder)
    return verilate(verilog, MODULE, MAIN, "board", cache=folder)


class VirtualRun:
    """A virtual board that runs as long as the context lasts.

    Parameters
    ----------
    program : Path
        Of `build_virtual`.
    damage : float
        Probability that a byte is damaged on its way, either way, 0..1.
    seed : int
        Of the damage.

    Attributes
    ----------
    port : str
        The pseudo-terminal, to be opened like a serial port.
    counts : dict of str to int
        After the end: cycles simulated, bytes received and sent, bytes damaged.

    Raises
    ------
    ValueError
        If the probability is out of range.
    ToolError
        If it does not start.
    """

    def __init__(self, program: Path, *, damage: float = 0.0, seed: int = 1) -> None:
        if not 0 <= damage < 1:
            raise ValueError(f"damage must be at least 0 and below 1, not {damage:g}")
        self._command = [str(program), "--divisor", str(DIVISOR), "--damage", str(damage),
                         "--seed", str(seed)]  # fmt: skip
        self.port = ""
        self.counts: dict[str, int] = {}

    def __enter__(self) -> VirtualRun:
        """Start the board."""
        self._process: Any = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        kind, _, self.port = self._process.stdout.readline().strip().partition(" ")
        if kind != "port":
            self.__exit__()
            raise ToolError("the virtual board did not start: no pseudo-terminal")
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the board."""
        text, _ = self._process.communicate()
        self.counts = json.loads(text) if text.strip() else {}

    @property
    def running(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None
