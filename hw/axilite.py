"""AXI4-Lite slave with the registers of the engine."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .axi import OKAY, SLVERR
from .config import EngineConfig
from .counters import COUNTER_BITS
from .ram import NO_COLLISIONS
from .registers import ADDR_BITS, COUNTERS, REGISTER, REGISTERS, Access, Register, constants

INDEX_BITS = (len(COUNTERS) - 1).bit_length()
LOW_BITS = 4
RECORD_DELAY = 2  # cycles: as long as an event takes to reach the totals
RECORD_CYCLES = len(COUNTERS)  # least cycles from one record to the next; the storer needs more


def axilite_members() -> dict[str, Any]:
    """Return the signature members of the AXI4-Lite slave port."""
    return {
        "s_axil_awaddr": In(ADDR_BITS),
        "s_axil_awprot": In(3),
        "s_axil_awvalid": In(1),
        "s_axil_awready": Out(1),
        "s_axil_wdata": In(32),
        "s_axil_wstrb": In(4),
        "s_axil_wvalid": In(1),
        "s_axil_wready": Out(1),
        "s_axil_bresp": Out(2),
        "s_axil_bvalid": Out(1),
        "s_axil_bready": In(1),
        "s_axil_araddr": In(ADDR_BITS),
        "s_axil_arprot": In(3),
        "s_axil_arvalid": In(1),
        "s_axil_arready": Out(1),
        "s_axil_rdata": Out(32),
        "s_axil_rresp": Out(2),
        "s_axil_rvalid": Out(1),
        "s_axil_rready": In(1),
    }


class Registers(wiring.Component):
    """The registers of ``registers.REGISTERS`` behind AXI4-Lite.

    One write and one read at a time; address and data of a write in any order. An address beyond
    the map answers SLVERR and does nothing; the low two address bits are ignored; writing a
    read-only field does nothing. Latency 2 cycles from a write's later half to its response and
    effect, 3 from a read's address to its data.

    `record` keeps the totals of that cycle (every event up to it is in) as the counters of a
    layer; pulses are ``RECORD_CYCLES`` or more apart (the storer ends a layer at most every 9
    cycles), layers beyond ``max_layers`` are dropped. Recorded counters hold what they held until
    a record of their layer. Reset: as after power-up.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    s_axil_* : AXI4-Lite slave, 12 address bits
    irq : Out(1)
        High while interrupts are enabled and STATUS shows done or error.
    start, soft_reset : Out(1)
        Pulse; `start` only while not `busy` and not `blocked`. Both clear done, error and ERROR.
    program, base, limit : Out(32)
    busy : In(1)
    blocked : In(1)
        The core has failed: only a soft reset helps.
    done : In(1)
        Pulse.
    error_valid : In(1), error : In(8), error_layer : In(16)
        Pulse with code and layer; the first after a start is kept.
    totals : In(ArrayLayout(32, 8))
        Of `Counters`.
    record : In(1), record_layer : In(16)
        Pulse with layer.
    """

    irq: Signal
    start: Signal
    soft_reset: Signal
    program: Signal
    base: Signal
    limit: Signal
    busy: Signal
    blocked: Signal
    done: Signal
    error: Signal
    error_valid: Signal
    error_layer: Signal
    totals: Any
    record: Signal
    record_layer: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(
            axilite_members()
            | {
                "irq": Out(1),
                "start": Out(1),
                "soft_reset": Out(1),
                "program": Out(32),
                "base": Out(32, init=REGISTER["BASE"].field("address").reset),  # pyright: ignore[reportCallIssue]
                "limit": Out(32, init=REGISTER["LIMIT"].field("address").reset),  # pyright: ignore[reportCallIssue]
                "busy": In(1),
                "blocked": In(1),
                "done": In(1),
                "error": In(8),
                "error_valid": In(1),
                "error_layer": In(16),
                "totals": In(data.ArrayLayout(COUNTER_BITS, len(COUNTERS))),
                "record": In(1),
                "record_layer": In(16),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the slave."""
        m = Module()
        layer = Signal(16)
        irq_enable, done, failed = Signal(), Signal(), Signal()
        code, fault_layer = Signal(8), Signal(16)
        start, soft_reset = Signal(), Signal()  # written, one cycle
        clear_done, clear_failed = Signal(), Signal()
        stored = {
            ("CONTROL", "irq_enable"): irq_enable,
            ("PROGRAM", "address"): self.program,
            ("LAYER", "layer"): layer,
            ("BASE", "address"): self.base,
            ("LIMIT", "address"): self.limit,
        }
        actions = {
            ("CONTROL", "start"): start,
            ("CONTROL", "soft_reset"): soft_reset,
            ("STATUS", "done"): clear_done,
            ("STATUS", "error"): clear_failed,
        }
        shown = {
            ("STATUS", "busy"): self.busy,
            ("STATUS", "done"): done,
            ("STATUS", "error"): failed,
            ("STATUS", "blocked"): self.blocked,
            ("ERROR", "code"): code,
            ("ERROR", "layer"): fault_layer,
        }
        fixed = {place: Const(value, 32) for place, value in constants(self.config).items()}

        self._write(m, stored, actions)
        self._read(m, stored | shown | fixed, layer)

        m.d.sync += [
            self.start.eq(start & ~self.busy & ~self.blocked),
            self.soft_reset.eq(soft_reset),
        ]
        with m.If(clear_done):
            m.d.sync += done.eq(0)
        with m.If(clear_failed):
            m.d.sync += failed.eq(0)
        with m.If(self.start | self.soft_reset):
            m.d.sync += [done.eq(0), failed.eq(0), code.eq(0), fault_layer.eq(0)]
        # What ends in the very cycle of a soft reset belongs to the run that it drops.
        with m.If(self.done & ~self.soft_reset):
            m.d.sync += done.eq(1)
        with m.If(self.error_valid & ~self.soft_reset):
            m.d.sync += failed.eq(1)
            with m.If((code == 0) | self.start):
                m.d.sync += [code.eq(self.error), fault_layer.eq(self.error_layer)]
        m.d.sync += self.irq.eq(irq_enable & (done | failed))
        return m

    def _write(self, m: Module, stored: dict[Any, Any], actions: dict[Any, Any]) -> None:
        """Write channels: hold address and data until both are there, then act."""
        bus: Any = self
        have_address, have_data = Signal(), Signal()
        address = Signal(ADDR_BITS - 2)
        value, strobe = Signal(32), Signal(4)
        m.d.comb += [bus.s_axil_awready.eq(~have_address), bus.s_axil_wready.eq(~have_data)]
        with m.If(bus.s_axil_awvalid & ~have_address):
            m.d.sync += [have_address.eq(1), address.eq(bus.s_axil_awaddr >> 2)]
        with m.If(bus.s_axil_wvalid & ~have_data):
            m.d.sync += [
                have_data.eq(1),
                value.eq(bus.s_axil_wdata),
                strobe.eq(bus.s_axil_wstrb),
            ]
        with m.If(bus.s_axil_bready):
            m.d.sync += bus.s_axil_bvalid.eq(0)
        with m.If(have_address & have_data & ~bus.s_axil_bvalid):
            m.d.sync += [
                have_address.eq(0),
                have_data.eq(0),
                bus.s_axil_bvalid.eq(1),
                bus.s_axil_bresp.eq(SLVERR),
            ]
            with m.Switch(address):
                for register in REGISTERS:
                    with m.Case(register.offset // 4):
                        m.d.sync += bus.s_axil_bresp.eq(OKAY)
                        self._write_fields(m, register, value, strobe, stored, actions)

    def _write_fields(
        self, m: Module, register: Register, value: Any, strobe: Any, stored: Any, actions: Any
    ) -> None:
        for field in register.fields:
            place = (register.name, field.name)
            if field.access in (Access.W1, Access.W1C):
                m.d.comb += actions[place].eq(value[field.lsb] & strobe[field.lsb // 8])
            elif field.access is Access.RW:
                for lane in range(4):
                    low = max(field.lsb, 8 * lane)
                    high = min(field.lsb + field.bits, 8 * lane + 8)
                    if low < high:
                        part = stored[place][low - field.lsb : high - field.lsb]
                        with m.If(strobe[lane]):
                            m.d.sync += part.eq(value[low:high])

    def _read(self, m: Module, values: dict[Any, Any], layer: Signal) -> None:
        """Read channels: counters come by way of a register, so every read takes a cycle more."""
        bus: Any = self
        address = Signal(ADDR_BITS - 2)
        recording, total, recorded = self._records(m, address[:INDEX_BITS], layer)
        with m.FSM(name="read"):
            with m.State("IDLE"):
                m.d.comb += bus.s_axil_arready.eq(1)
                m.d.sync += address.eq(bus.s_axil_araddr >> 2)
                with m.If(bus.s_axil_arvalid):
                    m.next = "FETCH"
            with m.State("FETCH"):
                with m.If(~recording):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += [
                    bus.s_axil_rvalid.eq(1),
                    bus.s_axil_rdata.eq(0),
                    bus.s_axil_rresp.eq(SLVERR),
                ]
                with m.Switch(address[INDEX_BITS:]):  # blocks of 8 registers
                    for block, first in enumerate(REGISTERS[:: 1 << INDEX_BITS]):
                        with m.Case(block):
                            if first.name == "COUNTER0":
                                m.d.sync += [
                                    bus.s_axil_rresp.eq(OKAY),
                                    bus.s_axil_rdata.eq(recorded),
                                ]
                            elif first.name == "TOTAL0":
                                m.d.sync += [bus.s_axil_rresp.eq(OKAY), bus.s_axil_rdata.eq(total)]
                            else:
                                self._show(m, block, address[:INDEX_BITS], values)
                m.next = "TAKEN"
            with m.State("TAKEN"):
                with m.If(bus.s_axil_rready):
                    m.d.sync += bus.s_axil_rvalid.eq(0)
                    m.next = "IDLE"

    def _show(self, m: Module, block: int, index: Any, values: dict[Any, Any]) -> None:
        """Answer from one block of registers."""
        bus: Any = self
        with m.Switch(index):
            first = block << INDEX_BITS
            for number, register in enumerate(REGISTERS[first : first + (1 << INDEX_BITS)]):
                with m.Case(number):
                    m.d.sync += [
                        bus.s_axil_rresp.eq(OKAY),
                        bus.s_axil_rdata.eq(_gather(register, values)),
                    ]

    def _records(self, m: Module, index: Any, layer: Signal) -> tuple[Any, Any, Any]:
        """Keep the totals of each layer in a memory, one counter per cycle.

        Counting goes on meanwhile, by less than 16. So the totals' low bits are kept at once, and
        the rest of each total, when its turn comes, is one less if the low bits have wrapped. What
        belongs to a record moves along with it, so the next may come after as many cycles as
        there are counters.
        """
        count, limit = len(COUNTERS), self.config.max_layers
        m.submodules.records = memory = Memory(
            shape=COUNTER_BITS, depth=count * limit, init=[], attrs=NO_COLLISIONS
        )
        write, read = memory.write_port(), memory.read_port()
        layer_bits = len(write.addr) - INDEX_BITS

        trigger = Signal(RECORD_DELAY)
        lows = Signal(count * LOW_BITS)
        pick = Signal(INDEX_BITS + 1, init=count)  # counter to read, `count` for none
        store = Signal(INDEX_BITS + 1, init=count)  # counter to store
        of_layer = data.StructLayout({"layer": layer_bits, "keep": 1})
        coming, picking, storing = (Signal(of_layer, name=f"{n}_record")
                                    for n in ("coming", "picking", "storing"))  # fmt: skip
        total, low = Signal(COUNTER_BITS), Signal(LOW_BITS)
        with m.If(self.record):
            m.d.sync += [
                coming.layer.eq(self.record_layer),
                coming.keep.eq(self.record_layer < limit),
            ]
        m.d.sync += [
            trigger.eq(Cat(self.record, trigger)),
            store.eq(pick),
            storing.eq(picking),
            low.eq(lows[:LOW_BITS]),
        ]
        with m.If(trigger[-1]):
            m.d.sync += [
                lows.eq(Cat(self.totals[i][:LOW_BITS] for i in range(count))),
                picking.eq(coming),
                pick.eq(0),
            ]
        with m.Elif(~pick[-1]):
            m.d.sync += [pick.eq(pick + 1), lows.eq(lows >> LOW_BITS)]
        chosen = Mux(pick[-1], index, pick[:-1])
        m.d.sync += total.eq(self.totals[chosen])

        wrapped = total[:LOW_BITS] < low
        visible = Signal()
        m.d.sync += visible.eq(layer < limit)
        m.d.comb += [
            write.addr.eq(Cat(store[:-1], storing.layer)),
            write.data.eq(Cat(low, total[LOW_BITS:] - wrapped)),
            write.en.eq(~store[-1] & storing.keep),
            read.addr.eq(Cat(index, layer[:layer_bits])),
        ]
        return ~pick[-1] | ~store[-1], total, Mux(visible, read.data, 0)


def _gather(register: Register, values: dict[Any, Any]) -> Any:
    """Return what a read of the register gives."""
    bits: list[Any] = [Const(0, 1)] * 32
    for field in register.fields:
        value = values.get((register.name, field.name))
        for bit in range(field.bits):
            if value is not None and field.access is not Access.W1:
                bits[field.lsb + bit] = value[bit]
    return Cat(bits)


assert [register.offset for register in REGISTERS] == list(range(0, 4 * len(REGISTERS), 4))
