"""Clock gates: flip-flops get no clock while they keep their value (decision 018).

Yosys' `clockgate` finds those that share an enable. Wide registers without one get one before
(self_gate.v): that they would change. A gate is an OR of the clock and the enable's inverse: while
the clock is high, and the enable still settles, its output is high whatever that does; so an enable
has half a cycle, and no latch is needed. A group has one gate for every few of its flip-flops,
which it can drive as steeply as the clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Any

from .library import GATES

LEAST = 2  # flip-flops that share an enable, for a gate to be worth its place (decision 018)
MOST = 8  # flip-flops behind one gate: from here on its edges, and so they, take more than it saves
MARK = "shiftwork_clock_gate"  # attribute of a gate's cell (osu018.v): its pin for the clock
SELF_MARK = "shiftwork_self_gate"  # attribute of flip-flops that self_gate.v gave an enable
SELF_GATES = GATES.with_name("self_gate.v")
# Not in the array, whose registers change in most beats. Modules are named after what they are in.
SELF_GATE = f"techmap -map {SELF_GATES.name} * *_core_array* %d"
# Resets become data, and part of the enable, in two steps: in one, enables would become data.
SCRIPT = """dfflegalize -cell $_DFF_P_ 01 -cell $_SDFFCE_PP?P_ 01 -cell $_DFFE_PP_ 01
dfflegalize -cell $_DFF_P_ 01 -cell $_DFFE_PP_ 01
opt_merge
opt_clean
clockgate -pos shiftwork_clock_gate enable:clk:gated -min_net_size {least}
"""


def split_gates(modules: Mapping[str, Any], most: int = MOST) -> None:
    """Give groups of more than ``most`` flip-flops as many gates as they need, in place."""
    for module in modules.values():
        free = 1 + max(_numbers(module), default=0)
        for gate, ends in _behind(module).items():
            parts = -(-len(ends) // most)
            for part in range(1, parts):
                name, cell = f"{gate}_{part}", module["cells"][gate]
                wires = {**cell["connections"], _output(cell): [free]}
                module["cells"][name] = {**cell, "connections": wires}
                module["netnames"][name] = {"bits": [free]}
                for end, pin in ends[part::parts]:
                    module["cells"][end]["connections"][pin] = [free]
                free += 1


def count_gates(module: Mapping[str, Any], library: Set[str]) -> tuple[int, int, int]:
    """Return a module's flip-flops, those behind clock gates among them, and these gates.

    ``library`` has the names of its cells, to tell them from memories and other modules.
    """
    behind = _behind(module)
    gated = sum(map(len, behind.values()))
    clock = module["ports"].get("clk", {}).get("bits")
    direct = sum(
        cell["type"] in library and not clock_pin(cell) and clock in cell["connections"].values()
        for cell in module["cells"].values()
    )
    return direct + gated, gated, len(behind)


def clock_pin(cell: Mapping[str, Any]) -> str | None:
    """Return the pin of a clock gate that takes the clock, None of any other cell."""
    return cell.get("attributes", {}).get(MARK)


def enable_pin(cell: Mapping[str, Any]) -> str:
    """Return the pin of a clock gate that takes the enable's inverse."""
    clock, ways = clock_pin(cell), cell["port_directions"]
    return next(pin for pin, way in ways.items() if way == "input" and pin != clock)


def self_gates(module: Mapping[str, Any]) -> set[str]:
    """Return the clock gates whose enable is that what is behind them would change."""
    cells = module["cells"]
    return {
        gate
        for gate, ends in _behind(module).items()
        if any(SELF_MARK in cells[end]["attributes"] for end, _ in ends)
    }


def ungated(module: Mapping[str, Any]) -> dict[tuple[str, str], int | str]:
    """Return, by cell and pin, the net before its gate of every pin behind one."""
    found: dict[tuple[str, str], int | str] = {}
    for gate, ends in _behind(module).items():
        cell = module["cells"][gate]
        before: int | str = cell["connections"][cell["attributes"][MARK]][0]
        found |= {end: before for end in ends}
    return found


def _output(cell: Mapping[str, Any]) -> str:
    return next(pin for pin, way in cell["port_directions"].items() if way == "output")


def _behind(module: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return, by gate, the cells and pins that get its clock."""
    gates = {name: cell for name, cell in module["cells"].items() if clock_pin(cell)}
    gate_of = {cell["connections"][_output(cell)][0]: name for name, cell in gates.items()}
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if name not in gates and len(bits) == 1 and bits[0] in gate_of:
                found[gate_of[bits[0]]].append((name, pin))
    return found


def _numbers(module: Mapping[str, Any]) -> set[int]:
    """Return the numbers of a module's nets."""
    bits = [bit for net in module["netnames"].values() for bit in net["bits"]]
    bits += [bit for cell in module["cells"].values() for ends in cell["connections"].values()
             for bit in ends]  # fmt: skip
    return {bit for bit in bits if isinstance(bit, int)}
