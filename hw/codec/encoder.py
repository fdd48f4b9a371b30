"""The encoder: values to the number of thresholds they reach, by a binary search."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from ..plain import Plain
from .layout import stage_cycles
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
        valid: Value = self.i.valid
        found: list[Value] = [Cat() for _ in range(self.lanes)]  # code bits, lowest first

        def later(value: Value, name: str, *, plain: bool = True) -> Any:
            kept = (Plain if plain else Signal)(value.shape(), name=name)
            with m.If(step):
                m.d.sync += kept.eq(value)
            return kept

        for stage in range(self.code_bits):
            limits: list[Value] = [
                self._limit(m, stage, lane, Cat(found[lane], now.word), step)
                for lane in range(self.lanes)
            ]
            # Thresholds arrive; the words go along.
            for cycle in range(stage_cycles(self.words, stage)):
                name = f"{stage}_{cycle}"
                valid = later(valid, f"valid{name}", plain=False)
                now = later(now, f"word{name}")
                found = [
                    later(bits, f"code{name}_{lane}") if len(bits) else bits
                    for lane, bits in enumerate(found)
                ]
                if cycle:
                    limits = [
                        later(limit, f"limit{name}_{lane}") for lane, limit in enumerate(limits)
                    ]
            active = now.bits > stage
            for lane, limit in enumerate(limits):
                reached = Signal(name=f"reached{stage}_{lane}")
                m.d.comb += reached.eq(now.values[lane] >= limit)
                bits = found[lane]
                found[lane] = Mux(active, Cat(reached, bits), bits)[: stage + 1]

        codes = Plain(self.o.payload.shape(), name="codes")
        m.d.comb += self.o.payload.eq(codes)
        with m.If(step):
            m.d.sync += self.o.valid.eq(valid)
            for lane in range(self.lanes):
                m.d.sync += codes[lane].eq(Mux(now.bits == 0, now.values[lane], found[lane]))
        return m

    def _limit(self, m: Module, stage: int, lane: int, address: Value, step: Value) -> Value:
        """Return a lane's threshold of one stage, a cycle after its address."""
        write_en = self.w_en & (self.w_entry >> stage == 1)
        if self.words << stage == 1:  # no memory has so little
            only = Plain(self.act_bits, name=f"threshold{stage}_{lane}")
            limit = Plain(self.act_bits, name=f"limit{stage}_{lane}")
            with m.If(write_en):
                m.d.sync += only.eq(self.w_values[lane])
            with m.If(step):
                m.d.sync += limit.eq(only)
            return limit
        return self.table(
            m, f"thresholds{stage}_{lane}", lane, stage, en=write_en, address=address, step=step
        )
