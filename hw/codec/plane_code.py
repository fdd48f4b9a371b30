"""What the circuits of plane codes share: sizes, the order of bits, and how weights are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .threshold_layer import ThresholdLayer, check_cycles
from .threshold_rows import RowLayout
from .windowed import size_layout


@dataclass(frozen=True, kw_only=True)
class PlaneShape:
    """Sizes of a plane code, as of `shiftwork.model.codec.frozen.Form`.

    Attributes
    ----------
    lanes : int
        Channels of a word.
    bits : int
        k: planes stored per channel, of a pixel, or of 2 x 2 pixels where spatial.
    spatial : bool
        Whether the layer next to memory sees 3 x 3 pixels, in steps of 2.
    act_bits : int
        Bits of a value.
    group : int
        Channels that are coded by themselves; 0 for all of them together.
    depth : int
        Layers each way, 1 or 2.
    hidden : int
        Planes per channel between two layers; 0 for as many as a value has bits.
    weight_bits : int
        Bits of a weight, its sign included: 2 for ternary weights, 8 for -127..127.
    cycles : int
        Cycles per word of each layer.
    words : int
        Words of channels for which weights are held, a power of two.
    max_width : int
        Widest map of a spatial code, in pixels.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    lanes: int
    bits: int
    spatial: bool = False
    act_bits: int = 8
    group: int = 0
    depth: int = 1
    hidden: int = 0
    weight_bits: int = 2
    cycles: int = 1
    words: int = 1
    max_width: int = 256

    def __post_init__(self) -> None:
        limits = {
            "lanes": (1, 64), "act_bits": (2, 8), "group": (0, self.lanes), "hidden": (0, 256),
            "weight_bits": (2, 8), "words": (1, 1024), "max_width": (1, 1 << 16),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be {low}..{high}, not {value}")
        if self.words & (self.words - 1):
            raise ValueError(f"words must be a power of two, not {self.words}")
        if self.group and self.lanes % self.group:
            raise ValueError(f"groups of {self.group} do not divide {self.lanes} channels")
        if not 1 <= self.bits <= self.act_bits:
            raise ValueError(f"bits must be 1..{self.act_bits}, not {self.bits}")
        if self.depth not in (1, 2):
            raise ValueError(f"depth must be 1 or 2, not {self.depth}")
        for inward in (True, False):
            for _, outputs, _ in self.sizes(inward=inward):
                check_cycles(self.cycles, outputs // self.groups)

    @property
    def groups(self) -> int:
        """Groups of a word's channels."""
        return self.lanes // self.group if self.group else 1

    @property
    def planes(self) -> int:
        """Bits of a pixel."""
        return self.lanes * self.act_bits

    @property
    def stored(self) -> int:
        """Bits that are stored of a pixel, or of 2 x 2 pixels."""
        return self.lanes * self.bits

    @property
    def values(self) -> data.StructLayout:
        """A pixel's values, lane by lane, and the word of channels that they are."""
        return data.StructLayout({
            "values": data.ArrayLayout(self.act_bits, self.lanes), "word": range(self.words),
        })  # fmt: skip

    @property
    def coded(self) -> data.StructLayout:
        """What is stored of a pixel, group by group, and the word of channels that it is of."""
        return data.StructLayout({"bits": self.stored, "word": range(self.words)})

    def to_planes(self, values: Any) -> Value:
        """Return a pixel's bits: group by group, of each plane after plane, lowest first."""
        each = self.lanes // self.groups
        return Cat(
            values[group * each + lane][plane]
            for group in range(self.groups)
            for plane in range(self.act_bits)
            for lane in range(each)
        )

    def to_values(self, planes: Value) -> Value:
        """Return the values, lane by lane, of a pixel's bits."""
        each = self.lanes // self.groups
        return Cat(
            planes[(lane // each * self.act_bits + plane) * each + lane % each]
            for lane in range(self.lanes)
            for plane in range(self.act_bits)
        )

    def by_group(self, window: Value, pixels: int) -> Value:
        """Return the bits of a window group by group; they come pixel by pixel."""
        each = len(window) // pixels // self.groups
        return Cat(
            window.word_select(pixel * self.groups + group, each)
            for group in range(self.groups)
            for pixel in range(pixels)
        )

    def sizes(self, *, inward: bool) -> list[tuple[int, int, int]]:
        """Return inputs, outputs and sets of weights per word of each layer of encoder or decoder.

        Parameters
        ----------
        inward : bool
            The encoder's, towards memory.
        """
        between = self.lanes * (self.hidden or self.act_bits)
        near = between if self.depth == 2 else self.planes  # on this side of the last layer
        if inward:
            last = ((9 if self.spatial else 1) * near, self.stored, 1)
            return [last] if self.depth == 1 else [(self.planes, between, 1), last]
        places = 4 if self.spatial else 1  # pixels that one is made of, and which are depends on it
        first = (places * self.stored, near, places)
        return [first] if self.depth == 1 else [first, (between, self.planes, 1)]

    def row_bits(self, *, inward: bool) -> int:
        """Return the bits of an encoder's or decoder's weights and thresholds."""
        return sum(
            self.words * sets * outputs * self._row(inputs).bits
            for inputs, outputs, sets in self.sizes(inward=inward)
        )

    def layers(self, *, inward: bool) -> list[ThresholdLayer]:
        """Return the layers of encoder or decoder."""
        return [
            ThresholdLayer(
                inputs, outputs, groups=self.groups, cycles=self.cycles, sets=sets * self.words,
                weight_bits=self.weight_bits, data_bits=self.planes,
            )
            for inputs, outputs, sets in self.sizes(inward=inward)
        ]  # fmt: skip

    def _row(self, inputs: int) -> RowLayout:
        return RowLayout(inputs // self.groups, self.weight_bits, self.planes)


class PlaneCoder(wiring.Component):
    """A circuit from one stream to another through threshold layers.

    Parameters
    ----------
    shape : PlaneShape
    layers : sequence of ThresholdLayer
    i, o : ShapeLike
        Payloads of the streams.

    Members
    -------
    i, o : In(stream), Out(stream)
    size : In(stream of {height, width})
        Of the maps of a spatial code, see `PlaneWindow` and `PlaneMirror`.
    w_en : In(1 per layer)
    w_set, w_output, w_part, w_data : In
        Write a part of a row of a layer, see `threshold_rows`. Not while it is used. ``w_set`` is
        the word of channels; a layer with a mirrored kernel has four sets for each word.
    """

    i: stream.Interface
    o: stream.Interface
    size: stream.Interface
    w_en: Signal
    w_set: Signal
    w_output: Signal
    w_part: Signal
    w_data: Signal

    def __init__(
        self, shape: PlaneShape, layers: Sequence[ThresholdLayer], i: data.Layout, o: ShapeLike
    ) -> None:
        self.shape, self.layers = shape, layers
        members = {
            "i": In(stream.Signature(i)),
            "o": Out(stream.Signature(o)),
            "w_en": In(len(layers)),
            "w_set": In(max(len(layer.w_set) for layer in layers)),
            "w_output": In(max(len(layer.w_output) for layer in layers)),
            "w_part": In(max(len(layer.w_part) for layer in layers)),
            "w_data": In(shape.planes),
        }
        if shape.spatial:
            members["size"] = In(stream.Signature(size_layout(shape.max_width)))
        super().__init__(members)

    def add_layers(self, m: Module) -> None:
        """Add the layers, and bring them their weights."""
        for number, layer in enumerate(self.layers):
            m.submodules[f"layer{number}"] = layer
            m.d.comb += [
                layer.w_en.eq(self.w_en[number]),
                layer.w_set.eq(self.w_set),
                layer.w_output.eq(self.w_output),
                layer.w_part.eq(self.w_part),
                layer.w_data.eq(self.w_data),
            ]


def join(m: Module, source: Any, sink: Any, **payload: Value) -> None:
    """Connect two streams; these are the fields that the second gets."""
    m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
    m.d.comb += [sink.payload[name].eq(value) for name, value in payload.items()]
