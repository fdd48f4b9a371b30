"""The registers as words of the serial engine's processor."""

from __future__ import annotations

from ..config import EngineConfig
from ..registers import REGISTER, REGISTERS, Access, constants


def first_words(config: EngineConfig) -> list[int]:
    """Return what the registers' words are after power-up, two for each, lower half first."""
    values = {register.offset // 4: 0 for register in REGISTERS}
    for (name, field), value in constants(config).items():
        values[REGISTER[name].offset // 4] |= value << REGISTER[name].field(field).lsb
    for register in REGISTERS:
        for field in register.fields:
            if field.access is Access.RW:
                values[register.offset // 4] |= field.reset << field.lsb
    return [values[at] >> shift & 0xFFFF for at in sorted(values) for shift in (0, 16)]


def writable() -> list[int]:
    """Return the words that a host writes: those of RW fields, but for CONTROL's."""
    return sorted({
        2 * (register.offset // 4) + half
        for register in REGISTERS if register.name != "CONTROL"
        for field in register.fields if field.access is Access.RW
        for half in (0, 1) if field.lsb < 16 * half + 16 and field.lsb + field.bits > 16 * half
    })  # fmt: skip
