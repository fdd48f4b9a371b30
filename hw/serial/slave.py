"""AXI4-Lite slave of the serial engine: registers that are words of the processor's memory."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ..axi import OKAY, SLVERR
from ..axilite import axilite_members
from ..config import EngineConfig
from ..registers import ADDR_BITS, REGISTER, REGISTERS
from .core import core_members
from .isa import WORD_BITS
from .registers import writable

LAST = REGISTERS[-1].offset // 4


class Slave(wiring.Component):
    """Serve a host's reads and writes, and keep what starts and stops the engine.

    One read or write at a time, writes first; a half of a register in two or more cycles, as the
    processor leaves its memory. An address beyond the map answers SLVERR and does nothing.
    What differs from `hw.axilite`: recorded counters are 0, and reset leaves PROGRAM, LAYER, BASE
    and LIMIT as they were.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    s_axil_*                    the bus
    irq, soft_reset : Out(1)    level; pulse
    of `core.core_members`, seen from the other side
    """

    irq: Signal
    soft_reset: Signal
    running: Signal
    done: Signal
    fail: Signal
    host_valid: Signal
    host_ready: Signal
    host_write: Signal
    host_address: Signal
    host_value: Signal
    host_found: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            **axilite_members(), "irq": Out(1), "soft_reset": Out(1),
            **{name: member.flip() for name, member in core_members().items()},
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus: Any = self
        irq_enable, done, failed, blocked = (
            Signal(name=n) for n in ("irq_enable", "done_flag", "failed", "blocked")
        )
        status, control = REGISTER["STATUS"], REGISTER["CONTROL"]
        address, half, writing = Signal(ADDR_BITS - 2), Signal(), Signal()
        known, value = Signal(), Signal(WORD_BITS)
        strobe = Signal(2)
        at_control, at_status, at_error = Signal(), Signal(), Signal()
        m.d.comb += [
            known.eq(address <= LAST),
            at_control.eq(address == control.offset // 4),
            at_status.eq(address == status.offset // 4),
            at_error.eq(address == REGISTER["ERROR"].offset // 4),
            value.eq(bus.s_axil_wdata.word_select(half, WORD_BITS)),
            strobe.eq(bus.s_axil_wstrb.word_select(half, 2)),
            self.host_address.eq((address << 1) | half),
            self.host_value.eq(value),
        ]
        # What reads show beside the memory's words, which are 0 there.
        shown = Signal(WORD_BITS)
        with m.If(at_control & ~half):
            m.d.comb += shown[control.field("irq_enable").lsb].eq(irq_enable)
        with m.If(at_status & ~half):
            for name, flag in (("busy", self.running), ("done", done), ("error", failed),
                               ("blocked", blocked)):  # fmt: skip
                m.d.comb += shown[status.field(name).lsb].eq(flag)
        kept = Signal()
        with m.Switch(self.host_address):
            for word in writable():
                with m.Case(word):
                    m.d.comb += kept.eq(1)

        m.d.sync += self.soft_reset.eq(0)
        with m.FSM(name="slave"):
            with m.State("IDLE"):
                m.d.sync += [half.eq(0), writing.eq(0), address.eq(bus.s_axil_araddr >> 2)]
                with m.If(bus.s_axil_awvalid & bus.s_axil_wvalid):
                    m.d.comb += bus.s_axil_awready.eq(1)
                    m.d.sync += [writing.eq(1), address.eq(bus.s_axil_awaddr >> 2)]
                    m.next = "WRITE"
                with m.Elif(bus.s_axil_arvalid):
                    m.d.comb += bus.s_axil_arready.eq(1)
                    m.next = "READ"
            with m.State("WRITE"):
                with m.If(known & kept & (strobe != 0)):
                    m.d.comb += [self.host_valid.eq(1), self.host_write.eq(strobe)]
                with m.If(~self.host_valid | self.host_ready):
                    m.d.sync += half.eq(1)
                    with m.If(half):
                        m.d.comb += bus.s_axil_wready.eq(1)
                        m.d.sync += bus.s_axil_bresp.eq(OKAY)
                        with m.If(~known):
                            m.d.sync += bus.s_axil_bresp.eq(SLVERR)
                        m.next = "ANSWERED"
                    with m.Elif(at_status & strobe[0]):
                        for name, flag in (("done", done), ("error", failed)):
                            with m.If(value[status.field(name).lsb]):
                                m.d.sync += flag.eq(0)
                    with m.Elif(at_control):
                        with m.If(strobe[1]):
                            m.d.sync += irq_enable.eq(value[control.field("irq_enable").lsb])
                        with m.If(strobe[0] & value[control.field("soft_reset").lsb]):
                            m.d.sync += [
                                self.soft_reset.eq(1), self.running.eq(0), done.eq(0),
                                failed.eq(0), blocked.eq(0),
                            ]  # fmt: skip
                        with m.Elif(
                            strobe[0] & value[control.field("start").lsb]
                            & ~self.running & ~blocked
                        ):  # fmt: skip
                            m.d.sync += [self.running.eq(1), done.eq(0), failed.eq(0)]
            with m.State("ANSWERED"):
                m.d.comb += bus.s_axil_bvalid.eq(1)
                with m.If(bus.s_axil_bready):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.comb += self.host_valid.eq(1)
                with m.If(self.host_ready):
                    m.next = "TAKE"
            with m.State("TAKE"):
                word = self.host_found | shown
                m.d.sync += [
                    half.eq(1),
                    bus.s_axil_rdata.word_select(half, WORD_BITS).eq(word),
                    bus.s_axil_rresp.eq(OKAY),
                ]
                # The processor clears ERROR some cycles after a soft reset; until then, this does.
                with m.If(~known | (at_error & ~blocked)):
                    m.d.sync += bus.s_axil_rdata.eq(0)
                with m.If(~known):
                    m.d.sync += bus.s_axil_rresp.eq(SLVERR)
                m.next = "READ"
                with m.If(half):
                    m.next = "FOUND"
            with m.State("FOUND"):
                m.d.comb += bus.s_axil_rvalid.eq(1)
                with m.If(bus.s_axil_rready):
                    m.next = "IDLE"
        with m.If(self.done):
            m.d.sync += [self.running.eq(0), done.eq(1)]
        with m.If(self.fail):
            m.d.sync += [self.running.eq(0), failed.eq(1), blocked.eq(1)]
        with m.If(self.soft_reset):  # what ends just then belongs to the run that is dropped
            m.d.sync += [self.running.eq(0), done.eq(0), failed.eq(0), blocked.eq(0)]
        m.d.sync += self.irq.eq(irq_enable & (done | failed))
        return m
