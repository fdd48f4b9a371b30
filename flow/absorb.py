"""Lookup tables taken into the ECP5 adders that read them: fewer tables for the same logic.

A half of a CCU2C is a table of four inputs with a carry, of which an addition a + b uses two
inputs. A table f that only adders read can vanish into them: a + f(x, y, z) is a half of four
inputs. Yosys leaves such tables beside the adder.

What a half computes is fixed by the cell (Yosys' cells_sim_ecp5.v): with p = INIT(A, B, C, D) and
g = INIT(A, B, 0, 0), the sum is p ^ cin, and the carry is cin where p is 1 and g elsewhere. So g
knows two of the inputs only, and shares its bits of INIT with p. `fit` tries every way to bring
the inputs to the pins. For a + f it finds one where f has at most two inputs, or three of which
two can be chosen with f = 0 where both are 0: (A, B, C, D) = (a, x, y, z), f(x, 0, 0) = 0. A
multiplexer z ? x : y is such a table. For f + h it finds one where both have two inputs and
h(0, 0) = 0.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any, NamedTuple

SOURCE = Path(__file__)  # what caches of absorbed netlists depend on
_PINS = "ABCD"
Net = int | str  # of a Yosys JSON netlist: a number, or the constants "0", "1"
Table = tuple[int, ...]


class Fit(NamedTuple):
    """One way to have a half compute what is wanted.

    Attributes
    ----------
    pins : tuple of int
        For A, B, C, D the input by its index, or -1: constant 0, -2: constant 1.
    init : tuple of int
        The 16 bits of INIT, lowest first.
    """

    pins: tuple[int, ...]
    init: Table


@cache
def fit(count: int, total: Table, carry: Table | None) -> Fit | None:
    """Return how a half of a CCU2C computes a sum and a carry of some inputs; None: it cannot.

    Parameters
    ----------
    count : int
        Inputs, 0..4.
    total, carry : tuple of int
        Of every assignment, the first input lowest: p, and g. Where p is 1, g does not matter;
        None: nothing reads the carry.
    """
    spare = [-2, -1]
    for rest in product(spare, repeat=4 - count):
        for pins in permutations((*range(count), *rest)):
            found = _init(pins, count, total, carry)
            if found is not None:
                return Fit(pins, found)
    return None


def _init(pins: tuple[int, ...], count: int, total: Table, carry: Table | None) -> Table | None:
    init: list[int | None] = [None] * 16
    index = []
    for values in range(1 << count):
        bits = [values >> pin & 1 if pin >= 0 else int(pin == -2) for pin in pins]
        index.append(sum(bit << i for i, bit in enumerate(bits)))
        init[index[-1]] = total[values]
    for values, at in enumerate(index):
        if carry is not None and not total[values]:
            if init[at & 3] not in (None, carry[values]):
                return None
            init[at & 3] = carry[values]
    return tuple(bit or 0 for bit in init)


class _Logic(NamedTuple):
    """A table over nets, the first net lowest."""

    nets: tuple[Net, ...]
    values: Table


def _logic(pins: list[Net], init: str) -> _Logic:
    """Return a cell's table over its distinct nets; constants are worked in."""
    nets = tuple(dict.fromkeys(net for net in pins if isinstance(net, int)))
    bits = init[::-1]
    return _Logic(nets, tuple(
        int(bits[sum(
            (values >> nets.index(net) & 1 if isinstance(net, int) else int(net)) << i
            for i, net in enumerate(pins)
        )])
        for values in range(1 << len(nets))
    ))  # fmt: skip


def _over(logic: _Logic, nets: tuple[Net, ...], put: Mapping[Net, _Logic]) -> Table:
    """Return a table's values over other nets, with nets of its own replaced by tables."""
    values = []
    for index in range(1 << len(nets)):
        of = {net: index >> i & 1 for i, net in enumerate(nets)}
        values.append(_value(logic, {**of, **{net: _value(f, of) for net, f in put.items()}}))
    return tuple(values)


def _value(logic: _Logic, of: dict[Net, int]) -> int:
    return logic.values[sum(of[net] << i for i, net in enumerate(logic.nets))]


class Half:
    """One half of a CCU2C cell of a netlist."""

    def __init__(self, cell: dict[str, Any], which: str, carries: bool) -> None:
        self.cell, self.which, self.carries = cell, which, carries

    @property
    def nets(self) -> list[Net]:
        """Nets at A, B, C, D."""
        return _pins(self.cell, self.which)

    def with_table(self, net: Net, table: _Logic) -> tuple[tuple[Net, ...], Fit] | None:
        """Return inputs and a way to compute the same with a net's driver inside; or None."""
        pins, init = self.nets, self.cell["parameters"][f"INIT{self.which}"]
        before = _logic(pins, init)
        generate = _logic(pins[:2], init[-4:])
        inputs = tuple(dict.fromkeys((*(n for n in before.nets if n != net), *table.nets)))
        if len(inputs) > len(_PINS):
            return None
        put: dict[Net, _Logic] = {net: table}
        total = _over(before, inputs, put)
        found = fit(len(inputs), total, _over(generate, inputs, put) if self.carries else None)
        return (inputs, found) if found else None

    def set(self, inputs: Sequence[Net], found: Fit) -> None:
        """Change inputs and table."""
        for pin, index in zip(_PINS, found.pins, strict=True):
            net = inputs[index] if index >= 0 else "1" if index == -2 else "0"
            self.cell["connections"][f"{pin}{self.which}"] = [net]
        self.cell["parameters"][f"INIT{self.which}"] = "".join(map(str, found.init[::-1]))


def absorb(module: dict[str, Any]) -> int:
    """Move lookup tables of a mapped ECP5 module into the adders that read them.

    A table goes where every reader can take it in, if need be with inputs that their tables give
    inverted. Tables of few inputs first, since two of two inputs may share a half. The names of
    their nets stay, without a driver, and so do those of nets that now are inverted.

    Parameters
    ----------
    module : dict
        Flat module of a Yosys JSON netlist; changed in place.

    Returns
    -------
    int
        How many LUT4 cells are gone.
    """
    netlist = _Netlist(module)
    before = len(module["cells"])
    waiting = sorted(netlist.tables.values(), key=lambda table: len(table.logic.nets))
    while waiting:
        left = [table for table in waiting if not netlist.take_in(table)]
        waiting = left if len(left) < len(waiting) else []
    return before - len(module["cells"])


def absorb_file(path: Path, top: str) -> int:
    """Do so in a flat module of a file; return how many cells are gone."""
    document = json.loads(path.read_bytes())
    gone = absorb(document["modules"][top])
    path.write_text(json.dumps(document))
    return gone


class _Table:
    """A LUT4 cell of a netlist."""

    def __init__(self, name: str, cell: dict[str, Any]) -> None:
        self.name, self.cell = name, cell

    @property
    def net(self) -> Net:
        """What it drives."""
        return self.cell["connections"]["Z"][0]

    @property
    def logic(self) -> _Logic:
        """What it computes."""
        return _logic(_pins(self.cell), self.cell["parameters"]["INIT"])

    def invert(self, net: Net) -> None:
        """Drive or read a net inverted."""
        init = self.cell["parameters"]["INIT"]
        if net == self.net:
            init = init.translate(str.maketrans("01", "10"))
        for i, pin in enumerate(_pins(self.cell)):
            if pin == net:
                init = "".join(init[at ^ 1 << i] for at in range(16))
        self.cell["parameters"]["INIT"] = init


class _Netlist:
    """Tables and adders of a module, and what reads each net."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Any] = module["cells"]
        found = {
            name: _Table(name, cell) for name, cell in self.cells.items()
            if cell["type"] == "LUT4" and "keep" not in cell["attributes"]
            and _known(_pins(cell))
        }  # fmt: skip
        self.tables: dict[Net, _Table] = {table.net: table for table in found.values()}
        self.readers: dict[Net, set[Any]] = defaultdict(set)
        for wire in (*module["ports"].values(), *module["netnames"].values()):
            if "keep" in wire.get("attributes", ()) or wire.get("direction", "input") != "input":
                for net in wire["bits"]:
                    self.readers[net].add("kept")
        for name, cell in self.cells.items():
            for port, nets in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    half = port[1:] if _is_adder(cell) else ""
                    for net in nets:
                        self.readers[net].add(found.get(name, (name, half)))
        for name, cell in self.cells.items():
            if _is_adder(cell):
                self._add(name, cell)

    def _add(self, name: str, adder: dict[str, Any]) -> None:
        out, above = (
            any(self.readers[net] for net in adder["connections"].get(port, ()))
            for port in ("COUT", "S1")
        )
        for which, carries in (("0", out or above), ("1", out)):
            nets = _pins(adder, which)
            if _known(nets):
                half = Half(adder, which, carries)
                for net in nets:
                    self.readers[net].discard((name, which))
                    self.readers[net].add(half)

    def take_in(self, table: _Table) -> bool:
        """Move a table into all that reads it, if that can be."""
        halves = self.readers[table.net]
        if not halves or not all(isinstance(half, Half) for half in halves):
            return False
        logic = table.logic
        for count in range(len(logic.nets) + 1):
            for nets in combinations(logic.nets, count):
                put = _inverted(logic, nets)
                if all(half.with_table(table.net, put) for half in halves) and self._invert(nets):
                    if self._move(table, halves):
                        return True
                    self._invert(nets)
        return False

    def _move(self, table: _Table, halves: set[Half]) -> bool:
        logic = table.logic
        if not _rewrite(halves, table.net, logic):
            return False
        for net in logic.nets:
            self.readers[net].remove(table)
            self.readers[net] |= halves
        del self.cells[table.name], self.tables[table.net], self.readers[table.net]
        return True

    def _invert(self, nets: Sequence[Net]) -> bool:
        """Have the tables that drive some nets give them inverted: all, or none."""
        for i, net in enumerate(nets):
            if not self._invert_one(net):
                self._invert(nets[:i])
                return False
        return True

    def _invert_one(self, net: Net) -> bool:
        driver = self.tables.get(net)
        if driver is None or not all(isinstance(r, _Table | Half) for r in self.readers[net]):
            return False
        halves = {r for r in self.readers[net] if isinstance(r, Half)}
        if not _rewrite(halves, net, _Logic((net,), (1, 0))):
            return False
        for table in {driver} | self.readers[net] - halves:
            table.invert(net)
        return True


def _rewrite(halves: set[Half], net: Net, table: _Logic) -> bool:
    """Work a table in place of a net into some halves: all, or none."""
    ways = [(half, half.with_table(net, table)) for half in halves]
    if not all(way for _, way in ways):
        return False
    for half, way in ways:
        if way:
            half.set(*way)
    return True


def _inverted(logic: _Logic, nets: Sequence[Net]) -> _Logic:
    mask = sum(1 << logic.nets.index(net) for net in nets)
    return _Logic(logic.nets, tuple(logic.values[i ^ mask] for i in range(len(logic.values))))


def _pins(cell: dict[str, Any], half: str = "") -> list[Net]:
    return [cell["connections"].get(f"{pin}{half}", ["x"])[0] for pin in _PINS]


def _known(nets: Sequence[Net]) -> bool:
    return all(isinstance(net, int) or net in ("0", "1") for net in nets)


def _is_adder(cell: dict[str, Any]) -> bool:
    return cell["type"] == "CCU2C" and all(
        cell["parameters"][f"INJECT1_{half}"] == "NO" for half in "01"
    )
