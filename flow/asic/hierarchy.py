"""A mapped engine as Verilog that OpenSTA reads and Icarus simulates with delays.

OpenSTA 2.0 reads neither parameters nor sides of assignments that are joined of parts, so the
netlist is written from Yosys' JSON: one wire per net, short names without escapes. Memories become
modules of their own, which timing and simulation define in their own way.

Clock gates are what the netlist is written for in three ways. Simulated, they drive their
flip-flops. Where the enable is that these would change, one without a value lets the clock through:
a register learns a value by it, as silicon does, and else would have none for ever. At other gates
whoever simulates says what it does (`STOPS`). Timed, flip-flops have the ideal clock itself and a
gate drives one register beside them (`BESIDE`), else they and the logic of enables would be loops,
which OpenSTA cuts anywhere. In its power report it would give every net that a clock reaches two
toggles per period: there each gate gets what it takes for a clock from such a register, and behind
it are nets like others, with the toggles that were counted. Simulated, cells are in `parts` of
their module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .clock_gates import clock_pin, enable_pin, self_gates, ungated
from .mapping import Cell
from .parts import Parts, Pin, part_of

View = Literal["simulated", "timed", "powered"]
VIEWS: tuple[View, ...] = ("simulated", "timed", "powered")
DUT = "i_dut"  # instance of the engine in what stands around it
MEMORY_CELL = "shiftwork_memory"
INNER = "module_"  # names of modules within the engine begin with it
STOPS = "STOPS"  # macro: whether a clock gate stops the clock, from its enable's inverse
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
    parts : dict of str to str
        Of each cell, by its path, that of the part it is in when simulated.
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
    parts: dict[str, str] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)


def build_hierarchy(modules: Mapping[str, Any], top: str) -> Hierarchy:
    """Return a netlist, from modules as `read_netlist` gives them."""
    own = {name: index for index, name in enumerate(_used(modules, top))}
    found = Hierarchy(f"{top}_netlist")
    names = {name: found.top if name == top else f"{INNER}{i}" for name, i in own.items()}
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


def _bits_of(port: str, width: int, inner: bool) -> list[str]:
    """Return the names of a port's bits: of an inner module's, each is a port of its own.

    As one port of many bits, each change of one would make Icarus send all of them.
    """
    if width == 1:
        return [f"p_{port}"]
    return [f"p{index}_{port}" if inner else f"p_{port}[{index}]" for index in range(width)]


def _nets(module: Mapping[str, Any], inner: bool) -> dict[int | str, str]:
    """Return the name of every net: that of an input, or of the first output it drives."""
    names: dict[int | str, str] = {"0": "1'b0", "1": "1'b1", "x": "1'b0"}
    ports = sorted(module["ports"].items(), key=lambda item: item[1]["direction"] != "input")
    for name, port in ports:
        for mine, bit in zip(_bits_of(name, len(port["bits"]), inner), port["bits"], strict=True):
            names.setdefault(bit, mine)
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
    memories: dict[str, MemoryKind], view: View,
) -> str:  # fmt: skip
    """Return a module as Verilog; ``names`` has what modules become, ``memories`` is added to."""
    inner = names[name].startswith(INNER)
    module, nets = modules[name], _nets(modules[name], inner)
    ports = {port: _bits_of(port, len(of["bits"]), inner) for port, of in module["ports"].items()}
    direct = ungated(module) if view == "timed" else {}
    own_enable = self_gates(module)
    listed = [bit for port, bits in ports.items() for bit in (bits if inner else [f"p_{port}"])]
    lines = [f"module {names[name]}({', '.join(listed)});"]
    for port, bits in ports.items():
        way, span = module["ports"][port]["direction"], f"[{len(bits) - 1}:0] "
        whole = [f"{span if len(bits) > 1 else ''}p_{port}"]
        lines += [f"  {way} {each};" for each in (bits if inner else whole)]
    lines += [f"  wire {net};" for net in nets.values() if net.startswith("n")]
    for port, bits in ports.items():
        ends = zip(bits, module["ports"][port]["bits"], strict=True)
        lines += [f"  assign {mine} = {nets[bit]};" for mine, bit in ends if nets[bit] != mine]
    parts = Parts(names[name])
    for number, (short, old, cell) in enumerate(_instances(modules, module)):
        kind, prefix = names.get(cell["type"], cell["type"]), "p_" * (cell["type"] in names)
        if kind == MEMORY_CELL:
            kind, prefix = _memory(cell, memories), "p_"
        pins: list[Pin] = []
        clock = clock_pin(cell)
        for pin, bits in cell["connections"].items():
            out = cell.get("port_directions", {}).get(pin) == "output"
            shown = dict.fromkeys(bits) if kind in memories and pin == "wr_en" else bits
            before = direct.get((old, pin))
            wires = [nets[bit] for bit in shown] if before is None else [nets[before]]
            inside = "{}"
            if view == "powered" and pin == clock:
                lines += [f"  wire c_{short};", _beside(short, wires[0], f"c_{short}")]
                wires = [f"c_{short}"]
            elif view == "simulated" and clock and pin == enable_pin(cell):
                inside = "{} === 1'b1" if old in own_enable else f"`{STOPS}({{}})"
            elif view == "timed" and clock and out:
                lines.append(_beside(short, wires[0], ""))
            if kind.startswith(INNER):
                own = _bits_of(pin, len(wires), inner=True)
                pins += [Pin(*each, out) for each in zip(own, wires, strict=True)]
            elif wires:
                pins.append(Pin(f"{prefix}{pin}", _joined(wires), out, inside))
        if view == "simulated" and not prefix:
            parts.add(number, kind, short, pins)
        else:
            joined = ", ".join(f".{pin.name}({pin.net})" for pin in pins)
            lines.append(f"  {kind} {short} ({joined});")
    return "\n".join([*lines, *parts.instances(), "endmodule", *parts.modules(), ""])


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
    module, nets = modules[name], _nets(modules[name], inner=bool(blocks))
    prefix = "/".join(path) + "/"
    found.scopes.append("/".join(path))
    for number, (short, known, cell) in enumerate(_instances(modules, module)):
        if is_module(modules, cell["type"]):
            _walk(modules, cell["type"], (*path, short), (*blocks, known), found)
        elif cell["type"] != MEMORY_CELL:
            pins = {
                pin: prefix + nets[bits[0]] if isinstance(bits[0], int) else None
                for pin, bits in cell["connections"].items() if bits
            }  # fmt: skip
            found.parts[prefix + short] = prefix + part_of(number)
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
