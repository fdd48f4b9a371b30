"""Proof by looking: no multiplier in the netlist, before and after mapping to a device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .netlist import module_of, read_netlist

# Yosys' own cells that multiply or divide, the multiplier blocks of the device families, and
# what their mapping leaves when it stops half-way.
_MULTIPLIERS = re.compile(
    r"""\$(mul|div|divfloor|mod|modfloor|pow|macc|macc_v2|fa_mul|__mul|__MUL\w*|_MUL\w*)$
    | \$__.*(MUL|MACC|DSP)\w*$
    | (MULT|ALU)\d+X?\d*[A-Z]*$ | PRADD\d+[A-Z]*$          # ECP5
    | SB_MAC16(_.*)?$                                      # iCE40
    | (MULTADDALU|MULTALU|PADD|MULT)\w*$                   # Gowin
    | (DSP|MAC|MULT)\w*$                                   # others
    """,
    re.X,
)


class ScanError(ValueError):
    """A netlist holds a multiplier; the message names the first ones."""


@dataclass(frozen=True)
class Multiplier:
    """One cell that multiplies.

    Attributes
    ----------
    kind : str
        Cell type.
    path : str
        Module and name of the cell.
    """

    kind: str
    path: str


def multipliers_in(modules: dict[str, Any], top: str) -> list[Multiplier]:
    """Return every multiplying cell reachable from a module.

    Parameters
    ----------
    modules : dict
        As `flow.netlist.read_netlist` returns them.
    top : str
        Module to start from.

    Returns
    -------
    list of Multiplier
        Empty when there is none.

    Raises
    ------
    ValueError
        If the top is missing or empty.
    """
    module_of(modules, top)
    found: list[Multiplier] = []
    waiting, seen = [top], {top}
    while waiting:
        name = waiting.pop()
        for cell, body in modules[name].get("cells", {}).items():
            kind = body["type"]
            if _MULTIPLIERS.match(kind):
                found.append(Multiplier(kind, f"{name}.{cell}"))
            elif kind in modules and kind not in seen:
                seen.add(kind)
                waiting.append(kind)
    return found


def check_no_multiplier(netlists: dict[str, Path], top: str) -> None:
    """Fail if any of the netlists holds a multiplier.

    Parameters
    ----------
    netlists : dict of str to Path
        Yosys JSON netlists by what they are ("elaborated", "mapped"). Both are worth a look:
        mapping can hide a small product in lookup tables.
    top : str
        Top module in each.

    Raises
    ------
    ScanError
        If there is one.
    ValueError
        If a netlist is damaged, empty or lacks the top.
    """
    for label, path in netlists.items():
        found = multipliers_in(read_netlist(path), top)
        if found:
            some = ", ".join(f"{m.kind} at {m.path}" for m in found[:3])
            raise ScanError(f"the {label} netlist has {len(found)} multiplier cells: {some}")
