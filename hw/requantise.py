"""Requantise: acc m + bias, rounded, shifted right and clamped, by shifts and additions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, MULTIPLIER_TERMS, EngineConfig
from .geometry import REQUANTISE_STAGES, requantise_registers
from .plain import Plain
from .record import RECORD_BITS, RIGHT_LSB, SLOPE_TERM_BITS, TERM_BITS
from .tree import tree_sum

SLOPE_BITS = 7  # fraction bits of a slope
REACH = 2048  # largest distance from the zero point that is told apart


def bend_members(config: EngineConfig) -> dict[str, int]:
    """Return the fields that only an engine with leaky ReLU carries along."""
    return {"slope": 3 * SLOPE_TERM_BITS, "zero": 8} if config.leaky else {}


def requantise_layout(config: EngineConfig) -> data.StructLayout:
    """Return one beat's input: ``requantise_lanes`` channels of one pixel."""
    return data.StructLayout({
        "acc": data.ArrayLayout(config.acc_bits, config.requantise_lanes),
        "record": data.ArrayLayout(RECORD_BITS, config.requantise_lanes),
        "lo": 8,
        "hi": 8,
        **bend_members(config),
    })  # fmt: skip


class _Way:
    """A beat's way through the stages: which end in registers, and when these take a value.

    Attributes
    ----------
    stages : int
    valid : Signal
        Of a beat behind each register.
    enables : dict of int to Value
        Of a beat in each stage.
    """

    def __init__(self, m: Module, config: EngineConfig, valid: Value) -> None:
        self._m = m
        self._registers = registers = requantise_registers(config)
        self.stages = registers[-1]
        self.valid = Signal(len(registers), name="valid")
        m.d.sync += self.valid.eq(Cat(valid, self.valid))
        passed = [valid, *self.valid]
        self.enables = {
            stage: passed[sum(register < stage for register in registers)]
            for stage in range(1, self.stages + 1)
        }

    def end(self, stage: int, *assignments: Any) -> None:
        """Assign at the end of a stage: in registers, or at once."""
        if stage not in self._registers:
            self._m.d.comb += assignments
            return
        with self._m.If(self.enables[stage]):
            self._m.d.sync += assignments


class Requantise(wiring.Component):
    """out = clamp((acc m + bias + 2^(r-1)) >> r, lo, hi): design contract, section 3.

    m is a sum of at most 4 signed powers of two. A negative power is inverted, not negated, and
    the record's bias holds the ones that are missing, and 2^(r-1). Exact: no bit is dropped
    before the right shift. One beat per cycle, nothing stalls. Latency 7 cycles, 12 with leaky
    ReLU; in a shallow engine, where only the stages of `geometry.requantise_registers` end in
    registers, 2. Stages without a beat keep what they have: a drain is under way in few
    cycles of many.

    With leaky ReLU a result v below the zero point z becomes
    z - ((z - v) k + 64) / 2^7, rounded down, before the clamp, z - v being at most 2048; k is a
    sum of up to three signed powers of two.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of requantise_layout, always ready)
    o : Out(stream of requantise_lanes x act_bits, always ready)
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        out = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        super().__init__({
            "i": In(stream.Signature(requantise_layout(config), always_ready=True)),
            "o": Out(stream.Signature(out, always_ready=True)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        way = _Way(m, self.config, self.i.valid)
        m.d.comb += self.o.valid.eq(way.valid[-1])
        held = {"lo": 8, "hi": 8, **bend_members(self.config)}
        late = {name: [getattr(self.i.payload, name)] for name in held}
        for name, width in held.items():
            for stage in range(1, way.stages):
                late[name].append(Plain(width, name=f"{name}{stage}"))
                way.end(stage, late[name][stage].eq(late[name][stage - 1]))
        for lane in range(self.config.requantise_lanes):
            acc, record = self.i.payload.acc[lane], self.i.payload.record[lane]
            self._lane(m, lane, acc, record, late, way)
        return m

    def _lane(
        self,
        m: Module,
        lane: int,
        acc: Signal,
        record: Signal,
        late: dict[str, list[Any]],
        way: _Way,
    ) -> None:
        """Add one lane."""
        product = signed(self.config.acc_bits + MULTIPLIER_SHIFT_MAX + 1)

        # 1: the terms of m, shifted by the lower bits of their shifts. 2: and by the upper ones,
        # each inverted where negative.
        terms = []
        for index in range(MULTIPLIER_TERMS):
            field = record[BIAS_BITS + TERM_BITS * index :][:TERM_BITS]
            shift, negative, enable = field[:4], field[4], field[5]
            magnitude = Plain(product, name=f"l{lane}_magnitude{index}")
            term = Plain(product, name=f"l{lane}_term{index}")
            gated = Mux(enable, acc, 0)
            for bit in range(2):
                gated = Mux(shift[bit], Cat(Const(0, 1 << bit), gated), gated)
            partly = Plain(len(gated), name=f"l{lane}_partly{index}")
            upper = Plain(2, name=f"l{lane}_upper{index}")
            inverts = Plain(name=f"l{lane}_inverts{index}")
            way.end(1, partly.eq(gated), upper.eq(shift[2:]), inverts.eq(negative))
            gated = partly
            for bit in range(2):
                gated = Mux(upper[bit], Cat(Const(0, 4 << bit), gated), gated)
            m.d.comb += magnitude.eq(gated[: product.width - 1])
            way.end(2, term.eq(Mux(inverts, ~magnitude, magnitude)))
            terms.append(term)
        biases = [record[:BIAS_BITS].as_signed()]
        biases += [Plain(signed(BIAS_BITS), name=f"l{lane}_bias{n}") for n in range(1, 5)]
        rights = [record[RIGHT_LSB : RIGHT_LSB + 6]]
        rights += [Plain(6, name=f"l{lane}_right{n}") for n in range(1, 6)]
        for values in (biases, rights):
            for stage, (now, later) in enumerate(pairwise(values), 1):
                way.end(stage, later.eq(now))

        # 3: pairs. 4: their sum. 5: and the bias.
        low, high = terms[0] + terms[1], terms[2] + terms[3]
        pair0 = Plain(low.shape(), name=f"l{lane}_pair0")
        pair1 = Plain(high.shape(), name=f"l{lane}_pair1")
        scaled = Plain((pair0 + pair1).shape(), name=f"l{lane}_scaled")
        total = Plain((scaled + biases[-1]).shape(), name=f"l{lane}_total")
        way.end(3, pair0.eq(low), pair1.eq(high))
        way.end(4, scaled.eq(pair0 + pair1))
        way.end(5, total.eq(scaled + biases[-1]))

        # 6: right shift by whole bytes; of what no longer fits ``span`` bits only the sign counts.
        span = (REACH.bit_length() if self.config.leaky else 8) + 7
        coarse = Plain(span, name=f"l{lane}_coarse")
        large = Plain(name=f"l{lane}_large")
        minus = Plain(name=f"l{lane}_minus")
        fine = Plain(3, name=f"l{lane}_fine")
        right = rights[-1]
        width = len(total)
        steps = range(0, 64, 8)
        rest = [total[step:width] if step < width else total[-1] for step in steps]
        slots = [Cat(part, total[-1].replicate(span))[:span] for part in rest]
        above = [
            total[step + span : width].any() if step + span < width else Const(0) for step in steps
        ]
        way.end(
            6,
            coarse.eq(Array(slots)[right[3:]]),
            large.eq(Array(above)[right[3:]]),
            minus.eq(total[-1]),
            fine.eq(right[:3]),
        )

        # 7: right shift by bits, then clamp, now or after the bend.
        if not self.config.leaky:
            value = Plain(span, name=f"l{lane}_value")
            m.d.comb += value.eq(coarse >> fine)
            with m.If(way.enables[7]):
                self._clamp(m, value, minus, large, late, self.o.payload[lane])
            return
        deep = Plain(name=f"l{lane}_deep")
        below = [~total[step + span : width].all() if step + span < width else Const(0)
                 for step in steps]  # fmt: skip
        way.end(6, deep.eq(total[-1] & Array(below)[right[3:]]))
        self._bend(m, lane, coarse, fine, minus, large, deep, late, way)

    def _clamp(
        self, m: Module, value: Any, minus: Any, large: Any, late: dict[str, list[Any]], out: Any
    ) -> None:
        """Register the value between lo and hi; ``large`` values are beyond its width."""
        lo, hi = late["lo"][-1], late["hi"][-1]
        with m.If(minus | (value < lo) & ~large):
            m.d.sync += out.eq(lo)
        with m.Elif(large | (value > hi)):
            m.d.sync += out.eq(hi)
        with m.Else():
            m.d.sync += out.eq(value)

    def _bend(
        self,
        m: Module,
        lane: int,
        coarse: Signal,
        fine: Signal,
        minus: Signal,
        large: Signal,
        deep: Signal,
        late: dict[str, list[Any]],
        way: _Way,
    ) -> None:
        """Leaky ReLU in stages 7 to 11, and the clamp in stage 12."""
        # 7: right shift by bits.
        value = Plain(signed(len(coarse) + 1), name=f"l{lane}_value")
        minus6, large6, deep6 = (Plain(name=f"l{lane}_{n}6") for n in ("minus", "large", "deep"))
        way.end(
            7,
            value.eq(Cat(coarse, minus).as_signed() >> fine),
            minus6.eq(minus),
            large6.eq(large),
            deep6.eq(deep),
        )
        # 8: how far below the zero point? At the zero point itself the bend changes nothing.
        zero, slope = late["zero"][REQUANTISE_STAGES], late["slope"][REQUANTISE_STAGES]
        gap = Plain(signed(len(value) + 1), name=f"l{lane}_gap")
        m.d.comb += gap.eq(zero - value)
        far = gap[REACH.bit_length() - 1 : -1].any()
        enabled = Cat(slope[SLOPE_TERM_BITS * (n + 1) - 1] for n in range(3)).any()
        bends = [Plain(name=f"l{lane}_bends{n}") for n in range(3)]
        depth = Plain(range(REACH + 1), name=f"l{lane}_depth")
        kept = [Plain(len(coarse), name=f"l{lane}_kept{n}") for n in range(3)]
        minuses = [Plain(name=f"l{lane}_minus{n}") for n in range(3)]
        larges = [Plain(name=f"l{lane}_large{n}") for n in range(3)]
        way.end(
            8,
            depth.eq(Mux(deep6 | far, REACH, gap)),
            bends[0].eq(enabled & (minus6 | ~large6) & (deep6 | ~gap[-1])),
            kept[0].eq(value),
            minuses[0].eq(minus6),
            larges[0].eq(large6 & ~minus6),
        )
        for stage in range(2):
            way.end(
                stage + 9,
                bends[stage + 1].eq(bends[stage]),
                kept[stage + 1].eq(kept[stage]),
                minuses[stage + 1].eq(minuses[stage]),
                larges[stage + 1].eq(larges[stage]),
            )
        # 9: the terms of (z - v) k. 10: their sum, rounded.
        slope = late["slope"][REQUANTISE_STAGES + 1]
        terms = []
        for index in range(3):
            field = slope[SLOPE_TERM_BITS * index :][:SLOPE_TERM_BITS]
            term = Plain(signed(len(depth) + SLOPE_BITS + 1), name=f"l{lane}_bent{index}")
            shifted = Mux(field[4], depth, 0)
            for bit in range(3):
                shifted = Mux(field[bit], Cat(Const(0, 1 << bit), shifted), shifted)
            padded = Cat(shifted, Const(0, len(term) - len(shifted)))
            way.end(9, term.eq(padded ^ field[3].replicate(len(term))))
            terms.append(term)
        # A negative term is its complement and 1; these ones are added with the rounding's half.
        ones = Plain(SLOPE_BITS, name=f"l{lane}_ones")
        negative = [slope[SLOPE_TERM_BITS * index + 3] for index in range(3)]
        way.end(9, ones.eq((1 << SLOPE_BITS - 1) + sum(negative)))
        product = Plain(signed(len(terms[0]) + 2), name=f"l{lane}_product")
        way.end(10, product.eq(tree_sum([*terms, ones])))
        # 11: subtract, and take that or the value as it was. 12: clamp.
        bent = Plain(signed(len(product)), name=f"l{lane}_below_zero")
        m.d.comb += bent.eq(late["zero"][REQUANTISE_STAGES + 3] - (product >> SLOPE_BITS))
        chosen = Plain(len(coarse), name=f"l{lane}_chosen")
        minus10, large10 = (Plain(name=f"l{lane}_{n}10") for n in ("minus", "large"))
        way.end(
            11,
            chosen.eq(Mux(bends[2], bent[: len(coarse)], kept[2])),
            minus10.eq(Mux(bends[2], bent[-1], minuses[2])),
            large10.eq(~bends[2] & larges[2]),
        )
        with m.If(way.enables[12]):
            self._clamp(m, chosen, minus10, large10, late, self.o.payload[lane])
