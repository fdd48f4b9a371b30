"""The decoder: coded pixel words back to values, by a table for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from ..plain import Plain
from .tables import Tabled


class Decoder(Tabled):
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
    tables, fields, more : optional
        What `SwitchedDecoder` has in their place: sets of tables; fields of a word, their bits;
        members.

    Members
    -------
    i : In(stream of {word, bits, plane, last})
        ``plane`` says whose tables the codes are for; ``last`` goes along.
    o : Out(stream of {values, last})
    w_en, w_word, w_entry, w_values : In
        Write ``levels[w_entry]`` of all lanes of plane ``w_word``. Not while it is being read.
    """

    def __init__(
        self, lanes: int, act_bits: int, code_bits: int, planes: int, tables: int = 1,
        fields: Mapping[str, int] | None = None, **more: wiring.Member,
    ) -> None:  # fmt: skip
        coded = data.StructLayout({
            "word": lanes * act_bits, "bits": range(code_bits + 1), "plane": range(planes),
            "last": 1, **(fields or {}),
        })  # fmt: skip
        values = data.StructLayout({"values": data.ArrayLayout(act_bits, lanes), "last": 1})
        super().__init__(lanes, act_bits, code_bits, planes * tables, coded, values, **more)

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
            code = Cat(
                i.word[plane * self.lanes + lane] & (i.bits > plane)
                for plane in range(self.code_bits)
            )
            level = self._level(m, lane, code, step)
            with m.If(step):
                passing = word.word_select(lane, self.act_bits)
                m.d.sync += value.values[lane].eq(Mux(coded, level, passing))
        return m

    def _level(self, m: Module, lane: int, code: Value, step: Value) -> Value:
        """Return a lane's level of a code, a cycle later."""
        return self.table(
            m, f"levels{lane}", lane, en=self.w_en, at=self.at(self.code_bits),
            address=Cat(code, self.i.payload.plane), step=step,
        )  # fmt: skip
