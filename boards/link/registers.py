"""AXI4-Lite master: one read or write of the engine's registers at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.axilite import axilite_members


class RegisterMaster(wiring.Component):
    """Read or write one register.

    Members
    -------
    read, write : In(1)
        High until `done`, one of them at most.
    address : In(32), w_data : In(32)
        Byte address, of which the port's width counts, and what to write.
    done : Out(1)
        Pulse in the last cycle, with `response` (AXI) and, of a read, `r_data`.
    m_axil_*
        The bus.
    """

    read: Signal
    write: Signal
    address: Signal
    w_data: Signal
    done: Signal
    response: Signal
    r_data: Signal

    @staticmethod
    def bus() -> dict[str, Any]:
        """Return the members of the bus."""
        return {
            name.replace("s_axil", "m_axil"): member.flip()
            for name, member in axilite_members().items()
        }

    def __init__(self) -> None:
        super().__init__({
            "read": In(1),
            "write": In(1),
            "address": In(32),
            "w_data": In(32),
            "done": Out(1),
            "response": Out(2),
            "r_data": Out(32),
            **self.bus(),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus: Any = self
        sent_address, sent_data = Signal(), Signal()
        m.d.comb += [
            bus.m_axil_awaddr.eq(self.address),
            bus.m_axil_araddr.eq(self.address),
            bus.m_axil_wdata.eq(self.w_data),
            bus.m_axil_wstrb.eq(0b1111),
            bus.m_axil_awvalid.eq(self.write & ~sent_address),
            bus.m_axil_wvalid.eq(self.write & ~sent_data),
            bus.m_axil_arvalid.eq(self.read & ~sent_address),
            bus.m_axil_bready.eq(self.write),
            bus.m_axil_rready.eq(self.read),
            self.done.eq((self.write & bus.m_axil_bvalid) | (self.read & bus.m_axil_rvalid)),
            self.r_data.eq(bus.m_axil_rdata),
            self.response.eq(bus.m_axil_rresp),
        ]
        with m.If(self.write):
            m.d.comb += self.response.eq(bus.m_axil_bresp)
        with m.If(self.done):
            m.d.sync += [sent_address.eq(0), sent_data.eq(0)]
        with m.Elif(self.write):
            m.d.sync += [
                sent_address.eq(sent_address | bus.m_axil_awready),
                sent_data.eq(sent_data | bus.m_axil_wready),
            ]
        with m.Elif(self.read):
            m.d.sync += sent_address.eq(sent_address | bus.m_axil_arready)
        return m
