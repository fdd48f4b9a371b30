"""Finishing touches on the Verilog that Yosys writes: headers, comments, initial values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_MODULE = re.compile(r"^module (\S+?)\s*\((.*?)\);\n(.*?)^endmodule$", re.M | re.S)
_PORT = re.compile(
    r"^  (input|output) (\[\d+:\d+\] )?(\S+ ?);\n  (wire|reg) (?:\[\d+:\d+\] )?\3( = [^;\n]+)?;\n",
    re.M,
)
_WORD = re.compile(r"^  initial begin\n    (\S+ ?)\[0\] = ([^;\n]+);\n  end\n", re.M)
_STARTER = re.compile(r"  (?:\(\* [^\n]* \*\)\n  )?reg \\\$auto\$verilog_backend\.cc:\S+  = 0;\n")
_STARTER_USE = re.compile(r"if \(\\\$auto\$verilog_backend\.cc:\S+ \) begin end")
_BIT = re.compile(r"\w+_(\d+)")
_FIRST = ("clk", "rst", "core_reset")


def finish(text: str, notes: Mapping[str, str], order: Mapping[str, Sequence[str]]) -> str:
    """Return Yosys' Verilog as a reader wants it.

    Parameters
    ----------
    text : str
        Modules as ``write_verilog`` writes them.
    notes : mapping of str to str
        What a module is, one line, by its name.
    order : mapping of str to sequence of str
        Ports in the order of their declaration, by module name; clock and reset come first.

    Returns
    -------
    str
        The same circuit.
    """

    def module(found: re.Match[str]) -> str:
        name, _, body = found.groups()
        head, body = _header(found, order.get(name, ()))
        note = f"// {notes[name]}\n" if name in notes else ""
        return f"{note}module {name}{head};\n{_fold_memories(body)}endmodule"

    return _start_always(_MODULE.sub(module, text))


def _header(module: re.Match[str], order: Sequence[str]) -> tuple[str, str]:
    """Return the port list with everything about each port in it, and the body without that."""
    _, listed, body = module.groups()
    names = [name.strip() for name in listed.split(",") if name.strip()]
    ports = {found[3].strip(): found for found in _PORT.finditer(body)}
    if sorted(ports) != sorted(names):
        raise ValueError(
            f"module {module[1]}: ports {sorted(set(names) ^ set(ports))} not declared"
        )
    declared = [*_FIRST, *(name for name in order if name not in _FIRST)]
    place = {name: index for index, name in enumerate(declared)}
    names.sort(key=lambda name: _rank(name.lstrip("\\"), place))
    lines = []
    for name in names:
        direction, width, spelt, kind, value = ports[name].groups()
        lines.append(f"  {direction:<6} {kind:<4} {width or ''}{spelt}{value or ''}".rstrip(" "))
        if name.startswith("\\"):
            lines[-1] += " "  # ends an escaped name
    return " (\n" + ",\n".join(lines) + "\n)", _PORT.sub("", body)


def _rank(name: str, place: Mapping[str, int]) -> tuple[int, int]:
    """Order ports as declared; a part of a port, PORT_3, or several, PORT__OTHER, by the first."""
    if name in place:
        return place[name], 0
    first = next((p for p in place if name.startswith(f"{p}_")), None)
    part = _BIT.fullmatch(name)
    return place[first] if first else len(place), int(part[1]) if part else 0


def _start_always(text: str) -> str:
    """Let every ``always @*`` run once at time 0 in all language versions.

    Yosys gives them a register with an initial value to depend on. Since Verilog-2009 a value in
    a declaration causes no event, and Icarus would leave outputs of constant inputs unknown; an
    initial statement does cause one.
    """
    text = _STARTER.sub(r"  reg _start_;\n  initial _start_ = 0;\n", text)
    return _STARTER_USE.sub("if (_start_) begin end", text)


def _fold_memories(body: str) -> str:
    """Let a memory whose first word alone has a value start with that value everywhere.

    Where that value is zero it is for simulation only: no word is read before it is written, or
    an engine would not survive a soft reset, and Yosys takes 16 s for a loop over 4096 words.
    """

    def fold(block: re.Match[str]) -> str:
        name, value = block.groups()
        declared = rf"^  reg (?:\[\d+:\d+\] )?{re.escape(name.strip())} ?\[(\d+):0\];$"
        depth = re.search(declared, body, re.M)
        if depth is None:
            raise ValueError(f"memory {name.strip()!r} is not declared")
        label = re.sub(r"\W", "", name)
        loop = f"""  initial begin : {label}_initial
    integer word;
    for (word = 0; word <= {depth[1]}; word = word + 1) {name}[word] = {value};
  end
"""
        zero = set(value.partition("'h")[2]) == {"0"}
        return f"`ifndef SYNTHESIS\n{loop}`endif\n" if zero else loop

    return _WORD.sub(fold, body)
