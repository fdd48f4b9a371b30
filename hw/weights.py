"""The weight stream: requantiser records and weight blocks, taken apart as they arrive."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .axi import LAYER_BITS, REQUEST
from .config import EngineConfig
from .plain import Plain
from .queue import Queue
from .record import RECORD_BITS

WEIGHT_COMMAND = data.StructLayout({
    "addr": 32,  # byte address of the layer's stream, bus-aligned
    "beats": 32,  # its length in bus beats
    "tiles": 16,  # how often it is read
    "col_blocks": 16,  # column blocks in it
    "blocks": 16,  # weight blocks per column block
    "layer": LAYER_BITS,  # layer that it belongs to
})  # fmt: skip

#: What the demultiplexer has to know of a stream.
SIZES = data.StructLayout({"beats": 32, "tiles": 16, "col_blocks": 16, "blocks": 16, "layer": 16})


class Weights(wiring.Component):
    """Read a layer's stream once per tile; hold the next block; keep records for the drain.

    For every column block the stream has ``cols`` requantiser records, then ``blocks`` weight
    blocks. The next block waits in a register until the array takes it (``taken``), so codes
    are double-buffered; the reader's FIFO stands before it. Records go to one of two banks, in
    turn, and a bank is written again only after ``release``.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of WEIGHT_COMMAND)     one layer band; the next may come while this one runs
    request : Out(stream)                reads of the memory
    layer : Out(16)                      layer that the request is for
    data : In(stream of bus_bits)        what they return, in order
    codes : Out(rows * cols * weight_bits)  the next block
    ready : Out(1)                       ``codes`` is complete, from the next cycle on
    last : Out(1)                        it is the last block of its column block
    wrong : Out(1), wrong_layer : Out(16)   pulse: a stream is longer or shorter than its blocks
    taken : In(1)                        pulse: the array has copied ``codes``
    release : In(1)                      pulse: the drain is through with the older bank
    record_bank : In(1), record_index : In   which records to show
    records : Out(lanes x RECORD_BITS)   records of ``requantise_lanes`` channels, combinational
    """

    i: stream.Interface
    request: stream.Interface
    layer: Signal
    data: stream.Interface
    codes: Signal
    ready: Signal
    last: Signal
    wrong: Signal
    wrong_layer: Signal
    taken: Signal
    release: Signal
    record_bank: Signal
    record_index: Signal
    records: data.View

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.groups = config.cols // config.requantise_lanes
        self.beats_bits = 32 - (config.bus_bytes - 1).bit_length()  # the address space's
        super().__init__({
            "i": In(stream.Signature(WEIGHT_COMMAND)),
            "request": Out(stream.Signature(REQUEST)),
            "layer": Out(LAYER_BITS),
            "data": In(stream.Signature(config.bus_bits)),
            "codes": Out(config.lanes * config.weight_bits),
            "ready": Out(1),
            "last": Out(1),
            "wrong": Out(1),
            "wrong_layer": Out(LAYER_BITS),
            "taken": In(1),
            "release": In(1),
            "record_bank": In(1),
            "record_index": In(range(self.groups)),
            "records": Out(data.ArrayLayout(RECORD_BITS, config.requantise_lanes)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._requests(m)
        self._demultiplex(m)
        return m

    def _requests(self, m: Module) -> None:
        """Ask for the stream ``tiles`` times; hand the sizes on to the demultiplexer."""
        m.submodules.sizes = self._sizes = queue = Queue(SIZES, 2)

        left = Signal(16)
        addr, beats = Signal(32), Signal(32)
        m.d.comb += [
            self.i.ready.eq((left == 0) & queue.i.ready),
            *(queue.i.payload[name].eq(self.i.payload[name]) for name, _ in SIZES),
            queue.i.valid.eq(self.i.valid & (left == 0)),
            self.request.valid.eq(left != 0),
            self.request.payload.addr.eq(addr),
            self.request.payload.beats.eq(beats),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                left.eq(self.i.payload.tiles),
                addr.eq(self.i.payload.addr),
                beats.eq(self.i.payload.beats),
                self.layer.eq(self.i.payload.layer),
            ]
        with m.Elif(self.request.valid & self.request.ready):
            m.d.sync += left.eq(left - 1)

    def _demultiplex(self, m: Module) -> None:
        config = self.config
        beat = self.data.payload
        tiles, col_blocks, blocks = Signal(16), Signal(16), Signal(16)
        tile, col_block, block = Signal(16), Signal(16), Signal(16)
        filled = Plain(config.block_beats * config.bus_bits)
        m.d.comb += self.codes.eq(filled)
        part = Signal(range(max(config.block_beats, config.parameter_beats, 2)))
        free = Signal(2, init=3)  # record banks the drain does not need
        bank, oldest = Signal(), Signal()
        group, lane = Signal(range(self.groups)), Signal(range(config.requantise_lanes))
        # What arrives is put away a cycle later: FIFO and registers are far from one another.
        # ``ready`` is not: codes are taken two cycles after it at the earliest, records are read
        # after the block's last beat.
        late = Plain(config.bus_bits, name="late_beat")
        m.d.sync += late.eq(beat)
        fill = Signal(config.block_beats)
        for index in range(config.block_beats):
            with m.If(fill[index]):
                m.d.sync += filled.word_select(index, config.bus_bits).eq(late)
        filling = Signal()
        m.d.sync += fill.eq(filling << part)
        write_record = Signal()
        # Beats of the stream after this one, and whether the blocks end with it.
        beats, left = Signal(self.beats_bits), Signal(self.beats_bits)
        final, ends = Signal(), Signal()
        m.d.sync += self.wrong.eq(self.data.valid & self.data.ready & (final != ends))
        with m.If(self.data.valid & self.data.ready):
            m.d.sync += [left.eq(Mux(final, beats, left - 1)), final.eq(left == 1)]
            with m.If(final):
                m.d.sync += final.eq(beats == 0)

        lower, late_lower = (
            Plain(max(RECORD_BITS - config.bus_bits, 0) and config.bus_bits, name=name)
            for name in ("lower_beat", "late_lower")
        )
        late_record, late_index = Signal(), Signal(range(2 * self.groups))
        late_lane = Signal.like(lane)
        m.d.sync += [
            late_lower.eq(lower),
            late_record.eq(write_record),
            late_index.eq(Mux(bank, self.groups, 0) + group),
            late_lane.eq(lane),
        ]
        for index in range(config.requantise_lanes):
            memory = Memory(shape=RECORD_BITS, depth=2 * self.groups, init=[])
            m.submodules[f"records{index}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(late_index),
                write.data.eq(Cat(late_lower, late)[:RECORD_BITS]),
                write.en.eq(late_record & (late_lane == index)),
                read.addr.eq(Mux(self.record_bank, self.groups, 0) + self.record_index),
                self.records[index].eq(read.data),
            ]

        with m.If(self.release):
            m.d.sync += [free.bit_select(oldest, 1).eq(1), oldest.eq(~oldest)]
        with m.If(self.taken):
            m.d.sync += self.ready.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                sizes = self._sizes.o
                m.d.comb += sizes.ready.eq(1)
                with m.If(sizes.valid):
                    m.d.sync += [
                        tiles.eq(sizes.payload.tiles - 1),
                        col_blocks.eq(sizes.payload.col_blocks - 1),
                        blocks.eq(sizes.payload.blocks - 1),
                        tile.eq(0),
                        col_block.eq(0),
                        beats.eq(sizes.payload.beats - 1),
                        left.eq(sizes.payload.beats - 1),
                        final.eq(sizes.payload.beats == 1),
                        self.wrong_layer.eq(sizes.payload.layer),
                    ]
                    m.next = "BANK"
            with m.State("BANK"):
                m.d.sync += [part.eq(0), group.eq(0), lane.eq(0), block.eq(0)]
                with m.If(free.bit_select(bank, 1)):
                    m.d.sync += free.bit_select(bank, 1).eq(0)
                    m.next = "RECORDS"
            with m.State("RECORDS"):
                m.d.comb += self.data.ready.eq(1)
                with m.If(self.data.valid):
                    m.d.sync += [lower.eq(beat), part.eq(part + 1)]
                    with m.If(part == config.parameter_beats - 1):
                        m.d.comb += write_record.eq(1)
                        m.d.sync += [part.eq(0), lane.eq(lane + 1)]
                        with m.If(lane == config.requantise_lanes - 1):
                            m.d.sync += [lane.eq(0), group.eq(group + 1)]
                            with m.If(group == self.groups - 1):
                                m.d.sync += bank.eq(~bank)
                                m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.comb += self.data.ready.eq(~self.ready)
                with m.If(self.data.valid & ~self.ready):
                    m.d.comb += filling.eq(1)
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == config.block_beats - 1):
                        m.d.sync += [part.eq(0), self.ready.eq(1), block.eq(block + 1)]
                        m.d.sync += self.last.eq(block == blocks)
                        m.d.comb += ends.eq((block == blocks) & (col_block == col_blocks))
                        with m.If(block == blocks):
                            m.d.sync += col_block.eq(col_block + 1)
                            m.next = "BANK"
                            with m.If(col_block == col_blocks):
                                m.d.sync += [col_block.eq(0), tile.eq(tile + 1)]
                                with m.If(tile == tiles):
                                    m.next = "IDLE"
