"""A threshold layer: words of bits to words of other bits, by weighted sums and thresholds."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from .popcount import delay
from .threshold_rows import RowLayout
from .threshold_unit import ThresholdUnit, unit_stages


def word_layout(bits: int, sets: int) -> data.StructLayout:
    """Return a word of bits, and whose weights it is for."""
    return data.StructLayout({"bits": bits, "set": range(sets)})


def check_cycles(cycles: int, outputs: int) -> None:
    """Raise ValueError if a unit cannot form its share of a group's outputs in so many cycles."""
    if cycles < 1 or cycles & (cycles - 1) or outputs % cycles:
        raise ValueError(
            f"cycles must be a power of two that divides the {outputs} outputs of a group, "
            f"not {cycles}"
        )


class ThresholdLayer(wiring.Component):
    """Form every output bit of a word: 1 where a weighted sum of its bits reaches a threshold.

    A `ThresholdUnit` forms ``cycles`` outputs, one after another, of one group. A word every
    ``cycles`` cycles. Latency `latency`; stalls with its output. Reset: empty; weights
    and thresholds stay. What it computes is `shiftwork.model.codec.frozen.Layer`, for words
    that have the bits of all places of its kernel.

    Parameters
    ----------
    inputs : int
        Bits of a word.
    outputs : int
        Bits of what comes of it.
    groups : int
        Runs of inputs, and as many of outputs; an output is a sum of its own group's inputs.
    cycles : int
        Cycles per word, a power of two that divides the outputs of a group.
    sets : int
        Sets of weights, a power of two.
    weight_bits : int
        Bits of a weight, its sign included: 2 for ternary weights, 8 for -127..127.
    data_bits : int
        Bits that are written at a time.

    Members
    -------
    i, o : In(stream of {bits, set}), Out(stream of {bits, set})
        Group by group; ``set`` says whose weights are meant, and goes along.
    w_en, w_set, w_output, w_part, w_data : In
        Write a part of an output's row, see `threshold_rows`. Not while its set is used.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    i: stream.Interface
    o: stream.Interface
    w_en: Signal
    w_set: Signal
    w_output: Signal
    w_part: Signal
    w_data: Signal

    def __init__(
        self, inputs: int, outputs: int, *, groups: int = 1, cycles: int = 1, sets: int = 1,
        weight_bits: int = 2, data_bits: int = 128,
    ) -> None:  # fmt: skip
        if groups < 1 or inputs % groups or outputs % groups:
            raise ValueError(
                f"groups must divide {inputs} inputs and {outputs} outputs, {groups} does not"
            )
        check_cycles(cycles, outputs // groups)
        if sets < 1 or sets & (sets - 1):
            raise ValueError(f"sets must be a power of two, not {sets}")
        self.inputs, self.outputs, self.groups = inputs, outputs, groups
        self.cycles, self.sets = cycles, sets
        self.layout = RowLayout(inputs // groups, weight_bits, data_bits)
        super().__init__({
            "i": In(stream.Signature(word_layout(inputs, sets))),
            "o": Out(stream.Signature(word_layout(outputs, sets))),
            "w_en": In(1),
            "w_set": In(range(max(sets, 2))),  # no port is 0 bits wide
            "w_output": In(range(max(outputs, 2))),
            "w_part": In(range(self.layout.parts)),
            "w_data": In(data_bits),
        })  # fmt: skip

    @property
    def stages(self) -> int:
        """Cycles of a unit, from a word to its bit."""
        return unit_stages(self.layout, self.cycles * self.sets)

    @property
    def latency(self) -> int:
        """Cycles from a word to its outputs."""
        return 1 + self.cycles + self.stages

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        entering: Any = self.i.payload
        step, busy, final = (Signal(name=n) for n in ("step", "busy", "final"))
        word = Plain(self.inputs, name="word")
        own = Plain(range(self.sets), name="set")
        cycle = Signal(range(self.cycles))
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            final.eq(busy & (cycle == self.cycles - 1)),
            self.i.ready.eq(step & (~busy | final)),
        ]
        begins = ~busy | final
        following = Mux(begins, 0, cycle + 1)[: len(cycle)]
        row = Cat(following, Mux(begins, entering.set, own))
        with m.If(step):
            m.d.sync += cycle.eq(following)
            with m.If(begins):
                m.d.sync += [busy.eq(self.i.valid), word.eq(entering.bits), own.eq(entering.set)]

        units = [
            ThresholdUnit(self.layout, self.cycles * self.sets)
            for _ in range(self.outputs // self.cycles)
        ]
        inputs = self.layout.inputs
        low = len(cycle)
        collected = []
        formed: Value = busy  # flags on the units' way
        ending: Value = final
        for stage in range(self.stages):
            formed_later, ending_later = Signal(name=f"formed{stage}"), Signal(name=f"ends{stage}")
            with m.If(step):
                m.d.sync += [formed_later.eq(formed), ending_later.eq(ending)]
            formed, ending = formed_later, ending_later
        for number, unit in enumerate(units):
            m.submodules[f"unit{number}"] = unit
            group = number * self.cycles * self.groups // self.outputs
            m.d.comb += [
                unit.step.eq(step),
                unit.row.eq(row),
                unit.word.eq(word[group * inputs : (group + 1) * inputs]),
                unit.w_en.eq(self.w_en & (self.w_output[low:] == number)),
                unit.w_row.eq(Cat(self.w_output[:low], self.w_set)),
                unit.w_part.eq(self.w_part),
                unit.w_data.eq(self.w_data),
            ]
            bits = Plain(self.cycles, name=f"outputs{number}")
            with m.If(step & formed):
                m.d.sync += bits.eq(Cat(bits[1:], unit.o))
            collected.append(bits)
        passed = Plain(range(self.sets), name="set_out")
        with m.If(step):
            m.d.sync += [
                self.o.valid.eq(ending), passed.eq(delay(m, own, self.stages, step)),
            ]  # fmt: skip
        m.d.comb += [self.o.payload.bits.eq(Cat(collected)), self.o.payload.set.eq(passed)]
        return m
