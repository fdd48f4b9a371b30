"""The encoder of plane codes: a pixel's planes to fewer, by threshold layers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from .plane_code import PlaneCoder, PlaneShape, join
from .plane_window import PlaneWindow


class PlaneEncoder(PlaneCoder):
    """Store pixels, or every 2 x 2 of them, as `FrozenPlanes.encode` of the model does.

    A word every ``shape.cycles`` cycles, or one for each window of a spatial code if that is
    longer. Stalls with its output. Reset: empty; the weights stay.

    Parameters
    ----------
    shape : PlaneShape

    Members
    -------
    i : In(stream of {values, word})
        ``word`` says whose weights are meant, the same in all of a spatial code's map.
    o : Out(stream of stored bits)
        Group by group, plane after plane, lowest first.
    size, w_... : see `PlaneCoder`
    """

    def __init__(self, shape: PlaneShape) -> None:
        super().__init__(shape, shape.layers(inward=True), shape.values, shape.stored)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shape = self.shape
        self.add_layers(m)
        source: Any = self.i
        bits, chosen = shape.to_planes(source.payload.values), source.payload.word
        for layer in self.layers:
            if shape.spatial and layer is self.layers[-1]:
                m.submodules.window = window = PlaneWindow(len(bits), shape.max_width, shape.words)
                wiring.connect(m, wiring.flipped(self.size), window.size)
                join(m, source, window.i, bits=bits, set=chosen)
                source = window.o
                bits, chosen = shape.by_group(source.payload.bits, 9), source.payload.set
            join(m, source, layer.i, bits=bits, set=chosen)
            source = layer.o
            bits, chosen = source.payload.bits, source.payload.set
        m.d.comb += [
            self.o.valid.eq(source.valid), self.o.payload.eq(bits), source.ready.eq(self.o.ready)
        ]  # fmt: skip
        return m
