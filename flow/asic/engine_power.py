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
from .hierarchy import (
    BESIDE,
    CELL,
    DUT,
    GATE,
    Hierarchy,
    build_hierarchy,
    write_module,
)
from .library import Library
from .parts import split_delays
from .simulate import Toggles, count_toggles, fine_models
from .sta import LEAST_ANNOTATED, Design, NotAnnotated, delays, engine_power
from .surroundings import for_simulation, for_timing, recorder

PERIOD = 40  # ns: 25 MHz, as the arrays'


@dataclass(frozen=True)
class Timed:
    """A netlist with its delays.

    Attributes
    ----------
    hierarchy : Hierarchy
    design : Design
    delays : dict of str to Path
        SDF files, by the path of the part of a module that they are of.
    critical, enables : float
        Longest path between registers, and to a clock gate's enable, in ns.
    """

    hierarchy: Hierarchy
    design: Design
    delays: dict[str, Path]
    critical: float
    enables: float


@dataclass(frozen=True)
class Run:
    """A program's run on a netlist.

    Attributes
    ----------
    power : dict of str to dict of str to float
        By block: internal, switching and leakage, in watts.
    annotated : float
        Share of the pins that have toggles.
    unknown : float
        Share of the pins that never had a value while toggles were counted: they have none.
    cycles : int
        Of the program, from the first access to memory to the interrupt.
    beats : int
        Cycles among them in which the array computed.
    checked : int
        Bytes compared.
    """

    power: dict[str, dict[str, float]]
    annotated: float
    unknown: float
    cycles: int
    beats: int
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
    (work / "timed.v").write_text(hierarchy.timed)
    (work / "powered.v").write_text(hierarchy.powered)
    (work / "around.v").write_text(for_timing(hierarchy, top))
    script = """read_verilog -lib timed.v
read_verilog around.v
proc
simplemap
dfflibmap -liberty cells.lib
clean
write_json edges.json
"""
    run_yosys(work, "around", script)
    modules = read_netlist(work / "edges.json")
    names = {name: name for name in (BESIDE, *hierarchy.memories, top)}
    edges = "".join(write_module(modules, name, names, {}, "powered") for name in names)
    (work / "edges.v").write_text(edges)
    path = rf"{DUT}/(?:\S+/)?"
    enables = [f"{gate}/{pin}" for gate, pin in hierarchy.enables.items()]
    design = Design(
        top, ("p_clk",), ("timed.v", "edges.v"), rf"{path}[{CELL}{GATE}]\d+",
        rf"{path}{GATE}\d+", tuple(enables), ("powered.v", "edges.v"),
    )  # fmt: skip
    paths = delays(work, PERIOD, design)
    files = split_delays(work / "netlist.sdf", hierarchy.parts)
    return Timed(hierarchy, design, files, *paths)


def run_netlist(
    config: EngineConfig, timed: Timed, library: Library, program: Program,
    inputs: Mapping[str, Any], expected: Mapping[str, Any], work: Path,
    recorder: str = "", most: int | None = None, stops: bool = False,
) -> SimResult:  # fmt: skip
    """Run a program on a netlist with its delays in the cocotb bench, and compare every byte.

    Parameters
    ----------
    recorder : str
        What else the bench holds, see `surroundings`.
    most : int, optional
        Cycles after which the netlist counts as hung.
    stops : bool
        What clock gates do whose enable has no value, see `surroundings`.

    Raises
    ------
    ToolError
        If a byte differs, or a tool is missing or fails.
    """
    source, folder = work / "simulation.v", work / "run"
    top = timed.design.top
    source.write_text(for_simulation(timed.hierarchy, top, timed.delays, recorder, stops))
    models = [*fine_models(library, work), MEMORY]
    result = simulate(
        program, config, [source, work / "engine.v", *models], inputs, expected, "icarus",
        waveform=False, period=PERIOD, work=folder, module=top, max_cycles=most,
        builds=work,  # hundreds of megabytes that no other run could use
    )  # fmt: skip
    if not result.ok or not result.checked_bytes:
        raise ToolError(
            f"the netlist of engine {config.name}, {config.arithmetic}, differs from the golden "
            f"model: {result.summary()}"
        )
    log = (folder / "sim.log").read_text("utf-8", "replace")
    lost = next((line for line in log.splitlines() if "SDF " in line), None)
    if lost:
        raise ToolError(f"the simulation lacks delays: {lost}")
    return result


def run_engine(
    config: EngineConfig, timed: Timed, library: Library, program: Program,
    inputs: Mapping[str, Any], expected: Mapping[str, Any], work: Path,
) -> Run:  # fmt: skip
    """Run a program on a netlist as `run_netlist` does, and return the power.

    Raises
    ------
    NotAnnotated
        If fewer than 95 % of the pins have toggles, or ever had a value.
    ToolError
        If a byte differs, or a tool is missing or fails.
    """
    records = recorder(timed.hierarchy)
    result = run_netlist(config, timed, library, program, inputs, expected, work, records)
    folder = work / "run"
    cycles = int((folder / "cycles.txt").read_text())
    dump = folder / "dump.vcd"
    nets, unknown = count_toggles(dump, undefined=True)
    dump.unlink()
    cells, toggles = timed.hierarchy.cells, Toggles(nets, cycles, result.checked_bytes)
    power, share = engine_power(cells, toggles, work, PERIOD, timed.design)
    pins = [net for cell in cells.values() for net in cell.pins.values() if net is not None]
    without = sum(net in unknown for net in pins) / len(pins)
    check_values(share - without)
    return Run(
        {block: asdict(of) for block, of in power.items()}, share, without, cycles,
        result.totals["compute"], result.checked_bytes,
    )  # fmt: skip


def check_values(share: float) -> None:
    """Refuse a figure where too few pins ever had a value: they count as still.

    Parameters
    ----------
    share : float
        Of the pins, those that have toggles and had a value.

    Raises
    ------
    NotAnnotated
        If they are fewer than 95 %.
    """
    if share < LEAST_ANNOTATED:
        raise NotAnnotated(
            f"only {share:.1%} of the netlist's pins ever had a value in the simulation, "
            f"{LEAST_ANNOTATED:.0%} are needed: power would not be the workload's"
        )
