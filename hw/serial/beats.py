"""Beats of the serial engine: four lanes that serve one column after another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..plain import Plain
from ..ram import NO_COLLISIONS
from ..terms import pick_fresh
from ..tree import tree_sum
from .ports import ADDRESS_BITS, WORD_BYTES

PHASES = 4  # cycles per pixel: of the table's entries, and one for each column
COORDINATE_BITS = 13  # as the pipelined engine's with this buffer and 8 bits of padding


class Beats(wiring.Component):
    """Take one block of codes for every pixel of a tile, four cycles a pixel.

    The table says where each pixel of the tile lies: its word in the band, x, y. To these the tap
    is added; what is beyond the band is padding. In a pixel's first three cycles the table is read,
    in the third its word of the buffer, too. In the four cycles after that each column selects its
    terms; their sum goes to the accumulator of pixel and column a cycle later. A block's codes are
    read in the first two cycles, and turn in their register by a column a cycle.

    Parameters
    ----------
    config : EngineConfig
        With 4 rows and 4 columns; see `engine.check_config`.

    Members
    -------
    go : In(1)
        Begin; not while `busy`. All inputs but `landed` are to stand still while `reading`.
    first, maximum, load : In(1), shift : In
        Start anew; keep the larger instead of adding; read codes; left shift of the sums.
    pixels : In                       in the tile, at least 1
    tap_base, tap_x, tap_y, in_width, in_height, pad : In
    entry_valid : In(1), entry_address : In, entry : In(16)   write the table
    codes_address : In(15), next_codes : Out(1)   word to read codes at; it is to be one more
    reading, busy : Out(1)            words are still read; sums are still made
    enable : Out(1), address : Out(15), found : In(32)    the memory
    acc_address : In, acc : Out       accumulator (pixel, column), a cycle later; not while `busy`
    """

    go: Signal
    first: Signal
    maximum: Signal
    load: Signal
    shift: Signal
    pixels: Signal
    tap_base: Signal
    tap_x: Signal
    tap_y: Signal
    in_width: Signal
    in_height: Signal
    pad: Signal
    entry_valid: Signal
    entry_address: Signal
    entry: Signal
    codes_address: Signal
    next_codes: Signal
    reading: Signal
    busy: Signal
    enable: Signal
    address: Signal
    found: Signal
    acc_address: Signal
    acc: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        place = range(config.hold * PHASES)
        super().__init__({
            "go": In(1), "first": In(1), "maximum": In(1), "load": In(1),
            "shift": In(range(config.max_terms)), "pixels": In(range(config.hold + 1)),
            "tap_base": In(range(config.buffer_words)),
            "tap_x": In(COORDINATE_BITS), "tap_y": In(COORDINATE_BITS),
            "in_width": In(COORDINATE_BITS), "in_height": In(COORDINATE_BITS), "pad": In(8),
            "entry_valid": In(1), "entry_address": In(place), "entry": In(16),
            "codes_address": In(ADDRESS_BITS), "next_codes": Out(1),
            "reading": Out(1), "busy": Out(1),
            "enable": Out(1), "address": Out(ADDRESS_BITS), "found": In(8 * WORD_BYTES),
            "acc_address": In(place), "acc": Out(config.acc_bits),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        m.submodules.places = table = Memory(
            shape=16, depth=config.hold * PHASES, init=[], attrs=NO_COLLISIONS
        )
        entry, look = table.write_port(), table.read_port()

        # Reading: a pixel's place, then its word.
        pixel, phase = Plain(range(config.hold)), Signal(2)
        codes_low, codes_high, last = Signal(), Signal(), Signal()
        word = Plain(range(config.buffer_words))
        outside = Plain()
        coordinate, beyond = Signal(COORDINATE_BITS), Signal()
        acts = Plain(8 * WORD_BYTES)
        there = Signal()  # acts are a pixel's, from the next cycle on
        top = Cat(word, (~Value.cast(0)).replicate(ADDRESS_BITS))[:ADDRESS_BITS]
        x_turn = phase == 2
        m.d.comb += [
            entry.en.eq(self.entry_valid),
            entry.addr.eq(self.entry_address),
            entry.data.eq(self.entry),
            look.addr.eq(Cat(phase, pixel)),
            last.eq(pixel + 1 == self.pixels),
            coordinate.eq(look.data + Mux(x_turn, self.tap_x, self.tap_y)),
            beyond.eq(coordinate >= Mux(x_turn, self.in_width, self.in_height)),
            self.enable.eq(self.reading & ~phase[0] & phase[1]),
            self.address.eq(top),
            there.eq(self.reading & (phase == 3)),
        ]
        m.d.sync += [codes_low.eq(0), codes_high.eq(codes_low)]
        with m.If(self.go):
            m.d.sync += [self.reading.eq(1), pixel.eq(0), codes_low.eq(self.load)]
        with m.If(codes_low | codes_high):
            m.d.comb += [
                self.enable.eq(1), self.address.eq(self.codes_address), self.next_codes.eq(1),
            ]  # fmt: skip
        with m.If(self.reading):
            m.d.sync += phase.eq(phase + 1)
            with m.Switch(phase):
                with m.Case(1):
                    m.d.sync += word.eq(look.data + self.tap_base)
                with m.Case(2):
                    m.d.sync += outside.eq(beyond)
                with m.Case(3):
                    m.d.sync += [
                        acts.eq(Mux(outside | beyond, self.pad.replicate(WORD_BYTES), self.found)),
                        pixel.eq(pixel + 1),
                        self.reading.eq(~last),
                    ]

        # Summing: the pixel of the word, column after column.
        summing, turn, at = Signal(), Signal(2), Plain(range(config.hold))
        codes = Plain(config.lanes * config.code_bits)
        took_low, took_high = Signal(), Signal()
        m.d.sync += [took_low.eq(codes_low), took_high.eq(codes_high)]
        half, column = len(codes) // 2, config.rows * config.code_bits
        with m.If(took_low):
            m.d.sync += codes[:half].eq(self.found)
        with m.If(took_high):
            m.d.sync += codes[half:].eq(self.found)
        with m.If(summing):
            m.d.sync += [turn.eq(turn + 1), codes.eq(Cat(codes[column:], codes[:column]))]
            with m.If(turn == PHASES - 1):
                m.d.sync += summing.eq(0)
        with m.If(there):
            m.d.sync += [summing.eq(1), at.eq(pixel)]
        terms = [
            pick_fresh(m, config, acts.word_select(row, config.act_bits),
                       codes.word_select(row, config.code_bits), row)
            for row in range(config.rows)
        ]  # fmt: skip
        total = Plain(range(config.sum_max + 1))
        m.d.sync += total.eq(tree_sum(terms))
        self._accumulate(m, Cat(turn, at), summing, total)
        m.d.comb += self.busy.eq(self.reading | summing)
        return m

    def _accumulate(self, m: Module, place: Value, valid: Value, total: Value) -> None:
        """Add the sum of the cycle before to its accumulator.

        A place returns after 4 cycles at the earliest, and has been written after 2.
        """
        config = self.config
        m.submodules.accumulators = memory = Memory(
            shape=config.acc_bits, depth=config.hold * PHASES, init=[], attrs=NO_COLLISIONS
        )
        read, write = memory.read_port(), memory.write_port()
        late_place, late = Plain(len(place)), Signal()
        m.d.sync += [late_place.eq(place), late.eq(valid)]
        old, new = read.data, Signal(config.acc_bits)
        value = Signal(config.acc_bits)
        m.d.comb += [
            read.addr.eq(Mux(valid, place, self.acc_address)),
            value.eq(total << self.shift),
            self.acc.eq(old),
            write.addr.eq(late_place),
            write.data.eq(new),
            write.en.eq(late),
        ]
        lane, before = value[: config.act_bits], old[: config.act_bits]
        with m.If(self.first):
            m.d.comb += new.eq(value)
        with m.Elif(self.maximum):  # of plain activations
            m.d.comb += new.eq(Mux(lane > before, lane, before))
        with m.Else():
            m.d.comb += new.eq(old + value)
