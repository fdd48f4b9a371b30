"""The decoder of plane codes: stored planes to all of a pixel's, by threshold layers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring

from .plane_code import PlaneCoder, PlaneShape, join
from .plane_mirror import PlaneMirror


class PlaneDecoder(PlaneCoder):
    """Read pixels back as `FrozenPlanes.decode` of the model does: of a spatial code as many.

    A pixel every ``shape.cycles`` cycles; between a spatial code's rows see `PlaneMirror`. Stalls
    with its output. Reset: empty; the weights stay.

    Parameters
    ----------
    shape : PlaneShape

    Members
    -------
    i : In(stream of {bits, word})
        As `PlaneEncoder` gives them; ``word`` says whose weights are meant.
    o : Out(stream of ArrayLayout(act_bits, lanes))
    size, w_... : see `PlaneCoder`
    """

    def __init__(self, shape: PlaneShape) -> None:
        values = data.ArrayLayout(shape.act_bits, shape.lanes)
        super().__init__(shape, shape.layers(inward=False), shape.coded, values)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shape = self.shape
        self.add_layers(m)
        source: Any = self.i
        bits, chosen = source.payload.bits, source.payload.word
        if shape.spatial:
            m.submodules.mirror = mirror = PlaneMirror(shape.stored, shape.max_width, shape.words)
            wiring.connect(m, wiring.flipped(self.size), mirror.size)
            join(m, source, mirror.i, bits=bits, set=chosen)
            source = mirror.o
            bits, chosen = shape.by_group(source.payload.bits, 4), source.payload.set
        for layer in self.layers:
            join(m, source, layer.i, bits=bits, set=chosen)
            source = layer.o
            bits, chosen = source.payload.bits, source.payload.set
            if shape.spatial and layer is self.layers[0]:
                chosen = chosen[2:]
        m.d.comb += [
            self.o.valid.eq(source.valid), source.ready.eq(self.o.ready),
            self.o.payload.as_value().eq(shape.to_values(bits)),
        ]  # fmt: skip
        return m
