"""Requantise: acc m + bias, rounded, shifted right and clamped, by shifts and additions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, MULTIPLIER_TERMS, EngineConfig
from .record import RECORD_BITS, RIGHT_LSB, TERM_BITS

STAGES = 6


def requantise_layout(config: EngineConfig) -> data.StructLayout:
    """Return one beat's input: ``requantise_lanes`` channels of one pixel."""
    return data.StructLayout({
        "acc": data.ArrayLayout(config.acc_bits, config.requantise_lanes),
        "record": data.ArrayLayout(RECORD_BITS, config.requantise_lanes),
        "lo": 8,
        "hi": 8,
    })  # fmt: skip


class Requantise(wiring.Component):
    """out = clamp((acc m + bias + 2^(r-1)) >> r, lo, hi): design contract, section 3.

    m is a sum of at most 4 signed powers of two. A negative power is inverted, not negated, and
    the record's bias holds the ones that are missing, and 2^(r-1). Exact: no bit is dropped
    before the right shift. Latency 6 cycles, one beat per cycle, stalls as a whole.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of requantise_layout)
    o : Out(stream of requantise_lanes x act_bits)
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        out = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        super().__init__({
            "i": In(stream.Signature(requantise_layout(config))),
            "o": Out(stream.Signature(out)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance = Signal()
        valid = Signal(STAGES)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(valid[-1]),
        ]
        lo = [self.i.payload.lo]
        hi = [self.i.payload.hi]
        for stage in range(1, STAGES):
            lo.append(Signal(8, name=f"lo{stage}"))
            hi.append(Signal(8, name=f"hi{stage}"))
        with m.If(advance):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))
            for stage in range(1, STAGES):
                m.d.sync += [lo[stage].eq(lo[stage - 1]), hi[stage].eq(hi[stage - 1])]
            for lane in range(self.config.requantise_lanes):
                acc, record = self.i.payload.acc[lane], self.i.payload.record[lane]
                self._lane(m, lane, acc, record, lo[-1], hi[-1])
        return m

    def _lane(
        self, m: Module, lane: int, acc: Signal, record: Signal, lo: Signal, hi: Signal
    ) -> None:
        """Add the registers of one lane; called where the pipeline advances."""
        product = signed(self.config.acc_bits + MULTIPLIER_SHIFT_MAX + 1)

        # 1: the terms of m, each inverted where negative.
        terms = []
        for index in range(MULTIPLIER_TERMS):
            field = record[BIAS_BITS + TERM_BITS * index :][:TERM_BITS]
            shift, negative, enable = field[:4], field[4], field[5]
            magnitude = Signal(product, name=f"l{lane}_magnitude{index}")
            term = Signal(product, name=f"l{lane}_term{index}")
            gated = Mux(enable, acc, 0)
            for bit in range(4):
                gated = Mux(shift[bit], Cat(Const(0, 1 << bit), gated), gated)
            m.d.comb += magnitude.eq(gated[: product.width - 1])
            m.d.sync += term.eq(Mux(negative, ~magnitude, magnitude))
            terms.append(term)
        bias1, bias2 = (Signal(signed(BIAS_BITS), name=f"l{lane}_bias{n}") for n in (1, 2))
        rights = [Signal(6, name=f"l{lane}_right{n}") for n in range(1, 5)]
        m.d.sync += [bias1.eq(record[:BIAS_BITS].as_signed()), bias2.eq(bias1)]
        m.d.sync += rights[0].eq(record[RIGHT_LSB : RIGHT_LSB + 6])
        m.d.sync += [b.eq(a) for a, b in pairwise(rights)]

        # 2: pairs. 3: their sum. 4: and the bias.
        low, high = terms[0] + terms[1], terms[2] + terms[3]
        pair0 = Signal(low.shape(), name=f"l{lane}_pair0")
        pair1 = Signal(high.shape(), name=f"l{lane}_pair1")
        scaled = Signal((pair0 + pair1).shape(), name=f"l{lane}_scaled")
        bias3 = Signal(signed(BIAS_BITS), name=f"l{lane}_bias3")
        total = Signal((scaled + bias3).shape(), name=f"l{lane}_total")
        m.d.sync += [pair0.eq(low), pair1.eq(high), scaled.eq(pair0 + pair1)]
        m.d.sync += [bias3.eq(bias2), total.eq(scaled + bias3)]

        # 5: right shift by whole bytes; what no longer fits 15 bits is only "too large".
        coarse = Signal(15, name=f"l{lane}_coarse")
        large = Signal(name=f"l{lane}_large")
        minus = Signal(name=f"l{lane}_minus")
        fine = Signal(3, name=f"l{lane}_fine")
        right = rights[3]
        width = len(total)
        steps = range(0, 64, 8)
        rest = [total[step:width] if step < width else total[-1] for step in steps]
        slots = [Cat(part, total[-1].replicate(15))[:15] for part in rest]
        above = [
            total[step + 15 : width].any() if step + 15 < width else Const(0) for step in steps
        ]
        m.d.sync += [
            coarse.eq(Array(slots)[right[3:]]),
            large.eq(Array(above)[right[3:]]),
            minus.eq(total[-1]),
            fine.eq(right[:3]),
        ]

        # 6: right shift by bits, clamp.
        value = Signal(15, name=f"l{lane}_value")
        m.d.comb += value.eq(coarse >> fine)
        out = self.o.payload[lane]
        with m.If(minus | (value < lo) & ~large):
            m.d.sync += out.eq(lo)
        with m.Elif(large | (value > hi)):
            m.d.sync += out.eq(hi)
        with m.Else():
            m.d.sync += out.eq(value)
