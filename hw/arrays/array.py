"""An array circuit: activation registers that all columns share, and the columns."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .cells import Cells
from .circuits import Circuit


class CircuitArray(wiring.Component):
    """``rows`` activations times ``rows`` x ``cols`` weights, added to ``cols`` sums, per cycle.

    The registers that hold the sums so far are the accumulator memory's output.
    Columns are alike, so they are instances of one module, which is emitted and mapped once.

    Parameters
    ----------
    circuit : Circuit
    rows, cols : int
    column : str
        Name of the column's module.

    Members
    -------
    clk, clk_weights : In(1)              clock; clock of the held weights
    acts : In(rows * act_bits)            activations of the next beat
    held : In(cols * rows * held_bits)    next block of weights, column after column
    sum_in : In(cols * acc_bits)          sums so far of the next beat, from the memory
    sum_out : Out(cols * acc_bits)          the sums with it, two cycles later
    """

    clk: Signal
    clk_weights: Signal
    acts: Signal
    held: Signal
    sum_in: Signal
    sum_out: Signal

    def __init__(self, circuit: Circuit, rows: int, cols: int, column: str) -> None:
        self.circuit, self.rows, self.cols, self.column = circuit, rows, cols, column
        super().__init__({
            "clk": In(1),
            "clk_weights": In(1),
            "acts": In(rows * circuit.act_bits),
            "held": In(cols * rows * circuit.held_bits),
            "sum_in": In(cols * circuit.acc_bits),
            "sum_out": Out(cols * circuit.acc_bits),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal().eq(self.clk)
        circuit, cells = self.circuit, Cells(m)
        acts = Signal(len(self.acts), name="activations")
        m.d.sync += acts.eq(self.acts)
        x = Cat(cells.drive(bit) for bit in acts)
        inverse = Cat(cells.drive_inverse(bit) for bit in acts)
        if circuit.plain:
            inverse = Cat(inverse[:0], ~acts)  # not read; the synthesiser drops it
        sums = Signal(len(self.sum_in), name="sums")
        m.d.sync += sums.eq(self.sum_in)
        for col in range(self.cols):
            m.submodules[f"column{col}"] = Instance(
                self.column,
                i_clk=self.clk,
                i_clk_weights=self.clk_weights,
                i_x=x,
                i_inverse=inverse,
                i_held=self.held.word_select(col, self.rows * circuit.held_bits),
                i_sum_in=sums.word_select(col, circuit.acc_bits),
                o_sum_out=self.sum_out.word_select(col, circuit.acc_bits),
            )
        return m
