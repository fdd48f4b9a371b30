"""Copies a band of pixel words from memory into the activation buffer."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import ADDR_BITS, REQUEST
from .config import EngineConfig
from .plain import Plain
from .queue import Queue

RUNS_AHEAD = 16  # runs asked for and not yet received


class Target(IntEnum):
    """Where loaded words go, in the order of loading."""

    LEVELS = 0  # the decoder's tables
    THRESHOLDS = 1  # the encoder's
    BAND = 2  # the activation buffer


def load_command_layout(config: EngineConfig) -> data.StructLayout:
    """Return the command of a loader: addresses and strides in bytes, the rest counts.

    With a codec also bits of the values' codes, and the tables that are meant: those to be
    loaded, see `Target`, or those of the first run's codes. With maps without zeros also what
    `codec.zero_loader` has to know of them; ``segment`` is 0 for all others.
    """
    zeros = {"segment": 16, "skip": 16, "masks": 32} if config.zero_maps else {}
    coded = {"bits": 4, "target": Target, "plane": 8} if config.codec_bits else {}
    return data.StructLayout({
        "addr": 32, "words": 16, "planes": 16, "plane_stride": 32, "groups": 16,
        "group_stride": 32, "base": 16, **coded, **zeros,
    })  # fmt: skip


class Loader(wiring.Component):
    """Read groups x planes runs of ``words`` pixel words; write them one after another.

    Run (g, p) starts at addr + g group_stride + p plane_stride, modulo 2^32; all of these are
    multiples of ``word_bytes``, not of the bus. Words go to the buffer from ``base`` on without
    gaps. One command at a time: the next is taken once `done`. A run that would end beyond the
    buffer is not asked for, nor is any after it: `wrong` pulses, and the command never ends.

    Latency 3 cycles from the command to the first request, 1 from data to the buffer. Throughput
    one bus beat per cycle for words of a beat and more, else one word per cycle, with no gap from
    run to run; a request every 3 cycles, up to 16 runs ahead of the data. The buffer takes a word
    in any cycle. Reset: idle.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(load_command_layout(config)))
        ``words`` = 0 loads nothing; planes and groups are at least 1.
    request : Out(stream.Signature(REQUEST)), data : In(stream.Signature(bus_bits))
        A client's side of `Reader`.
    w_addr, w_data, w_en : Out
        Buffer write: lane i is in bits [i act_bits, (i + 1) act_bits) of the data.
    done : Out(1)
        Pulse in the cycle after the last buffer write, or after a command that loads nothing.
    wrong : Out(1)
        Pulse: the words do not fit the buffer.
    """

    i: Any
    request: Any
    data: Any
    w_addr: Signal
    w_data: Signal
    w_en: Signal
    done: Signal
    wrong: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(self._members())

    def _members(self) -> dict[str, Any]:
        config = self.config
        return {
            "i": In(stream.Signature(load_command_layout(config))),
            "request": Out(stream.Signature(REQUEST)),
            "data": In(stream.Signature(config.bus_bits)),
            "w_addr": Out(range(config.buffer_words)),
            "w_data": Out(config.rows * config.act_bits),
            "w_en": Out(1),
            "done": Out(1),
            "wrong": Out(1),
        }

    def elaborate(self, platform: Any) -> Module:
        """Build the loader."""
        m = Module()
        self._word = Plain(len(self.w_data), name="word")
        m.d.comb += self.w_data.eq(self._word)
        config = self.config
        # A bus beat holds 2**slot_bits words, or a word takes 2**part_bits beats.
        byte_bits = (config.word_bytes - 1).bit_length()
        bus_bits = (config.bus_bytes - 1).bit_length()
        slot_bits = max(0, bus_bits - byte_bits)
        run_layout = data.StructLayout({"slot": slot_bits, "last": 1})
        m.submodules.runs = runs = Queue(run_layout, RUNS_AHEAD)
        words = Signal(16)
        begin, finish = Signal(), Signal()
        m.d.comb += begin.eq(self.i.valid & self.i.ready)
        with m.If(begin):
            m.d.sync += words.eq(self.i.p.words)

        self._ask(m, runs.i, words, words, finish, byte_bits, slot_bits)

        # Data side: `left` words of the run are still to come, the last one is flagged.
        left = Signal(16)
        run_end = Signal()
        word, final = Signal(), Signal()
        m.d.comb += [
            runs.o.ready.eq(word & run_end),
            finish.eq(final),
        ]
        m.d.sync += [
            self.w_en.eq(word),
            final.eq(word & run_end & runs.o.p.last),
            self.done.eq(final | (begin & (self.i.p.words == 0))),
        ]
        with m.If(self.w_en):
            m.d.sync += self.w_addr.eq(self.w_addr + 1)
        with m.If(begin):
            m.d.sync += [
                self.w_addr.eq(self.i.p.base),
                left.eq(self.i.p.words),
                run_end.eq(self.i.p.words == 1),
            ]
        with m.Elif(word):
            m.d.sync += [
                left.eq(Mux(run_end, words, left - 1)),
                run_end.eq(Mux(run_end, words == 1, left == 2)),
            ]
        if slot_bits:
            self._words_of_beat(m, word, run_end, runs.o, slot_bits)
        else:
            self._beats_of_word(m, word)
        return m

    def _ask(
        self, m: Module, run: Any, words: Signal, length: Signal, finish: Signal,
        byte_bits: int, slot_bits: int,
    ) -> None:  # fmt: skip
        """Walk the runs: one adder, two addresses.

        Addresses and ``length``, that of a run, count 2^byte_bits bytes.
        """
        width = ADDR_BITS - byte_bits
        command = self.i.p
        strides = [Signal(width, name=f"{n}_stride") for n in ("plane", "group")]
        starts = [Signal(width, name=f"{n}_start") for n in ("run", "group")]
        counts = [Signal(16, name=f"{n}_count") for n in ("plane", "group")]
        lefts = [Signal(16, name=f"{n}_left") for n in ("plane", "group")]
        ends = [Signal(name=f"{n}_end") for n in ("plane", "group")]
        wanted = (command.planes, command.groups)
        steps = (command.plane_stride, command.group_stride)
        slot = starts[0][:slot_bits]
        # What comes next is chosen while a run is asked for, and added after it.
        base, stride, following = (
            Signal(width, name=f"next_{n}") for n in ("base", "stride", "start")
        )
        m.d.sync += [
            base.eq(Mux(ends[0], starts[1], starts[0])),
            stride.eq(Mux(ends[0], strides[1], strides[0])),
        ]
        m.d.comb += following.eq(base + stride)
        end = Signal(17)  # buffer word after the run's last
        fits = Signal()
        m.d.sync += self.wrong.eq(0)
        per_word = max(0, byte_bits - (self.config.bus_bytes - 1).bit_length())
        m.d.comb += [
            self.request.p.addr.eq(starts[0][slot_bits:] << (byte_bits + slot_bits)),
            self.request.p.beats.eq(
                ((length + slot + (1 << slot_bits) - 1) >> slot_bits) << per_word
            ),
            run.p.slot.eq(slot),
            run.p.last.eq(Cat(ends).all()),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [start.eq(command.addr >> byte_bits) for start in starts]
                    m.d.sync += end.eq(command.base + command.words)
                    for count, left, want in zip(counts, lefts, wanted, strict=True):
                        m.d.sync += [count.eq(want), left.eq(want)]
                    m.d.sync += [
                        s.eq(step >> byte_bits) for s, step in zip(strides, steps, strict=True)
                    ]
                with m.If(self.i.valid & (command.words != 0)):
                    m.next = "FLAG"
            with m.State("FLAG"):
                m.d.sync += [flag.eq(left == 1) for flag, left in zip(ends, lefts, strict=True)]
                m.d.sync += fits.eq(self._fits(end))
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += [
                    self.request.valid.eq(run.ready & fits),
                    run.valid.eq(run.ready & fits & self.request.ready),
                ]
                with m.If(~fits):
                    m.d.sync += self.wrong.eq(1)
                    m.next = "STOP"
                with m.If(run.valid):
                    m.next = "STEP"
                    with m.If(run.p.last):
                        m.next = "WAIT"
            with m.State("STEP"):
                m.d.sync += end.eq(end + words)
                carry: Any = 1
                for level in range(2):
                    with m.If(carry):
                        m.d.sync += lefts[level].eq(
                            Mux(ends[level], counts[level], lefts[level] - 1)
                        )
                        m.d.sync += starts[level].eq(following)
                    carry = carry & ends[level]
                m.next = "FLAG"
            with m.State("WAIT"):
                with m.If(finish):
                    m.next = "IDLE"
            with m.State("STOP"):  # until reset
                pass

    def _fits(self, end: Signal) -> Any:
        """Return whether the run at hand may be loaded; it ends before buffer word ``end``."""
        return end <= self.config.buffer_words

    def _lanes(self, raw: Any, first: int, count: int) -> Any:
        """Return the activations of `count` bytes of a beat or word, pad lanes left out."""
        bits = self.config.act_bits
        real = max(0, min(self.config.rows - first, count))
        return Cat(raw[8 * lane : 8 * lane + bits] for lane in range(real))

    def _beats_of_word(self, m: Module, word: Signal) -> None:
        """Gather one word from one or more beats, straight into the write data."""
        width = self.config.bus_bytes
        parts = max(1, self.config.word_bytes // width)
        part = Signal(range(parts))
        m.d.comb += [
            self.data.ready.eq(1),
            word.eq(self.data.valid & (part == parts - 1)),
        ]
        with m.If(self.data.valid):
            m.d.sync += part.eq(part + 1)
        for index in range(parts):
            with m.If(self.data.valid & (part == index)):
                lanes = self._lanes(self.data.payload, index * width, width)
                at = index * width * self.config.act_bits
                m.d.sync += self._word[at : at + len(lanes)].eq(lanes)

    def _words_of_beat(
        self, m: Module, word: Signal, run_end: Signal, run: Any, slot_bits: int
    ) -> None:
        """Take the words of a beat one by one, from the run's first slot on."""
        first = Signal(init=1)  # the next word is the first of its run
        following, slot = Signal(slot_bits), Signal(slot_bits)
        count = 1 << slot_bits
        m.d.comb += [
            slot.eq(Mux(first, run.p.slot, following)),
            word.eq(self.data.valid & run.valid),
            self.data.ready.eq(run.valid & (run_end | (slot == count - 1))),
        ]
        raw = self.data.payload.word_select(slot, self.config.bus_bits // count)
        m.d.sync += self._word.eq(self._lanes(raw, 0, self.config.word_bytes))
        with m.If(word):
            m.d.sync += [following.eq(slot + 1), first.eq(run_end)]
