"""The encoder: values to the number of thresholds they reach, by a binary search."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data

from .layout import stage_cycles
from .search import Search
from .tables import Tabled


class Encoder(Tabled):
    """Search every lane's value among 2^bits - 1 sorted thresholds, one a stage, from the middle.

    Stage j reads the threshold that the j code bits found so far lead to (see
    `layout.heap_order`) and compares: a >= t is the next bit. A code of fewer bits goes through
    the first stages alone; with ``bits`` = 0 values pass as they are. Latency 1 cycle, 1 more per
    stage, and 1 more for each stage whose memory is deeper than 32 entries; one word per cycle;
    stalls with its output. Reset: empty; the tables stay.

    Parameters
    ----------
    lanes : int
        Channels of a word.
    act_bits : int
        Bits of a value, 2..8.
    code_bits : int
        Largest bits of a code, 1..7: the stages.
    words : int
        Words of channels for which tables are held, a power of two.

    Members
    -------
    i : In(stream of {values, bits, word})
        ``word`` says whose thresholds are meant.
    o : Out(stream of ArrayLayout(act_bits, lanes))
        Codes, lane by lane; values where ``bits`` was 0.
    w_en, w_word, w_entry, w_values : In
        Write entry 1..2^bits - 1 of the search tree of all lanes of a word; entry 0 is ignored.
        Not while that word is being encoded.
    """

    def __init__(self, lanes: int, act_bits: int, code_bits: int, words: int) -> None:
        values = data.ArrayLayout(act_bits, lanes)
        self.entering = data.StructLayout(
            {"values": values, "bits": range(code_bits + 1), "word": range(words)}
        )
        super().__init__(lanes, act_bits, code_bits, words, self.entering, values)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        step = Signal()
        m.d.comb += [step.eq(~self.o.valid | self.o.ready), self.i.ready.eq(step)]
        now: Any = Signal(self.entering, name="entering")
        m.d.comb += now.eq(self.i.payload)
        search = Search(m, step, self.i.valid, now, self.lanes)
        for stage in range(self.code_bits):
            limits = [
                self.threshold(
                    m, f"{stage}_{lane}", lane, stage, en=self.w_en, at=self.at(stage),
                    address=Cat(search.found[lane], search.now.word), step=step,
                )
                for lane in range(self.lanes)
            ]  # fmt: skip
            search.compare(f"{stage}", limits, stage_cycles(self.words, stage), more_than=stage)
        search.leave(self.o)
        return m
