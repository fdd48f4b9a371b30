"""Critical path of a mapped engine, and its power while it runs a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...hw.config import EngineConfig
from ...model.program import Program
from ...sim.result import SimResult
from ...sim.scoreboard import simulate
from ..netlist import read_netlist
from ..synth import run_yosys
from ..tools import ToolError
from .engine import MEMORY
from .hierarchy import DUT, Hierarchy, build_hierarchy, write_module
from .library import Library
from .simulate import Toggles, count_toggles, fine_models
from .sta import Design, delays, engine_power
from .surroundings import for_simulation, for_timing

PERIOD = 40  # ns: 25 MHz, as the arrays'
WINDOW, EVERY = 16, 64  # cycles recorded, and of how many


@dataclass(frozen=True)
class Timed:
    """A netlist with its delays (``netlist.sdf`` in the folder).

    Attributes
    ----------
    hierarchy : Hierarchy
    design : Design
    critical : float
        Longest path between registers, in ns.
    """

    hierarchy: Hierarchy
    design: Design
    critical: float


@dataclass(frozen=True)
class Run:
    """A program's run on a netlist.

    Attributes
    ----------
    power : dict of str to dict of str to float
        By block: internal, switching and leakage, in watts.
    annotated : float
        Share of the pins that have toggles.
    cycles : int
        Of the program, from the first access to memory to the interrupt.
    recorded : int
        Cycles whose toggles were counted.
    checked : int
        Bytes compared.
    """

    power: dict[str, dict[str, float]]
    annotated: float
    cycles: int
    recorded: int
    checked: int


def time_engine(work: Path, top: str) -> Timed:
    """Time the netlist that `map_engine` has left in ``work``, between registers.

    Every pin of a memory and every input has a register, so what a memory takes to read does not
    count.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    hierarchy = build_hierarchy(read_netlist(work / "netlist.json"), top)
    (work / "engine.v").write_text(hierarchy.verilog)
    (work / "around.v").write_text(for_timing(hierarchy, top))
    script = """read_verilog -lib engine.v
read_verilog around.v
proc
simplemap
dfflibmap -liberty cells.lib
clean
write_json edges.json
"""
    run_yosys(work, "around", script)
    modules = read_netlist(work / "edges.json")
    names = {name: name for name in (*hierarchy.memories, top)}
    edges = "".join(write_module(modules, name, names, {}) for name in names)
    (work / "edges.v").write_text(edges)
    design = Design(top, ("p_clk",), ("engine.v", "edges.v"), rf"{DUT}/(?:\S+/)?u\d+")
    return Timed(hierarchy, design, delays(work, PERIOD, design))


def run_engine(
    config: EngineConfig, timed: Timed, library: Library, program: Program,
    inputs: Mapping[str, Any], expected: Mapping[str, Any], work: Path,
) -> Run:  # fmt: skip
    """Run a program on a netlist with its delays, compare every byte, and return the power.

    Raises
    ------
    NotAnnotated
        If fewer than 95 % of the pins have toggles.
    ToolError
        If a byte differs, or a tool is missing or fails.
    """
    source, folder = work / "simulation.v", work / "run"
    source.write_text(for_simulation(timed.hierarchy, timed.design.top, work, WINDOW, EVERY))
    models = [*fine_models(library, work), MEMORY]
    result = simulate(
        program, config, [source, work / "engine.v", *models], inputs, expected, "icarus",
        waveform=False, period=PERIOD, work=folder, module=timed.design.top,
    )  # fmt: skip
    require_equal(config, result)
    log = (folder / "sim.log").read_text("utf-8", "replace")
    lost = next((line for line in log.splitlines() if "SDF " in line), None)
    if lost:
        raise ToolError(f"the simulation lacks delays: {lost}")
    recorded, cycles = map(int, (folder / "cycles.txt").read_text().split())
    dump = folder / "dump.vcd"
    toggles = Toggles(count_toggles(dump, undefined=True), recorded, result.checked_bytes)
    dump.unlink()
    power, share = engine_power(timed.hierarchy.cells, toggles, work, PERIOD, timed.design)
    return Run(
        {block: asdict(of) for block, of in power.items()}, share, cycles, recorded,
        result.checked_bytes,
    )  # fmt: skip


def require_equal(config: EngineConfig, result: SimResult) -> None:
    """Raise a ToolError unless a netlist's run compared bytes, and all are the golden model's."""
    if not result.ok or not result.checked_bytes:
        raise ToolError(
            f"the netlist of engine {config.name}, {config.arithmetic}, differs from the golden "
            f"model: {result.summary()}"
        )
