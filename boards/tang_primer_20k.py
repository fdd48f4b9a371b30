"""Sipeed Tang Primer 20K on its dock, with a Gowin GW2A-18: https://wiki.sipeed.com."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.tang_primer_20k import TangPrimer20kDockPlatform

from ..hw.config import preset
from .clock import MHZ, highest
from .top import Board

CRYSTAL_HZ = 27e6
# Gowin DS102, PLL switching characteristics of speed grade C8/I7, in Hz
PLL_PHASE = (3 * MHZ, 500 * MHZ)
PLL_VCO = (500 * MHZ, 1250 * MHZ)
PLL_OUTPUT = (3.90625 * MHZ, 625 * MHZ)
OUTPUT_DIVS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)  # UG286, rPLL's ODIV_SEL

#: 48 KiB take 24 of the 46 block RAMs of 2 KiB; `tiny` and the link have 20 of the others.
TANG_PRIMER_20K = Board(
    name="tang_primer_20k",
    mark=int.from_bytes(b"TP20", "little"),
    config=preset("tiny"),
    memory_bytes=48 << 10,
    clock_hz=45e6,
    leds=6,
)


@dataclass(frozen=True)
class GowinPll:
    """Dividers of an rPLL: clock = reference times / input_div, VCO = clock output_div.

    Attributes
    ----------
    input_div, times : int
        1..64 each.
    output_div : int
        One of OUTPUT_DIVS.
    hz : float
        Output frequency in Hz.
    """

    input_div: int
    times: int
    output_div: int
    hz: float


def gowin_pll(reference_hz: float, wanted_hz: float) -> GowinPll:
    """Return the dividers whose output is nearest to a frequency and not above it.

    Raises
    ------
    ValueError
        If nothing within 20 % below can be made.
    """
    found = [
        GowinPll(divider, times, output, hz)
        for divider in range(1, 65)
        if PLL_PHASE[0] <= reference_hz / divider <= PLL_PHASE[1]
        for times in range(1, 65)
        for hz in (reference_hz * times / divider,)
        if PLL_OUTPUT[0] <= hz <= PLL_OUTPUT[1] and 0.8 * wanted_hz <= hz <= wanted_hz
        for output in OUTPUT_DIVS
        if PLL_VCO[0] <= hz * output <= PLL_VCO[1]
    ]
    return highest(found, reference_hz, wanted_hz, lambda each: (-each.input_div, -each.output_div))


def at_clock(board: Board, hz: float) -> Board:
    """Return the board with its PLL at the nearest frequency that is not higher."""
    return replace(board, clock_hz=gowin_pll(CRYSTAL_HZ, hz).hz)


TOOLS = ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack")
COMMANDS = (
    r"""
    {{invoke_tool("yosys")}}
        {{quiet("-q")}}
        -l {{name}}.rpt
        {{name}}.ys
    """,
    r"""
    {{invoke_tool("nextpnr-himbaechel-gowin")}}
        {{quiet("--quiet")}}
        {{get_override("nextpnr_opts")|options}}
        --log {{name}}.tim
        --device {{platform.part}}
        --vopt family={{platform.family}}
        --vopt cst={{name}}.cst
        --freq {{platform.clock_mhz}}
        --json {{name}}.syn.json
        --write {{name}}.pnr.json
    """,
    r"""
    {{invoke_tool("gowin_pack")}}
        -d {{platform.family}}
        -o {{name}}.fs
        {{name}}.pnr.json
    """,
)


class TangPrimerPlatform(TangPrimer20kDockPlatform):
    """The board's pins, with the PLL's clock as domain ``sync``, built by nextpnr-himbaechel.

    Amaranth's own commands are for nextpnr-gowin, which nextpnr 0.7 was the last to have.

    Parameters
    ----------
    clock_hz : float
        Frequency of the domain, in Hz.
    """

    def __init__(self, clock_hz: float) -> None:
        super().__init__()
        self._pll = gowin_pll(CRYSTAL_HZ, clock_hz)

    @property
    def required_tools(self) -> list[str]:
        """Names of the tools."""
        return list(TOOLS)

    @property
    def command_templates(self) -> list[str]:
        """Their calls."""
        return list(COMMANDS)

    @property
    def clock_mhz(self) -> str:
        """What nextpnr is asked for."""
        return f"{self._pll.hz / MHZ:.3f}"

    def create_missing_domain(self, name: str) -> Any:
        """Return the module that makes the domain ``sync``; None for any other."""
        if name != "sync":
            return None
        m = Module()
        pll, clock, locked = self._pll, Signal(name="pll_clock"), Signal()
        port: Any = self.request("clk27", 0, dir="-")
        m.submodules.pin = pin = io.Buffer(io.Direction.Input, port)
        m.submodules.pll = Instance(
            "rPLL",
            p_FCLKIN=f"{CRYSTAL_HZ / MHZ:g}", p_DEVICE="GW2A-18C",
            p_IDIV_SEL=pll.input_div - 1, p_FBDIV_SEL=pll.times - 1, p_ODIV_SEL=pll.output_div,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false",
            i_CLKIN=pin.i, i_CLKFB=0, i_RESET=0, i_RESET_P=0, i_FBDSEL=0, i_IDSEL=0, i_ODSEL=0,
            i_PSDA=0, i_DUTYDA=0, i_FDLY=0, o_CLKOUT=clock, o_LOCK=locked,
        )  # fmt: skip
        m.domains.sync = ClockDomain("sync")
        m.submodules.reset = ResetSynchronizer(~locked, domain="sync")
        m.d.comb += ClockSignal("sync").eq(clock)
        return m
