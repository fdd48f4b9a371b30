"""Readable names in RTLIL: the designer's in place of invented ones, unused aliases left out.

Amaranth gives the result of every operation an invented name and joins the designer's name to it
by an assignment, lets one of many equal wires name a port, and lists every field of a structure.
Nothing here changes the circuit: wires that are equal become one, wires that nothing reads go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, pairwise

from .rtlil import RtlilModule

_SLICE = re.compile(r"\[(\d+)(?::(\d+))?\]")
_KIND = ("input", "output", "inout")


def tidy(modules: Sequence[RtlilModule], members: Mapping[str, Sequence[str]]) -> list[RtlilModule]:
    """Give wires and ports the names a reader expects.

    Parameters
    ----------
    modules : sequence of RtlilModule
        The top first. It keeps its ports' names.
    members : mapping of str to sequence of str
        Names of the ports as the designer declared them, by module name without backslash.

    Returns
    -------
    list of RtlilModule
        The same circuit.
    """
    tidied: list[RtlilModule] = []
    renamed: dict[str, dict[str, str]] = {}  # module -> its port -> that port's new name
    for index, module in enumerate(modules):
        names = _Names(module, members.get(module.name[1:], ()), fixed=index == 0)
        tidied.append(names.result())
        renamed[module.name] = names.ports
    for module in tidied:
        child: dict[str, str] = {}
        for tokens in module.body:
            if tokens[0] == "cell":
                child = renamed.get(tokens[1], {})
            elif tokens[0] == "connect" and tokens[1] in child:
                tokens[1] = child[tokens[1]]
            elif tokens[0] == "end":
                child = {}
    return tidied


def _is_plain(name: str) -> bool:
    """Whether a name is the designer's: no number of Amaranth's, no field of a structure."""
    return re.fullmatch(r"\\\w+", name) is not None


def _signals(tokens: list[str], inside: bool) -> slice:
    """Return which tokens of a line are signals, slices and constants."""
    if tokens[0] == "connect":
        return slice(2 if inside else 1, None)
    if tokens[0] in ("assign", "switch"):
        return slice(1, None)
    return slice(0, 0)


def _lines(body: Iterable[list[str]]) -> Iterator[tuple[list[str], bool]]:
    """Yield every line and whether it stands inside a cell."""
    inside = False
    for tokens in body:
        yield tokens, inside
        inside = tokens[0] == "cell" or (inside and tokens[0] != "end")


def _bits(constant: str) -> int:
    """Return the width of a constant, WIDTH'BITS; a whole wire's is not needed."""
    width, quote, _ = constant.partition("'")
    return int(width) if quote else 1


class _Names:
    """One module on its way to better names."""

    def __init__(self, module: RtlilModule, members: Sequence[str], *, fixed: bool) -> None:
        self.module = module
        self.members = {f"\\{name}": place for place, name in enumerate(members)}
        self.fixed = fixed
        self.ports: dict[str, str] = {}
        self.wires = {t[-1]: (attributes, t) for attributes, t in module.wires if t[0] == "wire"}
        self.memories = [(a, t) for a, t in module.wires if t[0] == "memory"]
        self.body = module.body

    def result(self) -> RtlilModule:
        self._join()
        self._name_registers()
        ports = {} if self.fixed else self._port_names()
        self._drop_unread()
        self._rename({old: new for old, new in ports.items() if new not in self._taken()})
        self._simplify()
        wires = [*self.memories, *((a, t) for a, t in self.wires.values())]
        return RtlilModule(self.module.name, self.module.attributes, wires, self.body)

    def _taken(self) -> set[str]:
        """Return the names of all wires, memories and cells."""
        cells = {tokens[2] for tokens in self.body if tokens[0] == "cell"}
        return {*self.wires, *(tokens[-1] for _, tokens in self.memories), *cells}

    def _width(self, name: str) -> int:
        tokens = self.wires[name][1]
        return int(tokens[tokens.index("width") + 1]) if "width" in tokens else 1

    def _is_port(self, name: str) -> bool:
        return any(kind in self.wires[name][1] for kind in _KIND)

    def _whole(self, signal: list[str]) -> str | None:
        """Return the wire that a signal is all of, or None."""
        if not signal or signal[0] not in self.wires or len(signal) > 2:
            return None
        if len(signal) == 2:
            part = _SLICE.fullmatch(signal[1])
            if part is None:
                return None
            high, low = int(part[1]), int(part[2] or part[1])
            if low or high + 1 != self._width(signal[0]):
                return None
        return signal[0]

    def _rename(self, names: Mapping[str, str]) -> None:
        """Replace names everywhere."""
        body: list[list[str]] = []
        for tokens, inside in _lines(self.body):
            at = _signals(tokens, inside)
            tokens = tokens.copy()
            tokens[at] = [names.get(token, token) for token in tokens[at]]
            body.append(tokens)
        self.body = body
        wires: dict[str, tuple[list[str], list[str]]] = {}
        for name, (attributes, tokens) in self.wires.items():
            new = names.get(name, name)
            wires[new] = (attributes, [*tokens[:-1], new])
            if new != name and self._is_port(name):
                old = next((o for o, n in self.ports.items() if n == name), name)
                self.ports[old] = new
        self.wires = wires

    def _join(self) -> None:
        """Make one wire of those that are assigned whole to each other."""
        driver: dict[str, str] = {}
        for tokens, inside in _lines(self.body):
            if tokens[0] == "connect" and not inside and tokens[1] in self.wires:
                source = self._whole(tokens[2:])
                if source is not None and self._width(tokens[1]) == self._width(source):
                    driver[tokens[1]] = source
        groups: dict[str, list[str]] = {}
        for name in driver:
            root = name
            while root in driver and not self._is_port(root):
                root = driver[root]
            if not self._is_port(name):
                groups.setdefault(root, [root]).append(name)
        names: dict[str, str] = {}
        for root, group in groups.items():
            fixed = self.fixed and self._is_port(root)
            names |= dict.fromkeys(group, root if fixed else min(group, key=self._rank))
            for name in group[1:]:  # the driver's declaration counts: port, initial value
                del self.wires[name]
        self.body = [
            tokens
            for tokens, inside in _lines(self.body)
            if inside or tokens[0] != "connect" or names.get(tokens[1]) is None
            or tokens[1] in groups
        ]  # fmt: skip
        self._rename(names)

    def _rank(self, name: str) -> tuple[int, int, bool]:
        """Order names: declared ports first, then the designer's, then any."""
        if name in self.members:
            return (0, self.members[name], False)
        return (1 if _is_plain(name) else 2, 0, name.startswith("$"))

    def _name_registers(self) -> None:
        """Call what a register will hold next after the register."""
        names: dict[str, str] = {}
        ends: dict[str, str | None] = {}
        kind = ""
        for tokens, inside in _lines(self.body):
            if tokens[0] == "cell":
                kind, ends = tokens[1], {}
            elif inside and kind == "$dff":
                if tokens[0] == "connect":
                    ends[tokens[1]] = self._whole(tokens[2:])
                elif tokens[0] == "end" and (new := ends.get("\\D")) and (held := ends.get("\\Q")):
                    if new.startswith("$") and held.startswith("\\"):
                        names.setdefault(new, f"{held}_next")
        times, taken = Counter(names.values()), self._taken()
        self._rename({
            old: new for old, new in names.items() if times[new] == 1 and new not in taken
        })  # fmt: skip

    def _port_names(self) -> dict[str, str]:
        """Return names for the ports that have none, after the signals made from them."""
        wanted = {name for name in self.wires if name.startswith("\\port$") and self._is_port(name)}
        found: dict[str, list[tuple[bool, str]]] = {port: [] for port in wanted}
        for tokens, inside in _lines(self.body):
            if inside or tokens[0] != "connect" or not _is_plain(tokens[1]):
                continue
            parts = [t for t in tokens[2:] if t not in "{}"]
            chunks = [(t, after) for t, after in pairwise([*parts, ""]) if not t.startswith("[")]
            at = 0  # lowest bit of the signal that the chunk makes
            for token, following in reversed(chunks):  # most significant first
                if token in wanted:
                    made = tokens[1] if len(chunks) == 1 else f"{tokens[1]}_{at}"
                    found[token].append((tokens[1] in self.members, made))
                bits = _SLICE.fullmatch(following)
                at += int(bits[1]) - int(bits[2] or bits[1]) + 1 if bits else _bits(token)
        names: dict[str, str] = {}
        for port, made in found.items():
            declared = [name for member, name in made if member] or [name for _, name in made]
            if declared:
                names[port] = "\\" + "__".join(name[1:] for name in declared)
        return names

    def _drop_unread(self) -> None:
        """Leave out assignments to wires that nothing reads."""
        while True:
            uses: Counter[str] = Counter()
            for tokens, inside in _lines(self.body):
                uses.update(tokens[_signals(tokens, inside)])
            gone = {
                name for name in self.wires
                if uses[name] <= 1 and not self._is_port(name)
            }  # fmt: skip
            body = [
                tokens
                for tokens, inside in _lines(self.body)
                if inside or tokens[0] != "connect" or tokens[1] not in gone
            ]
            if len(body) == len(self.body):
                break
            self.body = body
        self.wires = {n: w for n, w in self.wires.items() if uses[n] or self._is_port(n)}

    def _simplify(self) -> None:
        """Spell the names that are left so that Verilog takes them as they are."""
        taken = self._taken()
        names: dict[str, str] = {}
        for name in self.wires:
            kept = self.fixed and self._is_port(name)
            if not kept and name.startswith("\\") and not _is_plain(name):
                names[name] = _free(name, taken)
        self._rename(names)
        for tokens in self.body:
            if tokens[0] == "cell" and tokens[2].startswith("\\") and not _is_plain(tokens[2]):
                tokens[2] = _free(tokens[2], taken)


def _free(name: str, taken: set[str]) -> str:
    """Return a name like the one given, of letters, digits and underscores, not taken; take it."""
    plain = re.sub(r"\W+", "_", name[1:]).strip("_")
    plain = plain if plain[:1].isalpha() else f"n{plain}"
    new = next(
        n for i in count(1) if (n := f"\\{plain}" if i == 1 else f"\\{plain}_{i}") not in taken
    )
    taken.add(new)
    return new
