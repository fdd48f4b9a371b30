"""Merge identical modules of an RTLIL text: equal columns appear once and are instantiated often.

Amaranth writes one module per instance. Two of them describe the same circuit when their bodies
are equal after local names are numbered in order of use and submodules are replaced by what they
were merged into; the order of ports does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .rtlil import RtlilModule, parse


def _is_name(token: str) -> bool:
    return token[0] in "\\$"


class _Merger:
    """Works bottom-up from the top module, remembering what each module was merged into."""

    def __init__(self, modules: dict[str, RtlilModule]) -> None:
        self.modules = modules
        self.same: dict[str, str] = {}  # module -> the module that stands for it
        self.ports: dict[str, dict[str, str]] = {}  # module -> its port -> that module's port
        self.members: dict[str, list[str]] = {}  # standing module -> all it stands for
        self._seen: dict[tuple[object, ...], tuple[str, dict[int, str]]] = {}

    def visit(self, name: str) -> None:
        if name in self.same:
            return
        for tokens in self.modules[name].body:
            if tokens[0] == "cell" and tokens[1] in self.modules:
                self.visit(tokens[1])
        key, numbers = self._canonical(self.modules[name])
        standing, names = self._seen.setdefault(key, (name, {n: t for t, n in numbers.items()}))
        self.same[name] = standing
        self.ports[name] = {token: names[number] for token, number in numbers.items()}
        self.members.setdefault(standing, []).append(name)

    def cells(self, module: RtlilModule) -> Iterator[tuple[list[list[str]], str | None]]:
        """Yield the body in pieces: an instance with its connections, or one other line."""
        instance: list[list[str]] | None = None
        child = ""
        for tokens in module.body:
            if tokens[0] == "cell" and tokens[1] in self.modules:
                instance, child = [tokens], tokens[1]
            elif instance is not None and tokens[0] == "end":
                yield instance, child
                instance = None
            elif instance is not None:
                instance.append(tokens)
            else:
                yield [tokens], None

    def _canonical(self, module: RtlilModule) -> tuple[tuple[object, ...], dict[str, int]]:
        numbers: dict[str, int] = {}

        def local(token: str) -> str:
            return f"%{numbers.setdefault(token, len(numbers))}" if _is_name(token) else token

        def line(tokens: list[str], inside: bool) -> tuple[str, ...]:
            head = tokens[0]
            if head in ("cell", "process"):
                return tuple(tokens[:-1])
            if head == "parameter" and tokens[1] == "\\MEMID":
                return (*tokens[:2], local(tokens[2][1:-1].replace("\\\\", "\\")))
            if head in ("parameter", "attribute"):
                return tuple(tokens)
            if head == "connect" and inside:
                return (*tokens[:2], *map(local, tokens[2:]))
            return tuple(map(local, tokens))

        shape: list[object] = []
        inside = False
        for piece, child in self.cells(module):
            if child is not None:
                ports = self.ports[child]
                shape.append(("instance", self.same[child]))
                connects = sorted((ports[t[1]], t[2:]) for t in piece[1:] if t[0] == "connect")
                shape += [(port, *map(local, signal)) for port, signal in connects]
                continue
            (tokens,) = piece
            shape.append(line(tokens, inside))
            inside = tokens[0] == "cell" or (inside and tokens[0] != "end")
        wires: list[tuple[str, ...]] = []
        for attributes, tokens in sorted(module.wires, key=lambda wire: wire[1][-1]):
            kind = [t for i, t in enumerate(tokens[:-1]) if tokens[i - 1] not in _PORT]
            wires.append((local(tokens[-1]), *kind, *attributes))
        return (*shape, "wires", *sorted(wires)), numbers


_PORT = ("input", "output", "inout")


def _final_names(merger: _Merger, top: str) -> dict[str, str]:
    """Name standing modules by their path, without the number where several were merged."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for standing, members in merger.members.items():
        parts = [re.sub(r"\$\d*|\W", "", part) for part in standing[1:].split(".")]
        others = [[re.sub(r"\$\d*|\W", "", p) for p in m[1:].split(".")] for m in members]
        short = [
            part if all(o[i : i + 1] == [part] for o in others) else part.rstrip("0123456789_")
            for i, part in enumerate(parts)
        ]
        candidates = ["_".join(p for p in short if p), "_".join(parts)]
        candidates += [f"{candidates[1]}_{n}" for n in range(2, 2 + len(names))]
        name = parts[0] if standing == top else next(c for c in candidates if c not in taken)
        taken.add(name)
        names[standing] = f"\\{name}"
    return names


@dataclass(frozen=True)
class Merged:
    """What `merge_modules` made.

    Attributes
    ----------
    modules : list of RtlilModule
        Every one different from every other, the top first. Instance names stay; module names are
        the path of the first instance, its varying numbers dropped.
    instances : dict of str to int
        How many modules each one stands for, by final module name.
    origins : dict of str to str
        Path of submodules that each comes from, with a backslash, by final module name.
    """

    modules: list[RtlilModule]
    instances: dict[str, int]
    origins: dict[str, str]

    def __str__(self) -> str:
        return "".join(map(str, self.modules))


def merge_modules(text: str, top: str) -> Merged:
    """Merge the identical modules under one top.

    Parameters
    ----------
    text : str
        RTLIL as Amaranth writes it.
    top : str
        Name of the top module; it keeps its name.

    Returns
    -------
    Merged
        The modules, and what became of them.

    Raises
    ------
    ValueError
        If the top is not in the text.
    """
    modules = parse(text)
    if f"\\{top}" not in modules:
        raise ValueError(f"no module {top!r} in the RTLIL text")
    merger = _Merger(modules)
    merger.visit(f"\\{top}")
    names = _final_names(merger, f"\\{top}")
    result: list[RtlilModule] = []
    for standing in reversed(merger.members):
        module = modules[standing]
        body: list[list[str]] = []
        for piece, child in merger.cells(module):
            if child is None:
                body.append(piece[0])
                continue
            ports = merger.ports[child]
            body.append(["cell", names[merger.same[child]], piece[0][2]])
            for tokens in piece[1:]:
                if tokens[0] == "connect":
                    tokens = ["connect", ports[tokens[1]], *tokens[2:]]
                body.append(tokens)
            body.append(["end"])
        result.append(RtlilModule(names[standing], module.attributes, module.wires, body))
    counts = {names[standing][1:]: len(merger.members[standing]) for standing in merger.members}
    # Amaranth puts a number after a submodule's name where a signal has the same one.
    origins = {names[s][1:]: re.sub(r"\$\d+", "", s) for s in merger.members}
    return Merged(result, counts, origins)
