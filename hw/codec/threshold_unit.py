"""A threshold unit: weighs the bits of a word, and tells whether they reach a threshold."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..ram import NO_COLLISIONS
from .layout import SHALLOW
from .popcount import add, count_stages, delay, population_count
from .threshold_rows import RowLayout


def unit_stages(layout: RowLayout, depth: int) -> int:
    """Return a unit's cycles from a word to its bit."""
    late = depth > SHALLOW  # block memory gives its data late in a cycle
    several = 2 * (layout.weight_bits > 2)
    return late + count_stages(layout.inputs) + several


class ThresholdUnit(wiring.Component):
    """Form the weighted sum of a word's bits, and compare it with a threshold.

    Weights and threshold are a row of its memory, see `threshold_rows`. A bit x of weight -w counts
    as w where x is 0: that is w more than -w x, whatever x is, and w is part of the threshold. So
    nothing is subtracted, and with ternary weights one population count is all. Weights of more
    bits are a count for each bit of their magnitude. A word per cycle; latency `unit_stages` cycles
    from the word to its bit. Reset: none; the rows stay.

    Parameters
    ----------
    layout : RowLayout
    depth : int
        Rows, a power of two.

    Members
    -------
    step : In(1)            everything moves on
    row : In                address of the weights of the word in the next cycle
    word : In(inputs)
    o : Out(1)              whether the threshold is reached
    w_en, w_row, w_part, w_data : In
        Write a part of a row. Not while that row is used.
    """

    step: Signal
    row: Signal
    word: Signal
    o: Signal
    w_en: Signal
    w_row: Signal
    w_part: Signal
    w_data: Signal

    def __init__(self, layout: RowLayout, depth: int) -> None:
        self.layout, self.depth = layout, depth
        super().__init__({
            "step": In(1),
            "row": In(range(max(depth, 2))),  # no port is 0 bits wide
            "word": In(layout.inputs),
            "o": Out(1),
            "w_en": In(1),
            "w_row": In(range(max(depth, 2))),
            "w_part": In(range(layout.parts)),
            "w_data": In(layout.data_bits),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        layout = self.layout
        parts = [
            self._memory(m, f"weights{part}", part, bits, self.row)
            for part, bits in enumerate(layout.part_bits[:-1])
        ]
        weights = Cat(*parts)
        # A threshold is read when its sum comes.
        row = (
            delay(m, self.row, unit_stages(layout, self.depth), self.step)
            if self.depth > 1
            else self.row
        )
        limit = self._memory(m, "threshold", layout.parts - 1, layout.threshold_bits, row)
        counts: list[Value] = []
        for plane in range(layout.weight_bits - 1):
            bits = []
            for n in range(layout.inputs):
                weight = weights.word_select(n, layout.weight_bits)
                counted = weight[plane] & (self.word[n] ^ weight[-1])
                bits.append(delay(m, counted, int(self.depth > SHALLOW), self.step))
            counts.append(population_count(m, bits, self.step))
        m.d.comb += self.o.eq(self._total(m, counts) >= limit)
        return m

    def _total(self, m: Module, counts: list[Value]) -> Value:
        """Add up the counts of the planes, each worth twice the one before."""
        if len(counts) == 1:
            return counts[0]
        terms = [
            (delay(m, count, 1, self.step) << plane, self.layout.inputs << plane)
            for plane, count in enumerate(counts)
        ]
        while len(terms) > 1:
            pairs = [
                (add(m, a, b, None, most + other), most + other)
                for (a, most), (b, other) in zip(terms[::2], terms[1::2], strict=False)
            ]
            terms = pairs + terms[len(pairs) * 2 :]
        return delay(m, terms[0][0], 1, self.step)

    def _memory(self, m: Module, name: str, part: int, bits: int, row: Value) -> Value:
        """Add the memory of a part of the rows; return what is in the row of a cycle before."""
        write_en = self.w_en & (self.w_part == part)
        if self.depth == 1:  # no memory has so little
            only = Plain(bits, name=name)
            with m.If(write_en):
                m.d.sync += only.eq(self.w_data)
            return only
        memory = Memory(shape=bits, depth=self.depth, init=[], attrs=NO_COLLISIONS)
        m.submodules[name] = memory
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(write_en),
            write.addr.eq(self.w_row),
            write.data.eq(self.w_data),
            read.en.eq(self.step),
            read.addr.eq(row),
        ]
        return read.data
