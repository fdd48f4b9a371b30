"""The loader of maps that are stored without zeros: masks first, then the values they tell of."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..axi import ADDR_BITS, REQUEST
from ..config import EngineConfig
from ..loader import RUNS_AHEAD, Loader
from ..plain import Plain
from ..queue import Queue
from ..tree import times, tree_sum
from .cutter import Cutter
from .gaps import open_gaps
from .layout import mask_units, unit_bytes
from .unpacker import Unpacker

ZERO_COMMAND = data.StructLayout({
    "addr": 32, "words": 16, "planes": 16, "plane_stride": 32, "groups": 16, "group_stride": 32,
    "base": 16, "values": 32, "segment": 16, "skip": 16,
})  # fmt: skip
"""As `loader.load_command_layout`, but that ``addr`` is that of the masks. ``values`` is that of
the first segment's values; ``skip`` of its words come before the first that is loaded."""


class ZeroLoader(Loader):
    """A `Loader` of maps without zeros, see `layout`.

    The masks of a run are asked for at once. What they tell of a segment's values is counted,
    those of words that are not loaded among them, so that exactly the values of the others are
    asked for. Whatever masks there are in memory, no value is asked for beyond the room of its
    segment's words, and the command ends.

    Throughput a word per cycle where its values are no more than a bus beat, else a beat per
    cycle; about 4 cycles are lost from run to run and one from segment to segment. Masks wait for
    their values, those of two segments or so: a segment has ``hold`` words at most.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(ZERO_COMMAND))
    request, data             masks: a client's side of `Reader`
    o_request, o_data         values: another one's
    w_addr, w_data, w_en, done, wrong : Out   as of `Loader`
    moved : Out(1)            a mask was counted in the cycle before, of a word to load or not
    """

    o_request: Any
    o_data: Any
    moved: Signal

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self.masked = data.StructLayout({"mask": config.rows, "end": 1})

    def _members(self) -> dict[str, Any]:
        bits = self.config.bus_bits
        return super()._members() | {
            "i": In(stream.Signature(ZERO_COMMAND)),
            "o_request": Out(stream.Signature(REQUEST)),
            "o_data": In(stream.Signature(bits)),
            "moved": Out(1),
        }

    def elaborate(self, platform: Any) -> Module:
        """Build the loader."""
        m = Module()
        config, command = self.config, self.i.p
        unit = unit_bytes(config)
        byte_bits = unit.bit_length() - 1
        slot_bits = (config.bus_bytes // unit).bit_length() - 1
        run_layout = data.StructLayout({"slot": slot_bits, "last": 1, "start": ADDR_BITS})
        m.submodules.runs = runs = Queue(run_layout, RUNS_AHEAD)
        words, all_words, segment, skip = (
            Plain(16, name=n) for n in ("words", "all_words", "segment", "skip")
        )
        apart = Plain(ADDR_BITS, name="apart")  # from masks to values
        length = Plain(16 + mask_units(config).bit_length(), name="length")
        begin, finish = Signal(), Signal()
        m.d.comb += [
            begin.eq(self.i.valid & self.i.ready),
            runs.i.payload.start.eq(self.request.p.addr + (runs.i.payload.slot << byte_bits)),
        ]
        with m.If(begin):
            m.d.sync += [
                words.eq(command.words),
                all_words.eq(command.words + command.skip),
                segment.eq(command.segment),
                skip.eq(command.skip),
                apart.eq(command.values - command.addr),
            ]
        m.d.sync += length.eq(times(all_words, mask_units(config)))
        self._ask(m, runs.i, words, length, finish, byte_bits, slot_bits)

        m.submodules.cutter = cutter = Cutter(8, config.bus_bytes, config.rows, self.masked)
        m.submodules.masks = masks = Queue(
            data.StructLayout({
                "mask": config.rows, "first": 1, "last": 1, "end": 1,
                "offset": range(config.bus_bytes),
            }), 2 * config.hold,
        )  # fmt: skip
        self._count(m, runs.o, masks.i, all_words, segment, skip, apart)

        # Masks come back when their values are on their way.
        mask = masks.o.payload
        waiting = cutter.size
        coming = Plain(waiting.payload.shape(), name="coming")
        move = Signal()
        m.d.comb += [
            move.eq(~waiting.valid | waiting.ready),
            masks.o.ready.eq(move),
            waiting.payload.eq(coming),
        ]
        with m.If(move):
            m.d.sync += [
                waiting.valid.eq(masks.o.valid),
                coming.units.eq(tree_sum([mask.mask[n] for n in range(config.rows)])),
                coming.offset.eq(mask.offset),
                coming.first.eq(mask.first),
                coming.last.eq(mask.last),
                coming.beside.mask.eq(mask.mask),
                coming.beside.end.eq(mask.end),
            ]
        wiring.connect(m, wiring.flipped(self.o_data), cutter.i)

        # A cycle to count the values below each lane, and one to put them there.
        cut = cutter.o.payload
        m.d.comb += cutter.o.ready.eq(1)
        placed, ends, ended = Signal(), Signal(), Signal()
        masked = Plain(config.rows, name="masked")
        tight = Plain(data.ArrayLayout(config.act_bits, config.rows), name="tight")
        value = Plain(data.ArrayLayout(config.act_bits, config.rows), name="values")
        m.d.sync += [
            placed.eq(cutter.o.valid), ends.eq(cutter.o.valid & cut.beside.end),
            masked.eq(cut.beside.mask), tight.eq(self._lanes(cut.word, 0, config.rows)),
            self.w_en.eq(placed), ended.eq(ends),
            self.done.eq(ended | (begin & (command.words == 0))),
        ]  # fmt: skip
        own = [tight[lane] for lane in range(config.rows)]
        for lane, opened in enumerate(open_gaps(m, cut.beside.mask, masked, own, Const(1))):
            m.d.sync += value[lane].eq(opened)
        m.d.comb += [self.w_data.eq(value), finish.eq(ended)]
        with m.If(self.w_en):
            m.d.sync += self.w_addr.eq(self.w_addr + 1)
        with m.If(begin):
            m.d.sync += self.w_addr.eq(command.base)
        return m

    def _count(
        self, m: Module, run: Any, kept: Any, all_words: Any, segment: Any, skip: Any, apart: Any
    ) -> None:
        """Keep the masks of words that are loaded; ask for the values that they tell of."""
        config = self.config
        unit = unit_bytes(config)
        beat_bits = config.bus_bytes.bit_length() - 1
        unpacker = Unpacker(8 * unit, config.bus_bytes // unit, mask_units(config))
        m.submodules.unpacker = unpacker
        wiring.connect(m, wiring.flipped(self.data), unpacker.i)

        # A mask and how many lanes it tells of.
        there, last = Signal(), Signal()
        mask = Plain(config.rows, name="mask")
        used = Plain(range(config.rows + 1), name="used")
        take = Signal()
        raw = unpacker.o.payload.word[: config.rows]
        m.d.comb += [
            unpacker.run.valid.eq(run.valid & ~there),
            run.ready.eq(unpacker.run.ready & ~there),
            unpacker.run.payload.offset.eq(run.p.slot),
            unpacker.run.payload.units.eq(mask_units(config)),
            unpacker.run.payload.words.eq(all_words),
            unpacker.o.ready.eq(~there | take),
        ]
        with m.If(unpacker.o.ready):
            m.d.sync += [
                there.eq(unpacker.o.valid),
                mask.eq(raw),
                used.eq(tree_sum([raw[n] for n in range(config.rows)])),
                last.eq(unpacker.o.payload.last),
            ]

        # The segment at hand: where its values are, and how many of them come before those that
        # are loaded, and are loaded.
        most = range(config.hold * config.rows + 1)
        start, at = Plain(ADDR_BITS, name="segment_start"), Plain(ADDR_BITS, name="values_start")
        total = Plain(most, name="total")
        left, to_skip = Plain(16, name="segment_left"), Plain(16, name="to_skip")
        fresh, run_last = Signal(), Signal()  # no word of the segment is kept yet
        loaded, closing, closes = Signal(), Signal(), Signal()
        asking = Signal()  # a request at hand
        request_at, request_bytes = Plain(ADDR_BITS, name="ask_at"), Plain(most, name="ask_bytes")
        byte = request_at[:beat_bits]
        m.d.comb += [
            loaded.eq(to_skip == 0),
            closing.eq(last | (left == 1)),
            take.eq(there & (~loaded | kept.ready) & ~(closing & asking)),
            closes.eq(take & closing),
            kept.valid.eq(there & loaded & ~(closing & asking)),
            kept.payload.mask.eq(mask),
            kept.payload.first.eq(fresh),
            kept.payload.last.eq(closing),
            kept.payload.end.eq(last & run_last),
            kept.payload.offset.eq(at),
            self.o_request.valid.eq(asking),
            self.o_request.p.addr.eq(request_at[beat_bits:] << beat_bits),
            self.o_request.p.beats.eq(
                (request_bytes + byte + config.bus_bytes - 1) >> beat_bits
            ),
        ]  # fmt: skip
        with m.If(unpacker.run.valid & unpacker.run.ready):
            first = run.p.start + apart
            m.d.sync += [
                start.eq(first), at.eq(first), total.eq(0), left.eq(segment), to_skip.eq(skip),
                fresh.eq(1), run_last.eq(run.p.last),
            ]  # fmt: skip
        m.d.sync += self.moved.eq(take)
        following = Signal(ADDR_BITS)
        room = (config.word_bytes - 1).bit_length()
        m.d.comb += following.eq(start + (segment << room))
        with m.If(take):
            m.d.sync += left.eq(left - 1)
            with m.If(loaded):
                m.d.sync += [fresh.eq(0), total.eq(total + used)]
            with m.Else():
                m.d.sync += [to_skip.eq(to_skip - 1), at.eq(at + used)]
        with m.If(closes):
            m.d.sync += [
                left.eq(segment), fresh.eq(1), total.eq(0), start.eq(following), at.eq(following),
                request_at.eq(at), request_bytes.eq(total + used),
                asking.eq(loaded & ((total != 0) | (used != 0))),
            ]  # fmt: skip
        with m.Elif(self.o_request.ready):
            m.d.sync += asking.eq(0)
