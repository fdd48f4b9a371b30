"""Outputs of the serial engine: requantised bit by bit, a pixel after the other."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, MULTIPLIER_TERMS, EngineConfig
from ..plain import Plain
from ..record import RIGHT_LSB, TERM_BITS
from .beats import PHASES
from .ports import WORD_BYTES

__all__ = ["HALVES", "RECORD_HALVES", "STEPS", "Drain"]

HALVES = 16  # bits of a record that come at once
RECORD_HALVES = -(-(RIGHT_LSB + TERM_BITS) // HALVES)
RIGHT_BITS = 6
#: Bits of a sum that are looked at: 8 from the highest right shift of 47 on, and the sign.
STEPS = 56


class Lane:
    """The requantiser of one column: a bit of (acc m + bias) >> r a cycle, lowest first.

    In one cycle the bits of the terms and of the bias are picked, in the next they are added.

    Parameters
    ----------
    m : Module
    config : EngineConfig
    index : int
        For names.
    record_in : Value, 16 bits
        What comes into the record while ``shifts`` is high.
    shifts, load, step : Value
        Take a part of a record; take an accumulator; take a step.
    acc : Value
    time, late_step, late_time : Value
        Number of the step, 0..55; both a cycle later.

    Attributes
    ----------
    record_out : Value
        What leaves the record.
    value : Value, 8 bits
        After the last step: the result within 0..255.
    """

    def __init__(
        self, m: Module, config: EngineConfig, index: int, record_in: Value, shifts: Value,
        load: Value, step: Value, acc: Value, time: Value, late_step: Value, late_time: Value,
    ) -> None:  # fmt: skip
        record = Plain(RECORD_HALVES * HALVES, name=f"record{index}")
        bias, right = record[:BIAS_BITS], record[RIGHT_LSB : RIGHT_LSB + RIGHT_BITS]
        self.record_out = record[:HALVES]
        within = time < BIAS_BITS
        with m.If(shifts):
            m.d.sync += record.eq(Cat(record[HALVES:], record_in))
        with m.Elif(step & within):  # once around
            m.d.sync += bias.eq(Cat(bias[1:], bias[0]))
        # Behind the accumulator's lowest bit are those of the last cycles.
        digits = Plain(MULTIPLIER_SHIFT_MAX + config.acc_bits, name=f"digits{index}")
        with m.If(load):
            m.d.sync += digits.eq(Cat(Const(0, MULTIPLIER_SHIFT_MAX), acc))
        with m.Elif(step):
            m.d.sync += digits.eq(digits[1:])
        late = Array(digits[MULTIPLIER_SHIFT_MAX - k] for k in range(MULTIPLIER_SHIFT_MAX + 1))
        now: list[Value] = [Mux(within, bias[0], bias[-1])]
        for term in range(MULTIPLIER_TERMS):
            field = record[BIAS_BITS + TERM_BITS * term :][:TERM_BITS]
            now.append((late[field[:4]] & field[5]) ^ field[4])
        bits = Plain(len(now), name=f"bits{index}")
        m.d.sync += bits.eq(Cat(now))
        carry, total = Plain(3, name=f"carry{index}"), Signal(4, name=f"total{index}")
        pair0, pair1 = bits[1] + bits[2], bits[3] + bits[4]
        m.d.comb += total.eq((pair0 + pair1) + (bits[0] + carry))
        bit = total[0]
        # Steps after the one in which the result's lowest bit comes; negative before.
        after = Signal(RIGHT_BITS + 1, name=f"after{index}")
        m.d.comb += after.eq(late_time - right)
        kept, large, negative = (
            Plain(8, name=f"kept{index}"), Plain(name=f"large{index}"),
            Plain(name=f"negative{index}"),
        )  # fmt: skip
        with m.If(load):
            m.d.sync += [carry.eq(0), large.eq(0)]
        with m.Elif(late_step):
            m.d.sync += [carry.eq(total[1:]), negative.eq(bit)]
            with m.If(after[3:] == 0):
                m.d.sync += kept.eq(Cat(kept[1:], bit))
            with m.Elif(~after[-1] & bit):
                m.d.sync += large.eq(1)
        self.value = Mux(negative, 0, kept | large.replicate(8))


class Drain(wiring.Component):
    """Requantise the accumulators of a tile, ``requantise_lanes`` columns at a time.

    out = clamp((acc m + bias + 2^(r-1)) >> r, lo, hi) as `hw.requantise` does it, by one bit of
    each lane a cycle: 56 cycles for a pixel, and 2 for each lane and 3 for the word they go to.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    go : In(1)                        begin; not while `busy`. All else stands still meanwhile
    group : In                        which columns
    pixels : In                       at least 1
    limits : In(16)                   lower and upper clamp
    record_valid : In(1), record : In(16)
        Next part of the records: 5 for each lane, the first lane's first, lowest bits first.
    busy : Out(1)
    acc_address : Out, acc : In       accumulator (pixel, column), a cycle later
    write : Out(1), value : Out(32)   a pixel's outputs, each at its column's byte
    """

    go: Signal
    group: Signal
    pixels: Signal
    limits: Signal
    record_valid: Signal
    record: Signal
    busy: Signal
    acc_address: Signal
    acc: Signal
    write: Signal
    value: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.groups = config.cols // config.requantise_lanes
        super().__init__({
            "go": In(1), "group": In(range(self.groups)),
            "pixels": In(range(config.hold + 1)), "limits": In(16),
            "record_valid": In(1), "record": In(HALVES), "busy": Out(1),
            "acc_address": Out(range(config.hold * PHASES)), "acc": In(config.acc_bits),
            "write": Out(1), "value": Out(8 * WORD_BYTES),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        count = config.requantise_lanes
        lane_bits = (count - 1).bit_length()
        pixel, time = Plain(range(config.hold)), Plain(RIGHT_BITS)
        lane, loads, load_lane = Signal(range(max(count, 2))), Signal(), Signal(lane_bits)
        steps, late_steps, ends, late_time = Signal(), Signal(), Signal(), Plain(RIGHT_BITS)
        m.d.sync += [late_steps.eq(steps), late_time.eq(time)]

        lanes: list[Lane] = []
        before: Value = self.record
        for index in reversed(range(count)):
            chosen = loads & (load_lane == index) if count > 1 else loads
            each = Lane(
                m, config, index, before, self.record_valid, chosen, steps, self.acc, time,
                late_steps, late_time,
            )  # fmt: skip
            before = each.record_out
            lanes.insert(0, each)

        # One clamp serves the lanes in turn; a column's byte is where its group puts it.
        low, high = self.limits[:8], self.limits[8:]
        result, clamped = Signal(8), Signal(8)
        m.d.comb += result.eq(Array(each.value for each in lanes)[lane[:lane_bits]])
        with m.If(result < low):
            m.d.comb += clamped.eq(low)
        with m.Elif(result > high):
            m.d.comb += clamped.eq(high)
        with m.Else():
            m.d.comb += clamped.eq(result)
        outputs = Plain(8 * count, name="outputs")
        m.d.comb += [
            self.value.eq(Cat(outputs for _ in range(self.groups))),
            self.acc_address.eq(Cat(lane[:lane_bits], self.group, pixel)),
            ends.eq(pixel + 1 == self.pixels),
        ]
        m.d.sync += [loads.eq(0), load_lane.eq(lane[:lane_bits])]
        with m.FSM(name="drain"):
            with m.State("IDLE"):
                m.d.sync += [pixel.eq(0), lane.eq(0)]
                with m.If(self.go):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += [loads.eq(1), lane.eq(lane + 1), time.eq(0)]
                with m.If(lane == count - 1):
                    m.d.sync += lane.eq(0)
                    m.next = "LOADED"
            with m.State("LOADED"):
                m.d.comb += self.busy.eq(1)
                m.next = "STEP"
            with m.State("STEP"):
                m.d.comb += [self.busy.eq(1), steps.eq(1)]
                m.d.sync += time.eq(time + 1)
                with m.If(time == STEPS - 1):
                    m.next = "ADDED"
            with m.State("ADDED"):
                m.d.comb += self.busy.eq(1)
                m.next = "CLAMP"
            with m.State("CLAMP"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += [outputs.eq(Cat(outputs[8:], clamped)), lane.eq(lane + 1)]
                with m.If(lane == count - 1):
                    m.d.sync += lane.eq(0)
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [self.busy.eq(1), self.write.eq(1)]
                m.d.sync += pixel.eq(pixel + 1)
                with m.If(ends):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "LOAD"
        return m
