"""Copies of a register, each for some of the places that a value has to reach."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value

from .plain import Plain

MAX_COPIES = 4  # as many as differ: by their initial value, and by being stored inverted


@dataclass(frozen=True)
class Copy:
    """A register with a value or its complement.

    Parameters
    ----------
    stored : Signal
        The register.
    inverted : bool
        Whether it holds the complement.
    """

    stored: Signal
    inverted: bool

    @property
    def value(self) -> Value:
        """The value that was copied."""
        return ~self.stored if self.inverted else self.stored


def copy(m: Module, name: str, value: Value, variant: int) -> Copy:
    """Register a value so that it is not merged with a copy of another ``variant``.

    Parameters
    ----------
    m : Module
        Gets the register, in its domain ``sync``.
    name : str
        Of the register, with the variant.
    value : Value
        What is copied.
    variant : int
        0 to ``MAX_COPIES`` - 1.
    """
    inverted = variant >= 2
    stored = Signal(
        len(value),
        name=f"{name}_{variant}",
        init=(1 << len(value)) - 1 if variant % 2 else 0,
        reset_less=True,
    )
    m.d.sync += stored.eq(~value if inverted else value)
    return Copy(stored, inverted)


def later(m: Module, copied: Copy) -> Copy:
    """Register a copy once more: half the way in each cycle.

    Parameters
    ----------
    m : Module
        Gets the register, in its domain ``sync``.
    copied : Copy
        What is to be had a cycle later.
    """
    stored = Plain(len(copied.stored), name=f"{copied.stored.name}_later")
    m.d.sync += stored.eq(copied.stored)
    return Copy(stored, copied.inverted)


def copies(m: Module, name: str, value: Value, count: int) -> list[Copy]:
    """Register a value several times.

    Synthesis makes one register of several that are equal, and one net over the whole die of
    theirs. So no two of these are: they start from other values or hold the complement.

    Parameters
    ----------
    m : Module
        Gets the registers, in its domain ``sync``.
    name : str
        Of the registers, with a number.
    value : Value
        What is copied.
    count : int
        1 to ``MAX_COPIES``.

    Raises
    ------
    ValueError
        If ``count`` is out of range.
    """
    if not 1 <= count <= MAX_COPIES:
        raise ValueError(f"{count} copies of {name}: from 1 to {MAX_COPIES} can differ")
    return [copy(m, name, value, variant) for variant in range(count)]
