"""Wires between components whose members have the same names, or names that differ in a prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Out


def join(
    m: Module, members: Mapping[str, Any], one: Any, other: Any, rename: tuple[str, str] = ("", "")
) -> None:
    """Connect plain members of two components.

    Parameters
    ----------
    m : Module
        Gets the assignments, combinational.
    members : mapping of str to Member
        Ports of `one`, by name; outputs of it drive `other`.
    one, other : wiring.Component
        The second faces the first, or holds it and has the same ports.
    rename : tuple of str
        What in the names is called how at `other`.
    """
    for name, member in members.items():
        its, theirs = getattr(one, name), getattr(other, name.replace(*rename))
        m.d.comb += theirs.eq(its) if member.flow is Out else its.eq(theirs)
