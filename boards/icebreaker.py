"""iCEBreaker with an iCE40 UP5K: https://docs.icebreaker-fpga.org."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib.cdc import FFSynchronizer
from amaranth_boards.icebreaker import ICEBreakerPlatform

from ..hw.config import preset
from ..hw.serial.ports import MEMORY_WORDS, WORD_BYTES
from .clock import MHZ, highest
from .top import Board

CRYSTAL_HZ = 12e6
# Lattice FPGA-DS-02008, sysCLOCK PLL timing, in Hz
PLL_PHASE = (10 * MHZ, 133 * MHZ)
PLL_VCO = (533 * MHZ, 1066 * MHZ)
PLL_OUTPUT = (16 * MHZ, 275 * MHZ)
WARM_UP_S = 15e-6  # block RAM reads as zero for 3 us after configuration, as Amaranth says


#: `tiny`'s programs; its requantiser for all columns at once.
ENGINE = preset("tiny").replace(requantise_lanes=4)


def memory_bytes(config: Any) -> int:
    """Return the bytes that a serial engine leaves to programs."""
    return (MEMORY_WORDS - config.buffer_words) * WORD_BYTES


#: The engine's own line to the FTDI; the other LEDs are on the part that can be broken off.
ICEBREAKER = Board(
    name="icebreaker",
    mark=int.from_bytes(b"ICEB", "little"),
    config=ENGINE,
    memory_bytes=memory_bytes(ENGINE),
    clock_hz=27e6,
    serial=True,
    leds=2,
)


@dataclass(frozen=True)
class Ice40Pll:
    """Dividers of an SB_PLL40 with its own way back: VCO = reference (DIVF + 1) / (DIVR + 1).

    Attributes
    ----------
    divr, divf, divq : int
        As the primitive has them; the clock is VCO / 2^divq.
    filter_range : int
        Of the loop's filter, by the frequency of the phase detector.
    hz : float
        Output frequency in Hz.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    hz: float


def ice40_pll(reference_hz: float, wanted_hz: float) -> Ice40Pll:
    """Return the dividers whose output is nearest to a frequency and not above it.

    Raises
    ------
    ValueError
        If nothing within 20 % below can be made.
    """
    found: list[Ice40Pll] = []
    for divr in range(16):
        phase = reference_hz / (divr + 1)
        if not PLL_PHASE[0] <= phase <= PLL_PHASE[1]:
            continue
        for divf in range(128):
            vco = phase * (divf + 1)
            if not PLL_VCO[0] <= vco <= PLL_VCO[1]:
                continue
            for divq in range(1, 7):
                hz = vco / (1 << divq)
                if PLL_OUTPUT[0] <= hz <= PLL_OUTPUT[1] and 0.8 * wanted_hz <= hz <= wanted_hz:
                    # Ranges as icepll of Project IceStorm sets them.
                    bounds = (17, 26, 44, 66, 101)
                    range_ = 1 + sum(phase >= bound * MHZ for bound in bounds)
                    found.append(Ice40Pll(divr, divf, divq, range_, hz))
    return highest(found, reference_hz, wanted_hz, lambda each: 0)


def at_clock(board: Board, hz: float) -> Board:
    """Return the board with its PLL at the nearest frequency that is not higher."""
    return replace(board, clock_hz=ice40_pll(CRYSTAL_HZ, hz).hz)


class IcebreakerPlatform(ICEBreakerPlatform):
    """The board's pins, with the PLL's clock as domain ``sync``.

    Parameters
    ----------
    clock_hz : float
        Frequency of the domain, in Hz.
    """

    def __init__(self, clock_hz: float) -> None:
        super().__init__()
        self._pll = ice40_pll(CRYSTAL_HZ, clock_hz)

    def create_missing_domain(self, name: str) -> Any:
        """Return the module that makes the domain ``sync``; None for any other.

        It is in reset until the PLL is locked and block RAM can be read.
        """
        if name != "sync":
            return None
        m = Module()
        pll, clock, locked = self._pll, Signal(name="pll_clock"), Signal()
        pin: Any = self.request("clk12", 0, dir="-")
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_DIVR=pll.divr, p_DIVF=pll.divf, p_DIVQ=pll.divq,
            p_FILTER_RANGE=pll.filter_range, p_PLLOUT_SELECT="GENCLK",
            i_PACKAGEPIN=pin.io, i_RESETB=1, i_BYPASS=0, o_PLLOUTGLOBAL=clock, o_LOCK=locked,
        )  # fmt: skip
        m.domains.wait = ClockDomain("wait", reset_less=True, local=True)
        m.domains.sync = ClockDomain("sync")
        left, ready = Signal(range(round(pll.hz * WARM_UP_S) + 1)), Signal()
        steady = Signal()  # the lock comes and goes whenever it likes
        m.submodules.steady = FFSynchronizer(locked, steady, o_domain="wait")
        with m.If(~steady):
            m.d.wait += [left.eq(0), ready.eq(0)]
        with m.Elif(left == round(pll.hz * WARM_UP_S)):
            m.d.wait += ready.eq(1)
        with m.Else():
            m.d.wait += left.eq(left + 1)
        m.d.comb += [
            ClockSignal("wait").eq(clock), ClockSignal("sync").eq(clock),
            ResetSignal("sync").eq(~ready),
        ]  # fmt: skip
        return m  # nextpnr derives the clock's constraint from the pin's and the PLL
