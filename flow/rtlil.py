"""Amaranth to RTLIL text, and what is needed to work on that text module by module."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Elaboratable, Fragment
from amaranth.lib import wiring

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module (\S+)\n(.*?)^end$", re.M | re.S)


@dataclass
class RtlilModule:
    """One module, as token lists.

    Attributes
    ----------
    name : str
        With its leading backslash.
    attributes : str
        Lines before it, each with its line end.
    wires : list of (attribute lines, tokens)
        Wires and memories.
    body : list of tokens
        Everything else, a line each.
    """

    name: str
    attributes: str
    wires: list[tuple[list[str], list[str]]] = field(default_factory=list)
    body: list[list[str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.attributes}module {self.name}"]
        for attributes, tokens in self.wires:
            lines += [*attributes, " ".join(tokens)]
        lines += [" ".join(tokens) for tokens in self.body]
        return "\n".join([*lines, "end", ""])


def parse(text: str) -> dict[str, RtlilModule]:
    """Take an RTLIL text apart.

    Raises
    ------
    ValueError
        If there is no module in it.
    """
    modules: dict[str, RtlilModule] = {}
    for attributes, name, content in _MODULE.findall(text):
        module = RtlilModule(name, attributes)
        pending: list[str] = []
        for line in content.splitlines():
            tokens = _TOKEN.findall(line)
            if not tokens:
                continue
            if tokens[0] in ("wire", "memory"):
                module.wires.append((pending, tokens))
                pending = []
            elif tokens[0] == "attribute":
                pending.append(line.strip())
            else:
                module.body += [_TOKEN.findall(attribute) for attribute in pending]
                pending = []
                module.body.append(tokens)
        modules[name] = module
    if not modules:
        raise ValueError("no module found in the RTLIL text")
    return modules


@contextmanager
def no_collections() -> Iterator[None]:
    """Suspend the garbage collector: a netlist is millions of live objects, walked in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Emitter(rtlil.ModuleEmitter):
    """Writes a memory that starts with one value everywhere as a memory with one first word.

    Amaranth makes an object of every bit of a memory; `flow.verilog.fold_memories` turns the one
    word into a loop over all.
    """

    def emit_memory(self, cell_idx: int, cell: Any) -> None:
        if len(cell.init) > 1 and len(set(cell.init)) == 1:
            memory = self.memories[cell_idx]
            width = cell.width
            value = cell.init[0] & ((1 << width) - 1)
            self.builder.cell(
                "$meminit_v2",
                ports={"ADDR": "{ }", "DATA": f"{width}'{value:0{width}b}",
                       "EN": f"{width}'{'1' * width}"},
                parameters={"MEMID": memory.memid, "ABITS": 0, "WIDTH": width, "WORDS": 1,
                            "PRIORITY": 0},
                src_loc=cell.src_loc,
            )  # fmt: skip
        else:
            super().emit_memory(cell_idx, cell)


@contextmanager
def _short_memories() -> Iterator[None]:
    original = rtlil.ModuleEmitter
    rtlil.ModuleEmitter = _Emitter
    try:
        yield
    finally:
        rtlil.ModuleEmitter = original


class _Elaborated(Elaboratable):
    """A component and its fragment, so that it is elaborated only once."""

    def __init__(self, component: wiring.Component, fragment: Any) -> None:
        self.component, self.fragment = component, fragment

    def __getattr__(self, name: str) -> Any:
        return getattr(self.component, name)

    def elaborate(self, platform: Any) -> Any:
        return self.fragment


def to_rtlil(component: wiring.Component, name: str) -> tuple[str, dict[str, wiring.Component]]:
    """Convert a component to RTLIL.

    Parameters
    ----------
    component : wiring.Component
        Top of the design.
    name : str
        Name of the top module.

    Returns
    -------
    text : str
        RTLIL; a memory of one value everywhere has only its first word initialised.
    components : dict of str to Component
        What the modules were made from, by module name with its backslash.
    """
    with no_collections(), _short_memories():
        fragment = Fragment.get(component, None)
        text = rtlil.convert(_Elaborated(component, fragment), name=name, emit_src=False)
    components: dict[str, wiring.Component] = {}

    def walk(part: Any, path: str) -> None:
        made = [o for o in getattr(part, "origins", None) or () if isinstance(o, wiring.Component)]
        if made:
            components[path] = made[0]
        for child, child_name, *_ in getattr(part, "subfragments", ()):
            if child_name is not None:
                walk(child, f"{path}.{child_name}")

    walk(fragment, f"\\{name}")
    return text, components
