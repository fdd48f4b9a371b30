"""Reading Yosys JSON netlists: ports, cells by type, area by block of the hierarchy."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What one cell takes in the device, in lookup tables of 4 inputs (ECP5's TRELLIS_COMB). An iCE40's
# carry is beside a lookup table, which is counted where it is one; nextpnr's count has the rest.
# A Gowin's adder (ALU) is a lookup table.
LUTS = {
    "LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6, "TRELLIS_COMB": 1, "SB_LUT4": 1,
    "LUT1": 1, "LUT2": 1, "LUT3": 1, "ALU": 1, "RAM16SDP4": 4, "RAM16SDP2": 2, "RAM16SDP1": 1,
}  # fmt: skip
FLIP_FLOPS = re.compile(r"TRELLIS_FF|SB_DFF\w*|DFF[NSRPCE]*")
BLOCK_RAMS = re.compile(r"DP16KD|PDPW16KD|SB_RAM40_4K\w*|(DP|SDP|SP|DPX9|SDPX9|SPX9|pROM|pROMX9)B?")
DSPS = frozenset({
    "MULT18X18D", "MULT9X9D", "ALU54B", "ALU24B", "PRADD18A", "PRADD9A", "SB_MAC16",
    "MULT9X9", "MULT18X18", "MULT36X36", "MULTALU18X18", "MULTALU36X18", "MULTADDALU18X18",
    "ALU54D", "PADD9", "PADD18",
})  # fmt: skip
_NOT_CELLS = frozenset({"$scopeinfo"})


@dataclass(frozen=True)
class Area:
    """Cells of a design or of one of its blocks.

    Attributes
    ----------
    lut : int
        4-input lookup tables: logic, carry chains (2 per CCU2C) and distributed memory
        (ECP5: 6 per 16x4, its write decoder included; Gowin: 4).
    ff, bram, dsp : int
        Flip-flops, block memories (of 18 kbit, on iCE40 of 4), multiplier blocks.
    """

    lut: int
    ff: int
    bram: int
    dsp: int

    @classmethod
    def of(cls, cells: Counter[str]) -> Area:
        """Add up cell counts by type."""
        return cls(
            lut=sum(LUTS.get(kind, 0) * n for kind, n in cells.items()),
            ff=sum(n for kind, n in cells.items() if FLIP_FLOPS.fullmatch(kind)),
            bram=sum(n for kind, n in cells.items() if BLOCK_RAMS.fullmatch(kind)),
            dsp=sum(n for kind, n in cells.items() if kind in DSPS),
        )


def read_netlist(path: Path) -> dict[str, Any]:
    """Return the modules of a Yosys JSON netlist, by name.

    Raises
    ------
    ValueError
        If the file is not such a netlist.
    """
    try:
        modules = json.loads(Path(path).read_bytes())["modules"]
        if not isinstance(modules, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not a Yosys JSON netlist") from None
    return modules


def module_of(modules: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one module that has cells.

    Raises
    ------
    ValueError
        If it is missing or empty: a synthesis that stopped early leaves such netlists.
    """
    module = modules.get(name)
    if module is None:
        raise ValueError(f"no module {name!r} in the netlist")
    if not any(cell["type"] not in _NOT_CELLS for cell in module.get("cells", {}).values()):
        raise ValueError(f"module {name!r} of the netlist is empty")
    return module


def ports_of(module: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return (name, direction, width in bits) of each port."""
    return [(n, p["direction"], len(p["bits"])) for n, p in module["ports"].items()]


def cell_counts(module: dict[str, Any]) -> Counter[str]:
    """Count the cells of a flat module by type."""
    kinds = (cell["type"] for cell in module["cells"].values())
    return Counter(kind for kind in kinds if kind not in _NOT_CELLS)


def area_by_block(module: dict[str, Any], depth: int = 2) -> dict[str, Area]:
    """Split the cells of a flattened module over the blocks they come from.

    A cell belongs to the block its name starts with; a lookup table is named after a net it
    drives, so one that serves two blocks counts for one of them. Blocks whose names differ only
    in a number count together, written ``name*``.

    Parameters
    ----------
    module : dict
        Flattened module whose names tell the hierarchy (``block.sub.cell``).
    depth : int
        Levels of the hierarchy told apart.

    Returns
    -------
    dict of str to Area
        Largest first; ``(top)`` holds what belongs to no block.
    """
    scopes = {n for n, c in module["cells"].items() if c["type"] in _NOT_CELLS}
    found: dict[str, Counter[str]] = {}
    for name, cell in module["cells"].items():
        if cell["type"] in _NOT_CELLS:
            continue
        parts = name.split(".")
        block = "(top)"
        for level in range(min(depth, len(parts) - 1), 0, -1):
            if ".".join(parts[:level]) in scopes:
                block = ".".join(re.sub(r"\d+$", "*", part) for part in parts[:level])
                break
        found.setdefault(block, Counter())[cell["type"]] += 1
    areas = {block: Area.of(cells) for block, cells in found.items()}
    return dict(sorted(areas.items(), key=lambda item: (-item[1].lut, -item[1].ff, item[0])))
