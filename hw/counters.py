"""The engine's event counters."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .registers import COUNTERS

COUNTER_BITS = 32


class Counters(wiring.Component):
    """Count events: 32 bits each, modulo 2^32.

    Latency 2 cycles from `increment` to `totals`, every cycle counts. `clear` takes effect at
    once: events up to the cycle of the pulse are not counted. Reset: all zero.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    clear : In(1)
        Pulse: start again from zero.
    increment : In(8)
        One bit per counter, in the order of ``registers.COUNTERS``.
    totals : Out(ArrayLayout(32, 8))
    """

    clear: Signal
    increment: Signal
    totals: Any

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "increment": In(len(COUNTERS)),
                "totals": Out(data.ArrayLayout(COUNTER_BITS, len(COUNTERS))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the counters."""
        m = Module()
        pending = Signal(len(COUNTERS))
        m.d.sync += pending.eq(self.increment)
        for index in range(len(COUNTERS)):
            m.d.sync += self.totals[index].eq(self.totals[index] + pending[index])
        with m.If(self.clear):
            m.d.sync += [pending.eq(0), self.totals.as_value().eq(0)]
        return m
