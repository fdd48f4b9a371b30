"""Timing and power of a mapped array by OpenSTA."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..tools import ToolError, find_tool, run_tool
from .liberty import pin_energies, weigh_by_pin
from .mapping import BLOCKS, TOP, Cell, Netlist
from .parts import CELL_BEGIN
from .simulate import INPUT_DELAY, Toggles

_TIMES = re.compile(r"\([-\d.:]+\)")  # of an SDF file
LEAST_ANNOTATED = 0.95  # share of pins without whose toggles a figure says little of the workload
INPUT_SLEW = 0.1  # ns
SECOND = 1e9  # ns
LEAST_POWER = 1e-9  # W: below it is rounding, a tenth of a toggle per cycle takes 10 times it
MOST_STILL = 0.01  # share of cells that have OpenSTA's default activity


class NotAnnotated(RuntimeError):
    """Too few pins of a netlist have toggles: its power would be a guess."""


@dataclass(frozen=True)
class Power:
    """Power of one block, in watts."""

    internal: float
    switching: float
    leakage: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.internal + self.switching + self.leakage


def need_sta() -> str:
    """Return OpenSTA's version; it must be there, and one whose power report is known.

    Raises
    ------
    ToolError
        If it is not; the message says what to do.
    """
    path = find_tool("sta")
    if path is None:
        raise ToolError("sta not found: apt-get install opensta")
    with tempfile.TemporaryDirectory() as name:
        text = _sta("version", "puts [sta::version]\nexit\n", Path(name))
    version = text.strip().splitlines()[-1:] or ["none"]
    if not version[0].startswith("2.0."):
        raise ToolError(
            f"sta is of version {version[0]}; its energies are known for 2.0 (Debian's opensta)"
        )
    return version[0]


@dataclass(frozen=True)
class Design:
    """What OpenSTA reads: the top module, its clocks and Verilog files.

    ``simulated`` is a regular expression of the cells that the simulation has too: their delays
    alone are kept. Empty: all. ``gates`` is one of clock gates among them: the clock is ideal, so
    they have none. ``enables`` are the pins where these get their enables. ``powered`` are the
    files in which they drive their flip-flops, for the power report.
    """

    top: str = TOP
    clocks: tuple[str, ...] = ("clk", "clk_weights")
    files: tuple[str, ...] = ("netlist.v",)
    simulated: str = ""
    gates: str = ""
    enables: tuple[str, ...] = ()
    powered: tuple[str, ...] = ()

    def is_clock(self, net: str) -> bool:
        """Return whether a net is one of the clocks, in whatever module."""
        return net.rpartition("/")[2] in self.clocks


ARRAY = Design()


class Paths(NamedTuple):
    """Longest paths in ns: between registers, and to the enables of clock gates (0: none)."""

    critical: float
    enables: float = 0.0


def _tcl(design: Design, period: float, body: str, liberty: str = "cells.lib") -> str:
    files = "\n".join(f"read_verilog {file}" for file in design.files)
    clocks = "\n".join(
        f"create_clock -name {clock} -period {period} [get_ports {clock}]"
        for clock in design.clocks
    )
    return f"""read_liberty {liberty}
{files}
link_design {design.top}
{clocks}
set_input_delay {INPUT_DELAY} -clock {design.clocks[0]} [all_inputs]
set_input_transition {INPUT_SLEW} [all_inputs]
set_output_delay 0 -clock {design.clocks[0]} [all_outputs]
{body}
exit
"""


def _sta(name: str, script: str, work: Path) -> str:
    (work / f"{name}.tcl").write_text(script)
    log = work / f"{name}.log"
    run_tool("sta", ["-no_splash", "-exit", f"{name}.tcl"], cwd=work, log=log)
    text = log.read_text("utf-8", "replace")
    error = re.search(r"^(?:Error|.*invalid command name|.*no such variable).*", text, re.M)
    if error:  # Tcl errors leave its exit code 0
        raise ToolError(f"sta failed: {error[0]}")
    return text


def delays(work: Path, period: float, design: Design = ARRAY) -> Paths:
    """Write ``netlist.sdf`` for the netlist in ``work``; return its longest paths.

    Raises
    ------
    ToolError
        If OpenSTA is missing, fails, or finds no path; if an enable comes after the falling edge.
    """
    pins = "".join(f" [sta::find_pin {{{pin}}}]" for pin in design.enables)
    gates = f"\nreport_checks -path_delay max -to [list{pins}] -format full" if pins else ""
    body = f"""write_sdf -divider / -digits 4 full.sdf
report_checks -path_delay max -from [all_registers -clock_pins] -to [all_registers -data_pins] \
-format full
puts ENABLES{gates}
puts DONE"""
    text = _sta("timing", _tcl(design, period, body), work)
    sdf = work / "full.sdf"
    parts = text.partition("ENABLES")
    critical, enables = (_arrival(part) for part in (parts[0], parts[2]))
    if critical is None or not sdf.exists():
        raise ToolError("sta reports no path between registers")
    if design.enables and (enables is None or "(MET)" not in parts[2]):
        raise ToolError(f"clock gates: sta finds no enable within half of {period} ns, {enables}")
    # Wires without delay: Icarus cannot place them, and they say nothing.
    kept = "\n".join(line for line in sdf.read_text().splitlines() if "(INTERCONNECT" not in line)
    if design.simulated:
        kept = _only(kept, design.simulated, design.gates)
    (work / "netlist.sdf").write_text(kept + "\n")
    sdf.unlink()
    return Paths(critical, enables or 0.0)


def _arrival(report: str) -> float | None:
    found = re.search(r"^\s*([\d.]+)\s+data arrival time", report, re.M)
    return float(found[1]) if found else None


def _only(sdf: str, instances: str, ideal: str) -> str:
    """Return an SDF file with the cells whose names match only, ``ideal`` ones without delay."""
    head, *cells = sdf.rstrip().removesuffix(")").rstrip().split(CELL_BEGIN)
    kept = []
    for cell in cells:
        if re.search(rf"\(INSTANCE (?:{instances})\)", cell):
            still = ideal and re.search(rf"\(INSTANCE (?:{ideal})\)", cell)
            kept.append(_TIMES.sub("(0.0000)", cell) if still else cell)
    return CELL_BEGIN.join([head, *kept]) + "\n)"


def pin_activities(cells: Mapping[str, Cell], toggles: Toggles) -> tuple[dict[str, float], float]:
    """Return toggles per cycle by pin (``cell/pin``), and the share of pins that have them.

    Pins tied to a constant do not count.
    """
    found: dict[str, float] = {}
    pins = 0
    for name, cell in cells.items():
        for pin, net in cell.pins.items():
            if net is None:
                continue
            pins += 1
            if net in toggles.nets:
                found[f"{name}/{pin}"] = toggles.nets[net] / toggles.cycles
    return found, len(found) / pins if pins else 0.0


def power(
    netlist: Netlist, toggles: Toggles, work: Path, period: float
) -> tuple[dict[str, Power], float]:
    """Return power by block, and the share of pins annotated.

    Every pin keeps its toggles only if no path leads to it from an input but through a register:
    from inputs OpenSTA 2.0.17 spreads its own guesses at each report. So is it in an array.

    OpenSTA gives every clock net two toggles per period, whatever is annotated. Weight registers
    are clocked once per block only, so those are reported with a clock of that much longer a
    period.

    Raises
    ------
    NotAnnotated
        If fewer than 95 % of the pins have toggles.
    ToolError
        If OpenSTA is missing or fails, or reports nothing for a cell.
    """
    lines, share = annotate(netlist.cells, toggles, work)
    pulses = toggles.nets["clk_weights"] / 2 / toggles.cycles
    held = {name for name, cell in netlist.cells.items() if cell.block == "weights"}
    rest = [name for name in netlist.cells if name not in held]
    found = _report("power", lines, 1.0, rest, work, period)
    found |= _report("held", lines, pulses, sorted(held), work, period)
    return by_block(netlist.cells, found, BLOCKS), share


def engine_power(
    cells: Mapping[str, Cell], toggles: Toggles, work: Path, period: float, design: Design
) -> tuple[dict[str, Power], float]:
    """Return power by block of a netlist of one clock, and the share of pins annotated.

    As `power`, whose demands on inputs and whose errors it shares. OpenSTA charges a wire to the
    cell that drives it. What none drives, the clock before its gates, is charged here to those it
    drives: their pins' capacitance, as behind a gate.

    Logic that no clock reaches keeps OpenSTA's default activity, whatever is annotated, and behind
    a gate the clock is a net like others. So logic is reported with flip-flops at the clock itself,
    as `delays` has them; gates and the flip-flops behind them where the one drives the other, with
    the pulses that were counted and the edges that a gate makes.
    """
    lines, share = annotate(cells, toggles, work)
    found = _report("power", lines, 1.0, list(cells), work, period, design)
    if behind := _behind(cells, design):
        driven = [name for name, cell in cells.items() if behind & {*cell.pins.values()}]
        gates = replace(design, files=design.powered)
        found |= _report("gates", lines, 1.0, driven, work, period, gates)
    _rest(cells, toggles, found, design)
    energies = pin_energies((work / "cells.lib").read_text("utf-8", "replace"))
    for name, cell in cells.items():
        internal, switching, leakage = found[name]
        for pin, net in cell.pins.items():
            if net and design.is_clock(net):
                pulses = toggles.nets[net] / 2 / toggles.cycles
                switching += energies[cell.kind, pin] * pulses / (period * 1e-9)
        found[name] = internal, switching, leakage
    blocks = dict.fromkeys(cell.block for cell in cells.values())
    return by_block(cells, found, list(blocks)), share


def _behind(cells: Mapping[str, Cell], design: Design) -> set[str]:
    """Return the nets behind clock gates."""
    gates = (each.rpartition("/") for each in design.enables)
    return {
        net
        for gate, _, enable in gates
        for pin, net in cells[gate].pins.items()
        if net and pin != enable and not design.is_clock(net)
    }


def _rest(
    cells: Mapping[str, Cell], toggles: Toggles, found: dict[str, tuple[float, float, float]],
    design: Design,
) -> None:  # fmt: skip
    """Leave cells whose pins never moved their leakage alone: the rest is OpenSTA's default.

    Such are a few that only constants reach. Were there many, others would have lost the toggles
    that were counted.
    """
    still = [
        name for name, cell in cells.items()
        if sum(found[name][:2]) > LEAST_POWER and not any(
            toggles.nets.get(net) or design.is_clock(net) for net in cell.pins.values() if net
        )
    ]  # fmt: skip
    if len(still) > MOST_STILL * len(cells):
        raise ToolError(
            f"sta gives power to {still[0]} and {len(still) - 1} others that never move"
        )
    for name in still:
        found[name] = 0.0, 0.0, found[name][2]


def by_block(
    cells: Mapping[str, Cell], found: Mapping[str, tuple[float, float, float]],
    blocks: Sequence[str],
) -> dict[str, Power]:  # fmt: skip
    """Return the power of blocks that have cells, from that of each cell, in watts."""
    parts: dict[str, list[tuple[float, float, float]]] = {block: [] for block in blocks}
    for name, cell in cells.items():
        if cell.block in parts:
            parts[cell.block].append(found[name])
    return {
        block: Power(*(math.fsum(column) for column in zip(*of, strict=True)))
        for block, of in parts.items() if of
    }  # fmt: skip


def annotate(
    cells: Mapping[str, Cell], toggles: Toggles, work: Path
) -> tuple[list[tuple[str, float, float]], float]:
    """Write ``power.lib``; return what `_report` sets at pins, and the share of pins annotated.

    Raises
    ------
    NotAnnotated
        If fewer than 95 % of the pins have toggles.
    """
    activities, share = pin_activities(cells, toggles)
    if share < LEAST_ANNOTATED:
        raise NotAnnotated(
            f"only {share:.1%} of the netlist's pins have toggles from the simulation, "
            f"{LEAST_ANNOTATED:.0%} are needed: power would not be the workload's"
        )
    text, causes = weigh_by_pin((work / "cells.lib").read_text("utf-8", "replace"))
    (work / "power.lib").write_text(text)
    return list(_annotations(cells, activities, causes)), share


def _annotations(
    cells: Mapping[str, Cell], activities: dict[str, float], causes: dict[str, set[str]]
) -> Iterator[tuple[str, float, float]]:
    """Yield for each pin its name, toggles per cycle, and weight of its energy table."""
    for name, cell in cells.items():
        inputs = causes.get(cell.kind, set())
        total = math.fsum(activities.get(f"{name}/{pin}", 0.0) for pin in inputs)
        for pin in cell.pins:
            activity = activities.get(f"{name}/{pin}")
            if activity is not None:
                shared = pin in inputs and len(inputs) > 1 and total > 0
                yield f"{name}/{pin}", activity, 0.5 * activity / total if shared else 0.5


def _report(
    name: str, lines: list[tuple[str, float, float]], pulses: float, cells: list[str], work: Path,
    period: float, design: Design = ARRAY,
) -> dict[str, tuple[float, float, float]]:  # fmt: skip
    """Return internal, switching and leakage power by cell, in watts.

    ``pulses`` is the clock pulses per cycle. With a period of 1 / ``pulses`` cycles there are as
    many times more toggles per period.

    A cell that no clock reaches has a default activity, of toggles per second and not per period:
    next to nothing. So a cycle is a second here, and what is reported joules: such a cell shows.
    """
    body = "\n".join(
        [
            "proc set_pin {pin activity duty} {",
            "  sta::set_power_pin_activity [sta::find_pin $pin] $activity $duty",
            "}",
            "report_power",  # its figures are defaults: 2.0.17 forgets what is set before the first
            *(
                f"set_pin {{{pin}}} {value / pulses:.6g} {weight:.6g}"
                for pin, value, weight in lines
            ),
            "puts BEGIN",
            "report_power -instances [get_cells -hierarchical *] -digits 6",
            "puts END",
        ]
    )
    text = _sta(name, _tcl(design, SECOND / pulses, body, "power.lib"), work)
    table = text.partition("BEGIN")[2].partition("END")[0]
    found: dict[str, tuple[float, float, float]] = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) == 5 and re.fullmatch(r"[-+.\de]+", words[0]):
            internal, switching = (float(word) * SECOND / period for word in words[:2])
            found[words[4]] = (internal, switching, float(words[2]))
    missing = [cell for cell in cells if cell not in found]
    if missing:
        raise ToolError(f"sta reports no power for {missing[0]} and {len(missing) - 1} others")
    return {cell: found[cell] for cell in cells}
