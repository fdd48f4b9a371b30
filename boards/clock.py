"""Clocks of the boards: a PLL of the device, and the reset until it is locked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol, TypeVar

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

MHZ = 1_000_000
# Lattice FPGA-DS-02012, section 3.19, sysCLOCK PLL timing, in Hz
ECP5_REFERENCE = (8 * MHZ, 400 * MHZ)
ECP5_PHASE = (10 * MHZ, 400 * MHZ)
ECP5_VCO = (400 * MHZ, 800 * MHZ)
# The loop's charge pump and filter, as Project Trellis' ecppll sets them for any frequency;
# nextpnr leaves what is not given at zero: no current, so nothing to lock with.
ECP5_LOOP = {
    "a_ICP_CURRENT": "12",
    "a_LPF_RESISTOR": "8",
    "a_MFG_ENABLE_FILTEROPAMP": "1",
    "a_MFG_GMCREF_SEL": "2",
}


class Pll(Protocol):
    """Dividers of a PLL, and the clock ``hz`` they make."""

    @property
    def hz(self) -> float:
        """Output frequency in Hz."""
        ...


P = TypeVar("P", bound=Pll)


def highest(
    found: Sequence[P], reference_hz: float, wanted_hz: float, key: Callable[[P], Any]
) -> P:
    """Return of several dividers those of the highest clock, and of these the largest ``key``.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not found:
        raise ValueError(
            f"the PLL cannot make {wanted_hz / MHZ:g} MHz of {reference_hz / MHZ:g} MHz"
        )
    return max(found, key=lambda each: (each.hz, key(each)))


@dataclass(frozen=True)
class Ecp5Pll:
    """Dividers of an EHXPLLL whose first output goes back and whose second is the clock.

    With one output for both, only multiples of what the phase detector sees could be made.

    Attributes
    ----------
    input_div : int
        The phase detector runs at reference / input_div.
    vco_times : int
        The VCO runs so many times as fast as the phase detector: divider of the way back.
    output_div : int
        The clock is VCO / output_div.
    hz : float
        Output frequency in Hz.
    """

    input_div: int
    vco_times: int
    output_div: int
    hz: float


def ecp5_pll(reference_hz: float, wanted_hz: float) -> Ecp5Pll:
    """Return the dividers whose output is nearest to a frequency and not above it.

    Raises
    ------
    ValueError
        If the reference is out of range, or nothing within 20 % below can be made.
    """
    if not ECP5_REFERENCE[0] <= reference_hz <= ECP5_REFERENCE[1]:
        raise ValueError(f"the PLL's reference must be 8 to 400 MHz, not {reference_hz / MHZ:g}")
    found: list[Ecp5Pll] = []
    for divider in range(1, 129):
        phase = reference_hz / divider
        if not ECP5_PHASE[0] <= phase <= ECP5_PHASE[1]:
            continue
        for times in range(1, 129):
            vco = phase * times
            output = ceil(vco / wanted_hz * (1 - 1e-9))
            if not ECP5_VCO[0] <= vco <= ECP5_VCO[1] or output > 128:
                continue
            hz = vco / output
            if hz >= 0.8 * wanted_hz:
                found.append(Ecp5Pll(divider, times, output, hz))
    middle = sum(ECP5_VCO) / 2

    def central(pll: Ecp5Pll) -> int:
        return -int(abs(reference_hz / pll.input_div * pll.vco_times - middle))

    return highest(found, reference_hz, wanted_hz, central)


class Ecp5Clock(wiring.Component):
    """A clock from a pin by way of a PLL.

    Parameters
    ----------
    pll : Ecp5Pll

    Members
    -------
    pin : In(1)
        The reference clock.
    clock, locked : Out(1)
    """

    pin: Signal
    clock: Signal
    locked: Signal

    def __init__(self, pll: Ecp5Pll) -> None:
        self.pll = pll
        super().__init__({"pin": In(1), "clock": Out(1), "locked": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        back = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL", **ECP5_LOOP,
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED", p_OUTDIVIDER_MUXA="DIVA", p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.pll.input_div, p_CLKFB_DIV=1,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.pll.vco_times,
            p_CLKOP_CPHASE=self.pll.vco_times - 1, p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=self.pll.output_div,
            p_CLKOS_CPHASE=self.pll.output_div - 1, p_CLKOS_FPHASE=0,
            i_CLKI=self.pin, i_CLKFB=back, i_RST=0, i_STDBY=0, i_PHASESEL0=0,
            i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1, i_PLLWAKESYNC=0,
            i_ENCLKOP=0, i_ENCLKOS=0, o_CLKOP=back, o_CLKOS=self.clock, o_LOCK=self.locked,
        )  # fmt: skip
        return m


def pll_domain(pin: Any, pll: Ecp5Pll, platform: Any) -> Module:
    """Return a module with domain ``sync``, in reset until the PLL is locked."""
    m = Module()
    m.domains.sync = ClockDomain()
    m.submodules.pll = clock = Ecp5Clock(pll)
    m.submodules.reset = ResetSynchronizer(~clock.locked, domain="sync")
    m.d.comb += [clock.pin.eq(pin), ClockSignal("sync").eq(clock.clock)]
    platform.add_clock_constraint(clock.clock, pll.hz)
    return m
