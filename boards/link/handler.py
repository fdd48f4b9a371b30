"""What a request does: memory, registers of the engine, and the reply."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hw.axi import OKAY
from ...hw.registers import ADDR_BITS, REGISTER
from ...hw.wires import join
from .protocol import (
    MAGIC,
    MAX_DATA,
    REPLY,
    VERSION,
    WAIT_CYCLES,
    WORD_BYTES,
    Command,
    Status,
)
from .receiver import FRAME
from .registers import RegisterMaster
from .sender import WORD

START = 0x101  # CONTROL: start, interrupts on
BUSY, BLOCKED = (1 << REGISTER["STATUS"].field(name).lsb for name in ("busy", "blocked"))
WORD_SHIFT = WORD_BYTES.bit_length() - 1


def memory_port(words: int) -> dict[str, Any]:
    """Return the members of a master of a board's memory.

    A transfer is taken when `valid` and `ready` are high; what a read asked for comes later, while
    `r_valid` is high. `address` counts words of 8 bytes.
    """
    return {
        "mem_valid": Out(1),
        "mem_ready": In(1),
        "mem_write": Out(1),
        "mem_address": Out(range(words)),
        "mem_data": Out(8 * WORD_BYTES),
        "mem_r_valid": In(1),
        "mem_r_data": In(8 * WORD_BYTES),
    }


class Handler(wiring.Component):
    """Carry out one request at a time and answer it.

    A request is looked at only while `valid` and `good` are high; sizes and addresses are checked
    before the first word is written. `release` pulses when the reply has been sent.
    Reset: idle, no request remembered.

    Parameters
    ----------
    words : int
        Words of 8 bytes in the memory.
    clock_hz : int
        The clock's frequency, for the host.
    board : int
        32 bits that say which board it is.

    Members
    -------
    valid .. length, address, data, release
        Of `Receiver`, seen from the other side.
    o : Out(stream.Signature(WORD)), sending : In(1)
        To `Sender`; its `busy`.
    irq : In(1)
        The engine has something to say.
    started : Out(1)
        Pulse: START has started the engine.
    mem_* : `memory_port`
    m_axil_* : AXI4-Lite master of `RegisterMaster`
    """

    def __init__(self, words: int, clock_hz: int, board: int) -> None:
        self.words = words
        self.clock_hz = clock_hz
        self.board = board
        self.registers = RegisterMaster()
        super().__init__({
            **{name: member.flip() for name, member in FRAME.items()},
            "o": Out(stream.Signature(WORD)),
            "sending": In(1),
            "irq": In(1),
            "started": Out(1),
            **memory_port(words),
            **self.registers.bus(),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        port: Any = self
        m.submodules.registers = bus = self.registers
        join(m, bus.bus(), bus, self)

        status, value = Signal(Status), Signal(32)
        damaged, taken = Signal(32), Signal(32)  # frames, for STATUS
        again, last_number, last_command = Signal(), Signal(8), Signal(8)
        last_status, last_value = Signal(Status), Signal(32)
        left = Signal(range((1 << 16) + 1))  # bytes to come
        at = Signal(range(MAX_DATA))  # byte of the data
        group = Signal(range(WORD_BYTES + 1))  # bytes of data per word
        lane = Signal(range(WORD_BYTES))
        word = Signal(8 * WORD_BYTES)
        place = Signal(range(2 * self.words))  # word of the memory
        writing, payload = Signal(), Signal(4)  # kind of data in the reply
        READ, INFO, COUNTS = 1, 2, 4
        wait = Signal(16 + WAIT_CYCLES.bit_length() - 1)
        starting = Signal()

        # What a request's header is, a cycle after it came: in one with the decisions it would be
        # the slowest path of the link.
        repeated, is_write, placed, register_ok = (
            Signal(name=name) for name in ("repeated", "is_write", "placed", "register_ok")
        )
        empty, whole = Signal(), Signal()  # no data; as many as the count says
        once = (port.command == Command.REG_WRITE) | (port.command == Command.START)
        group_in = port.command[:4]
        m.d.sync += [
            repeated.eq(
                once & again & (last_number == port.number) & (last_command == port.command)
            ),
            is_write.eq((group_in >= 1) & (group_in <= WORD_BYTES) & (port.command[4:] == 1)),
            placed.eq(
                (port.argument[WORD_SHIFT:] < self.words) & (port.argument[:WORD_SHIFT] == 0)
            ),
            register_ok.eq((port.argument[:2] == 0) & (port.argument[ADDR_BITS:] == 0)),
            empty.eq(port.length == 0),
            whole.eq((port.length != 0) & (port.length == port.count)),
        ]

        def refuse(reason: Status) -> None:
            m.d.sync += status.eq(reason)
            m.next = "REPLY"

        def expect_empty(then: str) -> None:
            with m.If(empty):
                m.next = then
            with m.Else():
                refuse(Status.SIZE)

        def unless(size: Any, place: Any, then: str) -> None:
            with m.If(size):
                refuse(Status.SIZE)
            with m.Elif(place):
                refuse(Status.ADDRESS)
            with m.Else():
                m.next = then

        m.d.comb += [
            bus.address.eq(port.argument),
            port.mem_address.eq(place),
            port.mem_data.eq(word),
            port.address.eq(at),
        ]
        with m.FSM(name="handler"):
            with m.State("IDLE"):
                m.d.sync += [
                    status.eq(Status.OK), value.eq(0), payload.eq(0), at.eq(0), lane.eq(0),
                    word.eq(0), starting.eq(0), writing.eq(0),
                    left.eq(port.count), group.eq(WORD_BYTES),
                    place.eq(port.argument[WORD_SHIFT:]),
                ]  # fmt: skip
                with m.If(port.valid):
                    m.next = "DECODE"
            with m.State("DECODE"):
                with m.If(port.good):
                    m.d.sync += taken.eq(taken + 1)
                with m.Else():
                    m.d.sync += damaged.eq(damaged + 1)
                with m.If(~port.good):
                    refuse(Status.DAMAGED)
                with m.Elif(repeated):
                    m.d.sync += [status.eq(last_status), value.eq(last_value)]
                    m.next = "REPLY"
                with m.Elif(is_write):
                    m.d.sync += [group.eq(group_in), writing.eq(1)]
                    unless(~whole, ~placed, "MEASURE")
                with m.Else():
                    with m.Switch(port.command):
                        with m.Case(Command.HELLO):
                            expect_empty("REPLY")
                            m.d.sync += value.eq(MAGIC)
                            with m.If(empty):
                                m.d.sync += payload.eq(INFO)
                        with m.Case(Command.READ):
                            wrong = ~empty | (port.count == 0) | (port.count > MAX_DATA)
                            unless(wrong, ~placed, "MEASURE")
                        with m.Case(Command.REG_READ):
                            unless(~empty | (port.count != 4), ~register_ok, "REG READ")
                        with m.Case(Command.REG_WRITE):
                            unless(~whole | (port.count != 4), ~register_ok, "FETCH")
                        with m.Case(Command.START):
                            m.d.sync += starting.eq(1)
                            expect_empty("STATUS")
                        with m.Case(Command.WAIT):
                            m.d.sync += wait.eq(
                                Cat(Const(0, WAIT_CYCLES.bit_length() - 1), port.count)
                            )
                            expect_empty("WAIT")
                        with m.Case(Command.STATUS):
                            expect_empty("STATUS")
                            with m.If(empty):
                                m.d.sync += payload.eq(COUNTS)
                        with m.Default():
                            refuse(Status.UNKNOWN)

            # Nothing is written before the last byte is known to fit.
            with m.State("MEASURE"):
                m.d.sync += [left.eq(left - group), place.eq(place + 1)]
                with m.If(left < group):
                    refuse(Status.SIZE)
                with m.Elif(place == self.words):
                    refuse(Status.ADDRESS)
                with m.Elif(left == group):
                    m.d.sync += [
                        left.eq(port.count),
                        place.eq(port.argument[WORD_SHIFT:]),
                        payload.eq(Mux(writing, 0, READ)),
                    ]
                    with m.If(writing):
                        m.next = "FETCH"
                    with m.Else():
                        m.next = "REPLY"

            # The data's bytes become a word, of the memory or for a register.
            with m.State("FETCH"):
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.sync += [at.eq(at + 1), left.eq(left - 1), lane.eq(lane + 1)]
                for byte in range(WORD_BYTES):
                    with m.If(lane == byte):  # what comes after it is 0 until it comes
                        m.d.sync += word[8 * byte :].eq(port.data)
                m.next = "FETCH"
                with m.If(writing & (lane == (group - 1)[: len(lane)])):
                    m.next = "STORE"
                with m.Elif(~writing & (left == 1)):
                    m.next = "REG WRITE"
            with m.State("STORE"):
                m.d.comb += [port.mem_valid.eq(1), port.mem_write.eq(1)]
                with m.If(port.mem_ready):
                    m.d.sync += [place.eq(place + 1), value.eq(value + 1), lane.eq(0)]
                    with m.If(left == 0):
                        m.next = "REPLY"
                    with m.Else():
                        m.next = "FETCH"

            with m.State("REG READ"):
                m.d.comb += bus.read.eq(1)
                with m.If(bus.done):
                    m.d.sync += value.eq(bus.r_data)
                    with m.If(bus.response != OKAY):
                        m.d.sync += [status.eq(Status.BUS), value.eq(0)]
                    m.next = "REPLY"
            with m.State("REG WRITE"):
                m.d.comb += [bus.write.eq(1), bus.w_data.eq(word)]
                with m.If(starting):
                    m.d.comb += [
                        bus.address.eq(REGISTER["CONTROL"].offset), bus.w_data.eq(START),
                    ]  # fmt: skip
                with m.If(bus.done):
                    with m.If(bus.response != OKAY):
                        m.d.sync += status.eq(Status.BUS)
                    with m.Else():
                        m.d.comb += port.started.eq(starting)
                    m.next = "REPLY"
            with m.State("STATUS"):
                m.d.comb += [bus.read.eq(1), bus.address.eq(REGISTER["STATUS"].offset)]
                with m.If(bus.done):
                    m.d.sync += value.eq(bus.r_data)
                    with m.If(~starting):
                        m.next = "REPLY"
                    with m.Elif((bus.r_data & (BUSY | BLOCKED)) != 0):
                        refuse(Status.REFUSED)
                    with m.Else():
                        m.next = "REG WRITE"
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(port.irq | (wait == 0)):
                    m.next = "STATUS"

            with m.State("REPLY"):
                m.d.comb += [
                    port.o.valid.eq(1),
                    port.o.payload.last.eq(payload == 0),
                    port.o.payload.data.eq(Cat(
                        Mux(port.good, port.number, 0),
                        Mux(port.good, port.command | REPLY, Command.DAMAGED | REPLY),
                        Const(0, 16) | status, value,
                    )),
                ]  # fmt: skip
                with m.If(port.o.ready):
                    with m.If(port.good):
                        m.d.sync += [
                            again.eq(port.command != Command.HELLO),
                            last_number.eq(port.number), last_command.eq(port.command),
                            last_status.eq(status), last_value.eq(value),
                        ]  # fmt: skip
                    with m.Switch(payload):
                        with m.Case(READ):
                            m.next = "ASK"
                        with m.Case(INFO):
                            m.d.sync += word.eq(Cat(
                                Const(WORD_BYTES * self.words, 32), Const(self.clock_hz, 32)
                            ))  # fmt: skip
                            m.next = "SEND"
                        with m.Case(COUNTS):
                            m.d.sync += [word.eq(Cat(damaged, taken)), payload.eq(0)]
                            m.next = "SEND"
                        with m.Default():
                            m.next = "END"
            with m.State("ASK"):
                m.d.comb += port.mem_valid.eq(1)
                m.d.sync += left.eq(left - WORD_BYTES)
                with m.If(~port.mem_ready):
                    m.d.sync += left.eq(left)
                with m.Else():
                    m.d.sync += place.eq(place + 1)
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += word.eq(port.mem_r_data)  # valid or not: for an early enable
                with m.If(port.mem_r_valid):
                    m.d.sync += payload.eq(Mux(left == 0, 0, READ))
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    port.o.valid.eq(1),
                    port.o.payload.data.eq(word),
                    port.o.payload.last.eq(payload == 0),
                ]
                with m.If(port.o.ready):
                    with m.Switch(payload):
                        with m.Case(READ):
                            m.next = "ASK"
                        with m.Case(INFO):
                            m.d.sync += [
                                word.eq(Cat(
                                    Const(MAX_DATA, 16), Const(WORD_BYTES, 8), Const(VERSION, 8),
                                    Const(self.board, 32),
                                )),
                                payload.eq(0),
                            ]  # fmt: skip
                        with m.Default():
                            m.next = "END"
            with m.State("END"):
                with m.If(~port.sending):
                    m.d.comb += port.release.eq(1)
                    m.next = "GONE"
            with m.State("GONE"):  # the receiver lets go
                m.next = "IDLE"
        return m
