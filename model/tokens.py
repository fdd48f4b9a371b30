"""A token of the cycle model."""

from __future__ import annotations

from dataclasses import dataclass

from .zero_traffic import Run


@dataclass(frozen=True)
class Token:
    """A column block of a tile on its way to memory."""

    addr: int
    stride: int
    pixels: int
    lane: int
    channels: int
    last: bool
    layer: int
    layer_last: bool
    bits: int = 0  # of a value's code
    zeros: tuple[Run, ...] = ()  # of every plane, where it is stored without zeros
