"""The resources of a board as ports of a simulation."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from ..top import LEDS, Top

MODULE = "shiftwork_board"


class Group:
    """A resource with parts, like the serial line's ``rx`` and ``tx``."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


class VirtualPlatform:
    """Give a top simulation ports where a board has pins.

    Attributes
    ----------
    inputs, outputs : dict of str to Signal
        What was asked for.
    """

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def request(self, name: str, number: int = 0, *, dir: str = "-") -> Any:
        """Return the port of a resource.

        Raises
        ------
        ValueError
            If there is no such resource, or it is not asked for as a port.
        """
        if dir != "-":
            raise ValueError(f'ask for {name!r} with dir="-", not {dir!r}')
        if name == "uart" and number == 0:
            rx, tx = io.SimulationPort("i", 1, name="rx"), io.SimulationPort("o", 1, name="tx")
            self.inputs["rx"], self.outputs["tx"] = rx.i, tx.o
            return Group(rx=rx, tx=tx)
        if name == "led" and number < len(LEDS):
            led = io.SimulationPort("o", 1, name=LEDS[number])
            self.outputs[LEDS[number]] = led.o
            return led
        raise ValueError(f"the virtual board has no resource {name!r} {number}")


class VirtualBoard(wiring.Component):
    """A board's own top with its pins as ports, and its PLL as ``clk`` and ``rst``.

    Parameters
    ----------
    top : Top

    Members
    -------
    rx : In(1), tx : Out(1)
        The serial line.
    alive .. damaged : Out(1)
        The LEDs, by what they show.
    """

    rx: Signal
    tx: Signal

    def __init__(self, top: Top) -> None:
        self.top = top
        super().__init__({"rx": In(1), "tx": Out(1), **{name: Out(1) for name in LEDS}})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        virtual = VirtualPlatform()
        m.submodules.top = Fragment.get(self.top, virtual)
        for name, port in virtual.inputs.items():
            m.d.comb += port.eq(getattr(self, name))
        for name, port in virtual.outputs.items():
            m.d.comb += getattr(self, name).eq(port)
        return m
