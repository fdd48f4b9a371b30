"""Bus beats of a line of the staging memory, for words that are stored as they are."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const

from .config import EngineConfig


def places(config: EngineConfig, part: int) -> list[tuple[int, int] | None]:
    """Return the (slot, lane) of every byte of a beat, None for padding."""
    found: list[tuple[int, int] | None] = []
    for index in range(config.bus_bytes):
        slot, lane = divmod(part * config.bus_bytes + index, config.word_bytes)
        found.append((slot, lane) if lane < config.rows else None)
    return found


def beat_bytes(config: EngineConfig, line: Any, part: int) -> Any:
    """Return one beat of a line."""
    bits, rows = config.act_bits, config.rows
    flat = line.as_value()
    octets: list[Any] = []
    for place in places(config, part):
        if place is None:
            octets.append(Const(0, 8))
            continue
        at = (place[0] * rows + place[1]) * bits
        octets.append(Cat(flat[at : at + bits], Const(0, 8 - bits)))
    return Cat(octets)


def beat_strobe(
    config: EngineConfig, mask: Any, firsts: Any, lasts: Any, first: Any, final: Any, part: int
) -> Any:
    """Return the byte strobes of one beat.

    Parameters
    ----------
    config : EngineConfig
    mask : Value, rows bits
        Lanes that are real channels of the plane.
    firsts, lasts : Value, a bit for each slot
        Slots of the first and of the last line that are part of the run.
    first, final : Value, 1 bit
        Whether this is the first, the last beat of the run.
    part : int
        Beat of the line.
    """
    bits: list[Any] = []
    for place in places(config, part):
        if place is None:
            bits.append(Const(0, 1))
            continue
        slot, lane = place
        bits.append(mask[lane] & (~first | firsts[slot]) & (~final | lasts[slot]))
    return Cat(bits)
