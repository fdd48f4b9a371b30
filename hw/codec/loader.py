"""The loader of an engine with a codec: words of any size, decoded on their way."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from ..config import EngineConfig
from ..loader import RUNS_AHEAD, Loader, Target
from ..queue import Queue
from ..tree import tree_sum
from .decoder import Decoder
from .layout import unit_bytes, word_units
from .unpacker import Unpacker


def thresholds_layout(config: EngineConfig) -> data.StructLayout:
    """Return one entry of the encoder's tables, of all lanes of a plane."""
    return data.StructLayout({
        "values": data.ArrayLayout(config.act_bits, config.rows),
        "entry": config.codec_bits, "plane": range(config.codec_planes),
    })  # fmt: skip


class CodedLoader(Loader):
    """A `Loader` that also reads coded words, and the codec's tables.

    A run of coded words starts at any multiple of `layout.unit_bytes` and has no gaps. The n-th
    run of a command is decoded by the tables of plane ``plane`` + n. With target ``LEVELS`` or
    ``THRESHOLDS`` words are stored as they are; 2^bits of them are the entries of a plane, from
    plane ``plane`` on, and go to the decoder, or out of ``thresholds``.

    Latency and throughput as of `Loader`, but for 4 more cycles from data to the buffer and 2
    that are lost from run to run. A run beyond the decoder's planes is `wrong`.

    Members
    -------
    thresholds : Out(stream of thresholds_layout)
    moved : Out(1)
        A word is on its way to where it goes; a word of thresholds takes some cycles.
    """

    thresholds: Any
    moved: Signal

    def _members(self) -> dict[str, Any]:
        layout = thresholds_layout(self.config)
        return super()._members() | {
            "thresholds": Out(stream.Signature(layout)), "moved": Out(1)
        }  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """Build the loader."""
        m = Module()
        config, command = self.config, self.i.p
        unit = unit_bytes(config)
        byte_bits = unit.bit_length() - 1
        beat_units = config.bus_bytes // unit
        slot_bits = beat_units.bit_length() - 1
        sizes = [word_units(config, k) for k in range(config.codec_bits + 1)]
        run_layout = data.StructLayout({"slot": slot_bits, "last": 1})
        m.submodules.runs = runs = Queue(run_layout, RUNS_AHEAD)
        m.submodules.unpacker = unpacker = Unpacker(8 * unit, beat_units, sizes[0])
        m.submodules.decoder = decoder = Decoder(
            config.rows, config.act_bits, config.codec_bits, config.codec_planes
        )

        # The command: a word's units, and those of a run, which are there when the first is asked
        # for. Tables are stored as they are.
        words, units = Signal(16), Signal(range(max(sizes) + 1))
        length = Signal(16 + len(units))
        bits = Signal(range(config.codec_bits + 1))
        coded_bits, wanted = Signal.like(bits), Signal.like(bits)  # of the words themselves
        self._target = target = Signal(Target)
        self._asked = asked = Signal(range(config.codec_planes + 1))  # plane of the run asked for
        begin, finish = Signal(), Signal()
        m.d.comb += begin.eq(self.i.valid & self.i.ready)
        with m.If(command.target == Target.BAND):
            m.d.comb += wanted.eq(command.bits)
        with m.If(begin):
            m.d.sync += [
                words.eq(command.words),
                units.eq(Array(sizes)[wanted]),
                bits.eq(command.bits),
                coded_bits.eq(wanted),
                target.eq(command.target),
                asked.eq(command.plane),
            ]
        partial = [(words & units[bit].replicate(16)) << bit for bit in range(len(units))]
        m.d.sync += length.eq(tree_sum(partial))
        self._coded = coded_bits != 0
        self._ask(m, runs.i, words, length, finish, byte_bits, slot_bits)
        with m.If(runs.i.valid & runs.i.ready & (asked < config.codec_planes)):
            m.d.sync += asked.eq(asked + 1)

        # Data side: beats to words to values.
        run_last = Signal()
        with m.If(unpacker.run.valid & unpacker.run.ready):
            m.d.sync += run_last.eq(runs.o.p.last)
        plane = Signal(range(config.codec_planes))  # of the run, or of the tables that come
        entry = Signal(config.codec_bits)
        word = unpacker.o.payload.word
        values = self._lanes(word, 0, config.word_bytes)
        coded = word[: config.rows * config.codec_bits]
        wiring.connect(m, wiring.flipped(self.data), unpacker.i)
        m.d.comb += [
            unpacker.run.valid.eq(runs.o.valid),
            runs.o.ready.eq(unpacker.run.ready),
            unpacker.run.payload.offset.eq(runs.o.p.slot),
            unpacker.run.payload.units.eq(units),
            unpacker.run.payload.words.eq(words),
            decoder.i.valid.eq(unpacker.o.valid),
            unpacker.o.ready.eq(decoder.i.ready),
            decoder.i.payload.word.eq(values),
            decoder.i.payload.bits.eq(coded_bits),
            decoder.i.payload.plane.eq(plane),
            decoder.i.payload.last.eq(unpacker.o.payload.last & run_last),
        ]
        if config.act_bits < 8:
            with m.If(self._coded):
                m.d.comb += decoder.i.payload.word.eq(coded)

        # Where the values go.
        out = decoder.o.payload
        taken = Signal()
        run_end = unpacker.o.valid & unpacker.o.ready & unpacker.o.payload.last
        m.d.comb += [
            decoder.o.ready.eq((target != Target.THRESHOLDS) | self.thresholds.ready),
            taken.eq(decoder.o.valid & decoder.o.ready),
            self.moved.eq(decoder.o.valid),
            finish.eq(taken & out.last),
            self.w_data.eq(out.values),
            self.w_en.eq(taken & (target == Target.BAND)),
            decoder.w_en.eq(taken & (target == Target.LEVELS)),
            decoder.w_word.eq(plane),
            decoder.w_entry.eq(entry),
            decoder.w_values.eq(out.values),
            self.thresholds.valid.eq(decoder.o.valid & (target == Target.THRESHOLDS)),
            self.thresholds.p.values.eq(out.values),
            self.thresholds.p.entry.eq(entry),
            self.thresholds.p.plane.eq(plane),
        ]
        m.d.sync += self.done.eq(finish | (begin & (command.words == 0)))
        with m.If(self.w_en):
            m.d.sync += self.w_addr.eq(self.w_addr + 1)
        last_entry = Signal(config.codec_bits)
        m.d.comb += last_entry.eq(Cat(bits > bit for bit in range(config.codec_bits)))
        with m.If(begin):
            m.d.sync += [self.w_addr.eq(command.base), plane.eq(command.plane), entry.eq(0)]
        with m.Elif(target == Target.BAND):
            with m.If(run_end):
                m.d.sync += plane.eq(plane + 1)
        with m.Elif(taken):
            m.d.sync += entry.eq(entry + 1)
            with m.If(entry == last_entry):
                m.d.sync += [entry.eq(0), plane.eq(plane + 1)]
        return m

    def _fits(self, end: Signal) -> Any:
        """Return whether the run at hand has room, and tables if it is coded."""
        tables = ~self._coded | (self._asked < self.config.codec_planes)
        return (self._target != Target.BAND) | (super()._fits(end) & tables)
