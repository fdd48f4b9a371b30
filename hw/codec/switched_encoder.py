"""The encoder of switched tables: first which table each value goes by, then its code."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ..plain import Plain
from ..ram import NO_COLLISIONS
from .layout import stage_cycles
from .search import Search
from .switched import edge_bits, range_bits
from .tables import Tabled


class Part(enum.Enum, shape=2):
    """What is written."""

    THRESHOLDS = 0
    EDGES = 1
    NEXT = 2


class SwitchedEncoder(Tabled):
    """Find the table of every lane's value, then its code in it, see `switched`.

    A search among the word's edges, a stage each, says how the next range follows from the left
    one. A cycle later comes what is known of the left pixel: its range is looked up beside the
    word's number, or is what has just been found if the same word comes again. That loop is one
    choice among S. Then follows a search in the table found, as in `Encoder`; with ``bits`` = 0
    values pass as they are. Latency 2 cycles, 1 more for each stage of both searches, and 1 more
    for each stage, or table of next ranges, whose memory is deeper than 32 entries; one word per
    cycle; stalls with its output. Reset: empty; the tables stay.

    Parameters
    ----------
    lanes : int
        Channels of a word.
    act_bits : int
        Bits of a value, 2..8; 8 for four tables.
    code_bits : int
        Largest bits of a code, 1..7.
    words : int
        Words of channels for which tables are held, a power of two.
    tables : int
        Tables of a word, 2 or 4: S.

    Members
    -------
    i : In(stream of {values, bits, word, first})
        ``word`` says whose tables are meant, ``first`` that the pixel is its row's first. Words
        may come in any order, the pixels of each along their row.
    o : Out(stream of ArrayLayout(act_bits, lanes))
        Codes, lane by lane; values where ``bits`` was 0.
    w_en, w_part, w_word, w_entry, w_values : In
        Write an entry of all lanes, of table r of word p if ``w_word`` is p S + r: of a search
        tree of ``THRESHOLDS``, 1..2^bits - 1; of the word's tree of ``EDGES``, from 1 on, or of
        what is ``NEXT``, from 0 on, whatever r is. Not while that word is being encoded.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    w_part: Any

    def __init__(self, lanes: int, act_bits: int, code_bits: int, words: int, tables: int) -> None:
        self.wide, self.edges = range_bits(tables), edge_bits(tables)
        self.tables, self.groups = tables, words
        if act_bits < tables * self.wide:
            raise ValueError(
                f"act_bits must be {tables * self.wide} or more for {tables} tables, not {act_bits}"
            )
        values = data.ArrayLayout(act_bits, lanes)
        self.entering = data.StructLayout({
            "values": values, "bits": range(code_bits + 1), "word": range(words), "first": 1,
        })  # fmt: skip
        super().__init__(
            lanes, act_bits, code_bits, words * tables, self.entering, values, w_part=In(Part),
            w_entry=In(max(code_bits, self.edges)),
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        step = Signal()
        m.d.comb += [step.eq(~self.o.valid | self.o.ready), self.i.ready.eq(step)]
        now: Any = Signal(self.entering, name="entering")
        m.d.comb += now.eq(self.i.payload)
        search = Search(m, step, self.i.valid, now, self.lanes)
        self._stages(m, search, step, Part.EDGES, self.edges)
        self._switch(m, search, step)
        self._stages(m, search, step, Part.THRESHOLDS, self.code_bits)
        search.leave(self.o)
        return m

    def _at(self, bits: int) -> Value:
        """Return where to write what all tables of a word share."""
        return Cat(self.w_entry[:bits], self.w_word[self.wide :])

    def _stages(self, m: Module, search: Search, step: Value, part: Part, stages: int) -> None:
        """Search in all lanes among a word's edges, or among the thresholds of a table of it."""
        edges = part is Part.EDGES
        name = "edge" if edges else ""
        en = self.w_en & (self.w_part == part)
        for stage in range(stages):
            word = search.now.word
            limits = [
                self.threshold(
                    m, f"{name}{stage}_{lane}", lane, stage, en=en, step=step,
                    at=self._at(stage) if edges else self.at(stage),
                    address=Cat(found, word) if edges else Cat(found, search.now.left[lane], word),
                )
                for lane, found in enumerate(search.found)
            ]  # fmt: skip
            cycles = stage_cycles(self.groups if edges else self.words, stage)
            search.compare(f"{name}{stage}", limits, cycles, None if edges else stage)

    def _switch(self, m: Module, search: Search, step: Value) -> None:
        """From where a value lies among the edges to the range of its left neighbour."""
        follow = [
            self.table(
                m, f"next{lane}", lane, en=self.w_en & (self.w_part == Part.NEXT),
                at=self._at(self.edges), address=Cat(found, search.now.word), step=step,
                value=self.w_values[lane][: self.tables * self.wide],
            )
            for lane, found in enumerate(search.found)
        ]  # fmt: skip
        before: Any = search.now.word
        search.found = [Cat() for _ in follow]
        search.move("next0")
        if stage_cycles(self.groups, self.edges) > 1:
            before = search.now.word
            follow = search.move("next1", follow, "next")

        ranges = data.ArrayLayout(self.wide, self.lanes)
        left: Any = Signal(ranges, name="left")
        found: Any = Signal(ranges, name="found")
        stored = self._ranges_of(m, found, search, before, step)
        m.d.comb += left.eq(Mux(search.now.first, 0, stored))
        for lane, word in enumerate(follow):
            choices = Array(word.word_select(r, self.wide) for r in range(self.tables))
            m.d.comb += found[lane].eq(choices[left[lane]])
        fields = {name: field.shape for name, field in self.entering}
        switched: Any = Signal(data.StructLayout({**fields, "left": ranges}), name="switched")
        m.d.comb += [switched[name].eq(search.now[name]) for name in fields]
        m.d.comb += switched.left.eq(left)
        search.now = switched

    def _ranges_of(
        self, m: Module, found: Any, search: Search, before: Value, step: Value
    ) -> Value:  # fmt: skip
        """Keep the ranges found of each word; return those of the word that is there.

        Parameters
        ----------
        found : ArrayLayout
            Of the word that is there.
        before : Value
            The number of the word that is there next.
        """
        size = self.wide * self.lanes
        last = Plain(size, name="last")
        known = step & search.valid
        with m.If(known):
            m.d.sync += last.eq(found)
        if self.groups == 1:
            return last
        memory = Memory(shape=size, depth=self.groups, init=[], attrs=NO_COLLISIONS)
        m.submodules.ranges = memory
        write, read = memory.write_port(), memory.read_port()
        again = Plain(name="again")  # the memory was read before it was written
        m.d.comb += [
            write.en.eq(known), write.addr.eq(search.now.word), write.data.eq(found),
            read.en.eq(step), read.addr.eq(before),
        ]  # fmt: skip
        with m.If(step):
            m.d.sync += again.eq(search.valid & (before == search.now.word))
        return Mux(again, last, read.data)
