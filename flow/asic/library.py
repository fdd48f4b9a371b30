"""Standard-cell libraries: where they are, and which gates of theirs the array circuits name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..tools import ToolError

GATES = Path(__file__).with_name("gates.v")
OSU018 = Path("/usr/share/qflow/tech/osu018")
SKY130 = Path("sky130A/libs.ref/sky130_fd_sc_hd")
INSTALL = "apt-get install qflow-tech-osu018"


@dataclass(frozen=True)
class Library:
    """A characterised library of cells.

    Attributes
    ----------
    name : str
        Name in reports.
    liberty : Path
        Areas, delays and power.
    cells : tuple of Path
        Verilog models with specify blocks.
    gates : Path or None
        Verilog that puts the library's cells in place of the gates that circuits name; None
        leaves those to logic mapping.
    defines : tuple of str
        Macros the models need.
    """

    name: str
    liberty: Path
    cells: tuple[Path, ...]
    gates: Path | None = None
    defines: tuple[str, ...] = ()


def find_library(liberty: Path | None = None, cells: Path | None = None) -> Library:
    """Return the library to use: the one given, sky130 where ``PDK_ROOT`` has it, OSU 0.18 um.

    Parameters
    ----------
    liberty, cells : Path, optional
        A library of the user's: both or neither.

    Raises
    ------
    ToolError
        If there is none; the message says how to install one.
    ValueError
        If only one file is given, or one is missing or of another kind.
    """
    if (liberty is None) != (cells is None):
        given, missing = ("--liberty", "--cells") if cells is None else ("--cells", "--liberty")
        raise ValueError(f"{given} needs {missing} of the same library")
    if liberty is not None and cells is not None:
        return _given(liberty, cells)
    root = os.environ.get("PDK_ROOT")
    if root:
        folder = Path(root) / SKY130
        corner = folder / "lib/sky130_fd_sc_hd__tt_025C_1v80.lib"
        if not corner.exists():
            raise ToolError(f"PDK_ROOT is set, but there is no {corner}; unset it for OSU 0.18 um")
        verilog = folder / "verilog"
        models = (verilog / "primitives.v", verilog / "sky130_fd_sc_hd.v")
        gates = GATES.with_name("sky130.v")
        return Library("sky130_fd_sc_hd", corner, models, gates, ("FUNCTIONAL_SPECIFY",))
    found = Library(
        "OSU 0.18 um",
        OSU018 / "osu018_stdcells.lib",
        (OSU018 / "osu018_stdcells.v",),
        GATES.with_name("osu018.v"),
    )
    if not all(path.exists() for path in (found.liberty, *found.cells)):
        raise ToolError(f"no standard cells: {INSTALL}, or give a library by --liberty and --cells")
    return found


def _given(liberty: Path, cells: Path) -> Library:
    for option, path, word in (
        ("--liberty", liberty, r"\blibrary\s*\("), ("--cells", cells, r"\bmodule\b")
    ):  # fmt: skip
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            raise ValueError(f"{option} {path}: {error.strerror}") from None
        if not re.search(word, text):
            kind = "a Liberty file" if option == "--liberty" else "Verilog models"
            raise ValueError(f"{option} {path} is not {kind}")
    text = liberty.read_text("utf-8", "replace")
    known = {"FAX1": "osu018.v"}
    named = [file for cell, file in known.items() if re.search(rf"\bcell\s*\(\s*{cell}\b", text)]
    gates = GATES.with_name(named[0]) if named else None
    return Library(liberty.stem, liberty, (cells,), gates)
