"""ULX3S with an ECP5-85F: https://radiona.org/ulx3s."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ..hw.config import preset
from .clock import ecp5_pll, pll_domain
from .top import Board

CRYSTAL_HZ = 25e6

#: 296 KiB take 148 of the 208 block RAMs of 2 KiB; `small` and the link have the others.
ULX3S_85F = Board(
    name="ulx3s_85f",
    mark=int.from_bytes(b"ULX8", "little"),
    config=preset("small"),
    memory_bytes=296 << 10,
    clock_hz=62.5e6,
)


def at_clock(board: Board, hz: float) -> Board:
    """Return the board with its PLL at the nearest frequency that is not higher."""
    return replace(board, clock_hz=ecp5_pll(CRYSTAL_HZ, hz).hz)


class Ulx3sPlatform(ULX3S_85F_Platform):
    """The board's pins, with the PLL's clock as domain ``sync``.

    Parameters
    ----------
    clock_hz : float
        Frequency of the domain, in Hz.
    """

    def __init__(self, clock_hz: float) -> None:
        super().__init__(toolchain="Trellis")
        self._pll = ecp5_pll(CRYSTAL_HZ, clock_hz)

    def create_missing_domain(self, name: str) -> Any:
        """Return the module that makes the domain ``sync``; None for any other."""
        if name != "sync":
            return None
        pin: Any = self.request("clk25", 0, dir="-")
        buffer = io.Buffer(io.Direction.Input, pin)
        m = pll_domain(buffer.i, self._pll, self)
        m.submodules.pin = buffer
        return m
