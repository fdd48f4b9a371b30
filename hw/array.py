"""The array: cols columns that share one beat of activations."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .column import Column
from .config import EngineConfig
from .geometry import spreads


def beat_layout(config: EngineConfig) -> data.StructLayout:
    """Return the control that travels with one beat."""
    return data.StructLayout({
        "valid": 1,
        "load": 1,  # first beat of a block: take the next codes
        "first": 1,  # first block of a column block: start the sums anew
        "maximum": 1,
        "post_shift": range(config.max_terms),
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
    later, ``geometry.array_stages`` more in a wide array. ``landed`` says that a bank is complete.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    beat : In(beat_layout)               control of the beat now in stage B
    acts : In(rows x act_bits)           activations of the beat in stage C
    separate : In(1)                     stage C: column c takes lane c of ``taps`` instead
    taps : In(window x rows x act_bits)  stage C: the words of the window
    codes : In(rows * cols * code_bits)  next block of codes, column after column
    landed : Out(1)                      pulse: the beat marked ``landing`` has been written
    drain : In(1), drain_bank : In(1), drain_address : In
        Read accumulator ``drain_address`` of the bank that is not being filled.
    drained : Out(cols x acc_bits)       its value in each column, one cycle later
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
            "codes": In(config.lanes * config.code_bits),
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
        wide = ("c0", "c1") if spreads(config) else ()
        for stage in (*wide, "c", "d1", "d2", "d3", "e", "f"):
            control = Signal(beat_layout(config), name=f"beat_{stage}")
            m.d.sync += control.eq(stages[last])
            stages[stage] = control
            last = stage
        m.d.comb += self.landed.eq(stages["f"].valid & stages["f"].landing)

        addresses = []
        for bank in range(2):
            address = Signal(range(config.hold), name=f"d1_address{bank}")
            draining = self.drain & (self.drain_bank == bank)
            m.d.comb += address.eq(Mux(draining, self.drain_address, stages["d1"].pixel))
            addresses.append(address)
        write = [Signal(name=f"e_write{bank}") for bank in range(2)]
        for bank in range(2):
            m.d.comb += write[bank].eq(stages["e"].valid & (stages["e"].bank == bank))

        # Codes change for the beat whose activations reach the lanes in the next cycle.
        loading = stages["c0"] if spreads(config) else self.beat
        width = config.rows * config.code_bits
        for index in range(config.cols):
            column = Column(config)
            m.submodules[f"column{index}"] = column
            m.d.comb += column.acts.eq(self.acts)
            if has_separate(config):
                with m.If(self.separate):
                    m.d.comb += [
                        column.acts[tap].eq(self.taps[tap][index]) for tap in range(config.window)
                    ]
            m.d.comb += [
                column.codes.eq(self.codes.word_select(index, width)),
                column.load.eq(loading.valid & loading.load),
                column.d1_address0.eq(addresses[0]),
                column.d1_address1.eq(addresses[1]),
                column.d2_bank.eq(stages["d2"].bank),
                column.d2_post_shift.eq(stages["d2"].post_shift),
                column.d3_first.eq(stages["d3"].first),
                column.d3_maximum.eq(stages["d3"].maximum),
                column.e_write0.eq(write[0]),
                column.e_write1.eq(write[1]),
                column.e_address.eq(stages["e"].pixel),
                column.drain_bank.eq(self.drain_bank),
                self.drained[index].eq(column.drained),
            ]
        return m
