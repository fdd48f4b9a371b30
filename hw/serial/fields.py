"""The descriptor in the processor's memory, and how a program takes it apart."""

from __future__ import annotations

from ..descriptor import DESCRIPTOR_WORDS, FIELD
from .assembler import Assembler
from .isa import Op

DESCRIPTOR = 64  # first word of the descriptor, two for each of its 32-bit words
VARIABLES = DESCRIPTOR + 2 * DESCRIPTOR_WORDS
HALF = 16


def half(name: str) -> int:
    """Return the address of the word that holds a field, or the lower half of a long one."""
    field = FIELD[name]
    return DESCRIPTOR + 2 * field.word + field.lsb // HALF


class Microcode(Assembler):
    """An assembler that knows descriptors and errors."""

    def __init__(self) -> None:
        super().__init__(VARIABLES)

    def field(self, name: str) -> None:
        """Load a field of at most 16 bits."""
        field = FIELD[name]
        low, width = field.lsb % HALF, field.width
        if low + width > HALF:
            raise ValueError(f"field {name!r} is not within a half of a word")
        self.ld(half(name))
        if low >= 8:
            self.alone(Op.SWAP)
        self.alone(*[Op.SHR] * (low % 8))
        if width < HALF:
            self.op(Op.AND, self.const((1 << width) - 1))

    def unless_not_above(self, value: int | str, limit: int | str, error: str) -> None:
        """Go to an error where a word is above another; leaves the limit in A."""
        self.ld(limit)
        self.op(Op.CMP, value)
        self.branch(Op.JNC, error)
