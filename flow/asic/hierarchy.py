"""A mapped engine as Verilog that OpenSTA reads and Icarus simulates with delays.

OpenSTA 2.0 reads neither parameters nor sides of assignments that are joined of parts, so the
netlist is written from Yosys' JSON: one wire per net, short names without escapes. Memories become
modules of their own, which timing and simulation define in their own way.

Clock gates are what the netlist is written for in three ways. Simulated, they drive their
flip-flops, and an enable without a value lets the clock through: a register whose enable is that it
would change learns a value by it, as silicon does, and else would have none for ever. Timed, those
have the ideal clock itself and a gate drives one register beside them (`BESIDE`), else flip-flops
and the logic of enables would be loops, which OpenSTA cuts anywhere. In its power report it would
give every net that a clock reaches two toggles per period: there each gate gets what it takes for a
clock from such a register, and behind it are nets like others, with the toggles that were counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .clock_gates import clock_pin, enable_pin, ungated
from .mapping import Cell

View = Literal["simulated", "timed", "powered"]
VIEWS: tuple[View, ...] = ("simulated", "timed", "powered")
DUT = "i_dut"  # instance of the engine in what stands around it
MEMORY_CELL = "shiftwork_memory"
BESIDE = "beside"  # module of one register, about a clock gate
CELL, GATE = "u", "g"  # names of the library's cells begin with one, those of clock gates the other
_PORTS = (  # of a memory: name, whether it goes in, and what its width is made of
    ("rd_clk", True, ("RD_PORTS",)), ("rd_en", True, ("RD_PORTS",)),
    ("rd_addr", True, ("RD_PORTS", "ABITS")), ("rd_data", False, ("RD_PORTS", "WIDTH")),
    ("wr_clk", True, ("WR_PORTS",)), ("wr_en", True, ("WR_PORTS", "WIDTH")),
    ("wr_addr", True, ("WR_PORTS", "ABITS")), ("wr_data", True, ("WR_PORTS", "WIDTH")),
)  # fmt: skip


class MemoryKind(NamedTuple):
    """Memories alike: their parameters, and the enable that each bit written has.

    Bits that are always written together have one enable, and so one pin.
    """

    parameters: dict[str, int]
    enables: tuple[int, ...]


@dataclass
class Hierarchy:
    """A netlist of modules.

    Attributes
    ----------
    top : str
        Module of the engine.
    verilog : str
        Its ports, and those of memories, have ``p_`` before their names.
    timed, powered : str
        The same for timing, and for the power report.
    ports : list of (str, bool, int)
        The engine's: name, whether it goes in, bits.
    memories : dict of str to MemoryKind
        Memories by module.
    cells : dict of str to Cell
        Every cell of the library by its path from what stands around the engine, as its nets are.
    enables : dict of str to str
        Of each clock gate, by its path, the pin for the enable's inverse.
    scopes : list of str
        Paths of all modules, that of the engine among them.
    """

    top: str
    verilog: str = ""
    timed: str = ""
    powered: str = ""
    ports: list[tuple[str, bool, int]] = field(default_factory=list)
    memories: dict[str, MemoryKind] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    enables: dict[str, str] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)


def build_hierarchy(modules: Mapping[str, Any], top: str) -> Hierarchy:
    """Return a netlist, from modules as `read_netlist` gives them."""
    own = {name: index for index, name in enumerate(_used(modules, top))}
    found = Hierarchy(f"{top}_netlist")
    names = {name: found.top if name == top else f"module_{i}" for name, i in own.items()}
    found.verilog, found.timed, found.powered = (
        "".join(write_module(modules, name, names, found.memories, view) for name in own)
        for view in VIEWS
    )
    for name, port in modules[top]["ports"].items():
        found.ports.append((name, port["direction"] == "input", len(port["bits"])))
    _walk(modules, top, (DUT,), (), found)
    return found


def block_of(path: tuple[str, ...]) -> str:
    """Say to which block of an engine an instance belongs: what it is in the core, or the top."""
    inside = path[1:] if path[:1] == ("core",) else path
    block = (inside or path or ("top",))[0]
    return re.sub(r"_\d+$", "", block)  # a number where a wire has the name


def is_module(modules: Mapping[str, Any], kind: str) -> bool:
    """Return whether a cell is an instance of a module that holds cells."""
    return bool(modules.get(kind, {}).get("cells"))


def _used(modules: Mapping[str, Any], top: str) -> list[str]:
    order, seen = [top], {top}
    for name in order:
        for cell in modules[name]["cells"].values():
            if is_module(modules, cell["type"]) and cell["type"] not in seen:
                seen.add(cell["type"])
                order.append(cell["type"])
    return order


def _nets(module: Mapping[str, Any]) -> dict[int | str, str]:
    """Return the name of every net: that of an input, or of the first output it drives."""
    names: dict[int | str, str] = {"0": "1'b0", "1": "1'b1", "x": "1'b0"}
    ports = sorted(module["ports"].items(), key=lambda item: item[1]["direction"] != "input")
    for name, port in ports:
        for index, bit in enumerate(port["bits"]):
            names.setdefault(bit, f"p_{name}" + (f"[{index}]" if len(port["bits"]) > 1 else ""))
    for net in module["netnames"].values():
        for bit in net["bits"]:
            names.setdefault(bit, f"n{bit}")
    return names


def _instances(
    modules: Mapping[str, Any], module: Mapping[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield cells with their names here and before; those of modules keep something of it."""
    taken: set[str] = set()
    for index, (name, cell) in enumerate(module["cells"].items()):
        short = f"{GATE if clock_pin(cell) else CELL}{index}"
        if "area" not in modules.get(cell["type"], {}).get("attributes", {}):
            word = "i_" + re.sub(r"\W", "_", name)
            short = f"{word}_{index}" if word in taken else word
            taken.add(word)
        yield short, name, cell


def write_module(
    modules: Mapping[str, Any], name: str, names: Mapping[str, str],
    memories: dict[str, MemoryKind], view: View = "simulated",
) -> str:  # fmt: skip
    """Return a module as Verilog; ``names`` has what modules become, ``memories`` is added to."""
    module, nets = modules[name], _nets(modules[name])
    ports = module["ports"]
    direct = ungated(module) if view == "timed" else {}
    lines = [f"module {names[name]}({', '.join(f'p_{port}' for port in ports)});"]
    for port, of in ports.items():
        span = f"[{len(of['bits']) - 1}:0] " if len(of["bits"]) > 1 else ""
        lines.append(f"  {of['direction']} {span}p_{port};")
    lines += [f"  wire {net};" for net in nets.values() if net.startswith("n")]
    for port, of in ports.items():
        for index, bit in enumerate(of["bits"]):
            mine = f"p_{port}" + (f"[{index}]" if len(of["bits"]) > 1 else "")
            if nets[bit] != mine:
                lines.append(f"  assign {mine} = {nets[bit]};")
    for short, old, cell in _instances(modules, module):
        kind, prefix = cell["type"], ""
        if kind in names:
            kind, prefix = names[kind], "p_"
        elif kind == MEMORY_CELL:
            kind, prefix = _memory(cell, memories), "p_"
        pins = []
        clock = clock_pin(cell)
        for pin, bits in cell["connections"].items():
            shown = dict.fromkeys(bits) if kind in memories and pin == "wr_en" else bits
            before = direct.get((old, pin))
            wires = [nets[bit] for bit in shown] if before is None else [nets[before]]
            if view == "powered" and pin == clock:
                lines += [f"  wire c_{short};", _beside(short, wires[0], f"c_{short}")]
                wires = [f"c_{short}"]
            elif view == "simulated" and clock and pin == enable_pin(cell):
                wires = [f"{wires[0]} === 1'b1"]
            elif view == "timed" and clock and cell["port_directions"][pin] == "output":
                lines.append(_beside(short, wires[0], ""))
            if wires:
                pins.append(f".{prefix}{pin}({_joined(wires)})")
        lines.append(f"  {kind} {short} ({', '.join(pins)});")
    return "\n".join([*lines, "endmodule\n"])


def _beside(gate: str, clock: str, out: str) -> str:
    return f"  {BESIDE} s_{gate} (.p_clk({clock}), .p_q({out}));"


def _joined(nets: list[str]) -> str:
    return nets[0] if len(nets) == 1 else f"{{{', '.join(reversed(nets))}}}"


def _memory(cell: Mapping[str, Any], memories: dict[str, MemoryKind]) -> str:
    bits = cell["connections"]["wr_en"]
    order = {bit: index for index, bit in enumerate(dict.fromkeys(bits))}
    parameters = {name: int(value, 2) for name, value in cell["parameters"].items()}
    wanted = MemoryKind(parameters, tuple(order[bit] for bit in bits))
    for name, known in memories.items():
        if known == wanted:
            return name
    name = f"memory_{len(memories)}"
    memories[name] = wanted
    return name


def _walk(
    modules: Mapping[str, Any], name: str, path: tuple[str, ...], blocks: tuple[str, ...],
    found: Hierarchy,
) -> None:  # fmt: skip
    module, nets = modules[name], _nets(modules[name])
    prefix = "/".join(path) + "/"
    found.scopes.append("/".join(path))
    for short, known, cell in _instances(modules, module):
        if is_module(modules, cell["type"]):
            _walk(modules, cell["type"], (*path, short), (*blocks, known), found)
        elif cell["type"] != MEMORY_CELL:
            pins = {
                pin: prefix + nets[bits[0]] if isinstance(bits[0], int) else None
                for pin, bits in cell["connections"].items() if bits
            }  # fmt: skip
            found.cells[prefix + short] = Cell(cell["type"], block_of(blocks), pins)
            if clock_pin(cell):
                found.enables[prefix + short] = enable_pin(cell)


def memory_ports(memory: MemoryKind) -> list[tuple[str, bool, int]]:
    """Return the ports of a memory: name, whether it goes in, bits."""
    found = []
    for name, inward, factors in _PORTS:
        bits = math.prod(memory.parameters[factor] for factor in factors)
        if name == "wr_en":
            bits = max(memory.enables) + 1
        found.append((name, inward, bits))
    return found
