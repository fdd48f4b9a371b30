"""The encoder of zero-value compression: words to a mask and the values that are not 0."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..tree import tree_sum
from .gaps import close_gaps, count_gaps
from .packer import Packer
from .units import Units


class ZeroEncoder(wiring.Component):
    """Store a word as one bit per lane that tells whether it is 0, then the other lanes' values.

    Masks and values lie one behind another without gaps, from the first bit of a run's first beat
    on, lowest lane first: the bits of `shiftwork.model.codec.zeros.ZeroMask`. A word per cycle
    where its code is no longer than a beat, else a beat per cycle. Latency 3 cycles from the word
    that fills a beat to the beat. Reset: empty.

    Parameters
    ----------
    lanes : int
        Values of a word.
    act_bits : int
        Bits of a value.
    beat_bits : int
        Bits of a beat: a power of two of units, gcd(lanes, act_bits) bits each.

    Members
    -------
    i : In(stream of {values, last})
        ``last`` marks the last word of a run, which ends its last beat.
    o : Out(stream of {data, strobe, last})
        ``strobe`` has a bit for each unit that is part of the run.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, lanes: int, act_bits: int, beat_bits: int) -> None:
        self.lanes, self.act_bits = lanes, act_bits
        self.units = Units.of_zeros(lanes, act_bits, beat_bits)
        values = data.ArrayLayout(act_bits, lanes)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"values": values, "last": 1}))),
            "o": Out(stream.Signature(self.units.strobed)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        most = self.units.most
        m.submodules.packer = packer = Packer(self.units.bits, self.units.beat, most)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        entering: Any = self.i.payload
        step, counted = Signal(), Signal()
        first = Signal(init=1)
        m.d.comb += [
            step.eq(~packer.i.valid | packer.i.ready),
            self.i.ready.eq(step),
            packer.i.payload.first.eq(first),
        ]

        # A cycle to count the zeros below each lane that is not one.
        used = Signal(self.lanes)
        m.d.comb += used.eq(Cat(entering.values[lane].any() for lane in range(self.lanes)))
        mask = Plain(self.lanes, name="mask")
        values = Plain(entering.values.shape(), name="waiting")
        last = Plain(name="waiting_last")
        zeros = count_gaps(m, used, step)
        with m.If(step):
            m.d.sync += [
                counted.eq(self.i.valid),
                mask.eq(used),
                values.eq(entering.values),
                last.eq(entering.last),
            ]

        # And one to close the gaps.
        tight = close_gaps(m, [values[lane] for lane in range(self.lanes)], zeros)
        word = Plain(self.lanes * (1 + self.act_bits), name="word")
        units = Plain(range(most + 1), name="units")
        final = Plain(name="word_last")
        count = tree_sum([mask[lane] for lane in range(self.lanes)])
        sizes = [(self.lanes + n * self.act_bits) // self.units.bits for n in range(self.lanes + 1)]
        size = Signal.like(units, name="size")
        with m.Switch(count):
            for n, each in enumerate(sizes):
                with m.Case(n):
                    m.d.comb += size.eq(each)
        with m.If(step):
            m.d.sync += [
                packer.i.valid.eq(counted),
                word.eq(Cat(mask, tight)),
                units.eq(size),
                final.eq(last),
            ]
        m.d.comb += [
            packer.i.payload.word.eq(word),
            packer.i.payload.units.eq(units),
            packer.i.payload.last.eq(final),
        ]
        with m.If(packer.i.valid & packer.i.ready):
            m.d.sync += first.eq(final)
        return m
