"""A board in Verilator behind a pseudo-terminal, for the driver that talks to real ones."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .. import boards
from ..boards.top import Board, Top
from ..boards.virtual.platform import MODULE, VirtualBoard
from .emit import emit_component
from .tools import ToolError
from .verilate import CACHE, verilate

DIVISOR = 4  # clock cycles per bit: as few as the line's receiver can do with, to be quick
MAIN = Path(boards.__path__[0]) / "virtual" / "main.cpp"


def build_virtual(board: Board, cache: Path = CACHE) -> Path:
    """Return the executable of a virtual board; built once for the same Verilog.

    Raises
    ------
    SimulatorError
        If Verilator is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder:
        emitted = emit_component(VirtualBoard(Top(board, DIVISOR)), MODULE, Path(folder))
        return verilate(emitted.verilog, MODULE, MAIN, "board", cache=cache)


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
