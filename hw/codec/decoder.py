"""The decoder: coded pixel words back to values, by a table for each channel."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..ram import NO_COLLISIONS


class Decoder(wiring.Component):
    """Look up ``levels[code]`` for every lane of a word, or pass the word on.

    Code bit j of lane r is bit j lanes + r of the word, for j below ``bits``; what is above is
    ignored. With ``bits`` = 0 the word's values pass, lane r from bit r act_bits on. Latency 2
    cycles, one word per cycle, stalls with its output. Reset: empty; the tables stay.

    Parameters
    ----------
    lanes : int
        Channels of a word.
    act_bits : int
        Bits of a value, 2..8.
    code_bits : int
        Largest bits of a code, 1..7.
    planes : int
        Tables held for each lane, a power of two.

    Members
    -------
    i : In(stream of {word, bits, plane, last})
        ``plane`` says whose tables the codes are for; ``last`` goes along.
    o : Out(stream of {values, last})
    w_en, w_plane, w_entry, w_values : In
        Write ``levels[w_entry]`` of all lanes of a plane. Not while the plane is being read.
    """

    i: stream.Interface
    o: stream.Interface
    w_en: Signal
    w_plane: Signal
    w_entry: Signal
    w_values: data.View

    def __init__(self, lanes: int, act_bits: int, code_bits: int, planes: int) -> None:
        if not 1 <= code_bits < act_bits:
            raise ValueError(f"code_bits must be 1..{act_bits - 1}, not {code_bits}")
        if planes < 1 or planes & (planes - 1):
            raise ValueError(f"planes must be a power of two, not {planes}")
        self.lanes, self.act_bits, self.code_bits = lanes, act_bits, code_bits
        self.planes = planes
        values = data.ArrayLayout(act_bits, lanes)
        coded = data.StructLayout({
            "word": lanes * act_bits, "bits": range(code_bits + 1), "plane": range(planes),
            "last": 1,
        })  # fmt: skip
        super().__init__({
            "i": In(stream.Signature(coded)),
            "o": Out(stream.Signature(data.StructLayout({"values": values, "last": 1}))),
            "w_en": In(1),
            "w_plane": In(range(planes)),
            "w_entry": In(code_bits),
            "w_values": In(values),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        i: Any = self.i.payload
        step, found = Signal(), Signal()  # found: the tables' answer stands in their registers
        coded, last = Signal(), Signal()
        word = Plain(self.lanes * self.act_bits, name="passing")
        value = Plain(self.o.payload.shape(), name="value")
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.o.payload.eq(value),
        ]
        with m.If(step):
            m.d.sync += [
                found.eq(self.i.valid),
                coded.eq(i.bits != 0),
                last.eq(i.last),
                word.eq(i.word),
                self.o.valid.eq(found),
                value.last.eq(last),
            ]
        for lane in range(self.lanes):
            memory = Memory(
                shape=self.act_bits, depth=self.planes << self.code_bits, init=[],
                attrs=NO_COLLISIONS,
            )  # fmt: skip
            m.submodules[f"levels{lane}"] = memory
            write, read = memory.write_port(), memory.read_port()
            code = Cat(
                i.word[plane * self.lanes + lane] & (i.bits > plane)
                for plane in range(self.code_bits)
            )
            m.d.comb += [
                write.en.eq(self.w_en),
                write.addr.eq(Cat(self.w_entry, self.w_plane)),
                write.data.eq(self.w_values[lane]),
                read.en.eq(step),
                read.addr.eq(Cat(code, i.plane)),
            ]
            with m.If(step):
                passing = word.word_select(lane, self.act_bits)
                m.d.sync += value.values[lane].eq(Mux(coded, read.data, passing))
        return m
