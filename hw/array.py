"""The array: cols columns that share one beat of activations."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .column import Column
from .config import EngineConfig
from .copies import MAX_COPIES, copies
from .geometry import DRAIN_READ, spreads


def beat_layout(config: EngineConfig) -> data.StructLayout:
    """Return the control that travels with one beat."""
    return data.StructLayout({
        "valid": 1,
        "load": 1,  # first beat of a block: take the next codes
        "first": 1,  # first block of a column block: start the sums anew
        "maximum": 1,
        "post_shift": range(config.max_passes),  # passes to come
        "bank": 1,
        "pixel": range(config.hold),
        "landing": 1,  # last beat of a column block
    })  # fmt: skip


def has_separate(config: EngineConfig) -> bool:
    """Whether columns can take their own lanes: a plane has to be a column block."""
    return config.window > 1 and config.rows == config.cols


class Array(wiring.Component):
    """Rows x cols select-and-accumulate array: a beat per cycle, no back-pressure.

    A beat enters as control one cycle before its activations (stage B) and is written 5 cycles
    later, ``geometry.array_stages`` more. ``landed`` says that a bank is complete.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    beat : In(beat_layout)               control of the beat now in stage B
    acts : In(rows x act_bits)           activations of the beat in stage C
    separate : In(1)                     stage C: column c takes lane c of ``taps`` instead
    taps : In(window x rows x act_bits)  stage C: the words of the window
    codes : In(rows * cols * weight_bits)
        Next block of codes: those of a lane's first term, column after column, then of its second.
    landed : Out(1)                      pulse: the beat marked ``landing`` has been written
    drain : In(1), drain_bank : In(1), drain_address : In
        Read accumulator ``drain_address`` of the bank that is not being filled.
    drained : Out(cols x acc_bits)       its value in each column, ``DRAIN_READ`` cycles later
    """

    beat: data.View
    acts: data.View
    separate: Signal
    taps: data.View
    codes: Signal
    landed: Signal
    drain: Signal
    drain_bank: Signal
    drain_address: Signal
    drained: data.View

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__({
            "beat": In(beat_layout(config)),
            "acts": In(data.ArrayLayout(config.act_bits, config.rows)),
            "separate": In(1),
            "taps": In(data.ArrayLayout(data.ArrayLayout(config.act_bits, config.rows),
                                        config.window)),
            "codes": In(config.lanes * config.weight_bits),
            "landed": Out(1),
            "drain": In(1),
            "drain_bank": In(1),
            "drain_address": In(range(config.hold)),
            "drained": Out(data.ArrayLayout(config.acc_bits, config.cols)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        stages = {"b": self.beat}
        last = "b"
        wide = spreads(config)
        shallow = config.pipeline == "shallow"  # C and D1 are one stage, D2 and D3 another
        names = ("d1", "d2") if shallow else ("c", "d1", "d2", "d3")
        for stage in (*(("c0", "c1") if wide else ()), *names, "e", "f"):
            control = Signal(beat_layout(config), name=f"beat_{stage}")
            m.d.sync += control.eq(stages[last])
            stages[stage] = control
            last = stage
        reading = stages["b" if shallow else "c"]  # a cycle before D1
        before, adds = (stages[stage] for stage in names[-2:])
        m.d.comb += self.landed.eq(stages["f"].valid & stages["f"].landing)

        # What goes to every column is registered for it, in a wide array once for every few.
        groups = min(MAX_COPIES, config.cols) if wide else 1
        reads, wanted, enables = [], [], []
        for bank in range(2):
            draining = self.drain & (self.drain_bank == bank)
            address = Mux(draining, self.drain_address, reading.pixel)
            reads.append(copies(m, f"d1_address{bank}", address, groups))
            adding = reading.valid & (reading.bank == bank) & ~reading.first
            wanted.append(copies(m, f"d1_read{bank}", draining | adding, groups))
            write = adds.valid & (adds.bank == bank)
            enables.append(copies(m, f"e_write{bank}", write, groups))
        writes = copies(m, "e_address", adds.pixel, groups)
        late_banks = copies(m, "d2_bank", stages["d1"].bank, groups)
        shifts = copies(m, "d2_post_shift", stages["d1"].post_shift, groups)
        firsts = copies(m, "d3_first", before.first, groups)
        maxima = copies(m, "d3_maximum", before.maximum, groups)
        drain: Value = Cat(self.drain_bank, self.drain)
        for stage in range(DRAIN_READ - 2):
            later = Signal(2, name=f"drain{stage}")
            m.d.sync += later.eq(drain)
            drain = later
        drains = copies(m, "d2_drain", drain, groups)

        # Codes change for the beat whose activations reach the lanes in the next cycle.
        load = self.beat.valid & self.beat.load
        loads = [copy.value for copy in copies(m, "load", load, groups)] if wide else [load]
        width = config.rows * config.code_bits
        for index in range(config.cols):
            group = index * groups // config.cols
            column = Column(config, group)
            m.submodules[f"column{index}"] = column
            m.d.comb += column.acts.eq(self.acts)
            if has_separate(config):
                with m.If(self.separate):
                    m.d.comb += [
                        column.acts[tap].eq(self.taps[tap][index]) for tap in range(config.window)
                    ]
            m.d.comb += [
                column.codes.eq(
                    Cat(
                        self.codes.word_select(term * config.cols + index, width)
                        for term in range(config.lane_terms)
                    )
                ),
                column.load.eq(loads[group]),
                column.d1_address0.eq(reads[0][group].stored),
                column.d1_address1.eq(reads[1][group].stored),
                column.d1_read0.eq(wanted[0][group].value),
                column.d1_read1.eq(wanted[1][group].value),
                column.d2_bank.eq(late_banks[group].value),
                column.d2_post_shift.eq(shifts[group].value),
                column.d3_first.eq(firsts[group].value),
                column.d3_maximum.eq(maxima[group].value),
                column.e_write0.eq(enables[0][group].value),
                column.e_write1.eq(enables[1][group].value),
                column.e_address.eq(writes[group].stored),
                Cat(column.drain_bank, column.drain).eq(drains[group].value),
                self.drained[index].eq(column.drained),
            ]
        return m
