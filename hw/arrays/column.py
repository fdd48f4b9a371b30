"""One column of an array circuit: held weights, lanes, tree, accumulator."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..tree import tree_sum
from .cells import Cells
from .circuits import Circuit
from .lanes import Bit
from .plain import PlainLane
from .rows import RowLane, chained
from .tree import compress


class Column(wiring.Component):
    """Add the products of ``rows`` activations and one output channel's weights to a sum.

    Weights are held in registers with a clock of their own, which only runs when there is a new
    block. The sum before comes from the accumulator memory, or is the sum of the beat before
    where weights change with every beat.

    Parameters
    ----------
    circuit : Circuit
    rows : int
        Activations per beat.

    Members
    -------
    clk, clk_weights : In(1)          clock; clock of the held weights
    x, inverse : In(rows * act_bits)  activations of the beat, and their inverses
    held : In(rows * held_bits)       next block of weights, as lanes hold them
    sum_in : In(acc_bits)             sum so far
    sum_out : Out(acc_bits)             the sum with this beat, one cycle later
    """

    clk: Signal
    clk_weights: Signal
    x: Signal
    inverse: Signal
    held: Signal
    sum_in: Signal
    sum_out: Signal

    def __init__(self, circuit: Circuit, rows: int) -> None:
        self.circuit, self.rows = circuit, rows
        super().__init__({
            "clk": In(1),
            "clk_weights": In(1),
            "x": In(rows * circuit.act_bits),
            "inverse": In(rows * circuit.act_bits),
            "held": In(rows * circuit.held_bits),
            "sum_in": In(circuit.acc_bits),
            "sum_out": Out(circuit.acc_bits),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True, local=True)
        m.domains.weights = ClockDomain(reset_less=True, local=True)
        m.d.comb += [ClockSignal().eq(self.clk), ClockSignal("weights").eq(self.clk_weights)]
        circuit = self.circuit
        weights = Signal(len(self.held), name="weights")
        m.d.weights += weights.eq(self.held)
        rows = [
            (
                self.x.word_select(row, circuit.act_bits),
                self.inverse.word_select(row, circuit.act_bits),
                weights.word_select(row, circuit.held_bits),
            )
            for row in range(self.rows)
        ]
        m.d.sync += self.sum_out.eq(self._sum(m, rows))
        return m

    def _sum(self, m: Module, rows: list[tuple[Value, Value, Value]]) -> Value:
        lane = self.circuit.lane
        if isinstance(lane, RowLane):
            weights = [lane.rows(x, held) for x, _, held in rows]
            if self.circuit.across:
                weights = [list(like) for like in zip(*weights, strict=True)]
            return self.sum_in + chained([r for each in weights for r in each], self.circuit.chain)
        if isinstance(lane, PlainLane):
            return self.sum_in + tree_sum([lane.value(x, held) for x, _, held in rows])
        cells = Cells(m)
        early: list[Bit] = []
        for x, inverse, held in rows:
            early += lane.bits(cells, x, inverse, held)
        late: list[Bit] = list(enumerate(self.sum_in))
        return Cat(compress(cells, early, late, self.circuit.acc_bits))
