"""The decoder of switched tables: what is read back says which table is read next."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from ..plain import Plain
from .decoder import Decoder
from .switched import range_bits


class SwitchedDecoder(Decoder):
    """Look up every lane's level in the table that the pixel before it says, see `switched`.

    A `Decoder` whose memories hold the range of each level beside it. It is part of the next
    address, so a word is read in one cycle after the other. Words that are not coded pass, and
    say nothing of the next one. Latency 2 cycles, one word per cycle, stalls with its output.
    Reset: empty; the tables stay.

    Parameters
    ----------
    lanes : int
        Channels of a word.
    act_bits : int
        Bits of a value, 2..8.
    code_bits : int
        Largest bits of a code, 1..7.
    planes : int
        Sets of tables held for each lane, a power of two.
    tables : int
        Tables of a set, 2 or 4.

    Members
    -------
    i : In(stream of {word, bits, plane, last, first})
        ``first``: a row's first pixel, which goes by table 0. Pixels of a plane come one after
        another along their row.
    o : Out(stream of {values, last})
    w_en, w_ranges, w_word, w_entry, w_values : In
        Write ``levels[w_entry]`` of all lanes, of table r of plane p if ``w_word`` is p ``tables``
        + r. With ``w_ranges`` what is written are the ranges of as many levels as go into a value
        (`switched.packed_ranges`), which come next. Not while the plane is being read.
    """

    w_ranges: Signal

    def __init__(self, lanes: int, act_bits: int, code_bits: int, planes: int, tables: int) -> None:
        self.wide = range_bits(tables)
        self.planes, self.tables = planes, tables
        super().__init__(
            lanes, act_bits, code_bits, planes, tables, {"first": 1}, w_ranges=In(1)
        )  # fmt: skip

    def _level(self, m: Module, lane: int, code: Value, step: Value) -> Value:
        coming = Plain(self.act_bits, name=f"ranges{lane}")  # of the levels that are written next
        with m.If(self.w_en):
            kept = coming >> self.wide
            m.d.sync += coming.eq(Mux(self.w_ranges, self.w_values[lane], kept))
        left = Signal(self.wide, name=f"left{lane}")
        read = self.table(
            m, f"levels{lane}", lane, en=self.w_en & ~self.w_ranges,
            at=Cat(self.w_word[: self.wide], self.w_entry, self.w_word[self.wide :]),
            address=Cat(left, code, self.i.payload.plane), step=step & self.i.valid,
            value=Cat(self.w_values[lane], coming[: self.wide]),
        )  # fmt: skip
        m.d.comb += left.eq(Mux(self.i.payload.first, 0, read[self.act_bits :]))
        return read[: self.act_bits]
