"""The engine's registers as the bench's host uses them, all taken from the register map."""

from __future__ import annotations

from ..hw.config import EngineConfig
from ..hw.registers import COUNTERS, REGISTER, constants

COUNTER_NAMES = tuple(name for name, _ in COUNTERS)
START = 1 << REGISTER["CONTROL"].field("start").lsb
SOFT_RESET = 1 << REGISTER["CONTROL"].field("soft_reset").lsb
BUSY = 1 << REGISTER["STATUS"].field("busy").lsb
DONE = 1 << REGISTER["STATUS"].field("done").lsb
IRQ_ENABLE = 1 << REGISTER["CONTROL"].field("irq_enable").lsb


def offset(name: str) -> int:
    """Return a register's byte offset."""
    return REGISTER[name].offset


def identity(config: EngineConfig) -> dict[str, int]:
    """Return what the registers that never change must read, by register name."""
    values: dict[str, int] = {}
    for (register, field), value in constants(config).items():
        lsb = REGISTER[register].field(field).lsb
        values[register] = values.get(register, 0) | value << lsb
    return values
