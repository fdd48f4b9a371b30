"""Values while a program is lowered: which tensor they are, and what still waits to be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..graph import AddNode, ConvNode, MaxPoolNode, Node, UpsampleNode
from ..network import Padding, Pair
from . import fold, ops

NO_PADDING: Padding = (0, 0, 0, 0)
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Ref:
    """A value: a tensor, then ``scale x + shift`` per channel, then a border of zeros."""

    tensor: str
    dims: tuple[int, ...]
    alone: bool  # nothing else reads the tensor as it is
    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None
    pad: Padding = NO_PADDING


class Tensors:
    """Nodes written so far, with what is known of the tensors they write.

    Parameters
    ----------
    start : str
        The input tensor.
    shape : tuple[int, int, int]
        Of the input.
    unsigned : bool
        No real value of the input is negative.
    notes : list[str]
        What the user should know; more is appended.

    Attributes
    ----------
    nodes : dict[str, Node]
        By output tensor, in the order of execution.
    shape : dict[str, tuple[int, int, int]]
        Of every tensor.
    unsigned : set[str]
        Tensors without negative values.
    alone : dict[str, bool]
        Of a pooled or upsampled tensor: nothing else reads what it was made of.
    start_alone : bool
        The input tensor had to get a layer that only scales, pads or activates it.
    """

    def __init__(self, start: str, shape: Shape, unsigned: bool, notes: list[str]) -> None:
        self.start = start
        self.nodes: dict[str, Node] = {}
        self.shape: dict[str, Shape] = {start: shape}
        self.unsigned = {start} if unsigned else set[str]()
        self.alone: dict[str, bool] = {}
        self.notes = notes
        self.start_alone = False
        self._settled: dict[tuple[object, ...], Ref] = {}

    def fresh(self, wanted: str) -> str:
        """Return a name that no node or input has yet."""
        name, number = wanted, 1
        taken = {self.start, *self.nodes}
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def put(
        self, node: Node, shape: Shape, *, unsigned: bool, dims: tuple[int, ...] | None = None
    ) -> Ref:
        """Append a node whose output is named like it and return its value."""
        self.nodes[node.output] = node
        self.shape[node.output] = shape
        if unsigned:
            self.unsigned.add(node.output)
        return Ref(node.output, shape if dims is None else dims, True)

    def settle(self, ref: Ref) -> Ref:
        """Give what waits on a value (affine map, padding) a layer of its own."""
        if ref.scale is None and ref.pad == NO_PADDING:
            return ref
        key = (ref.tensor, ref.scale, ref.shift, ref.pad)
        if key not in self._settled:
            both = ref.shift is not None and bool(ref.shift.any()) and ref.pad != NO_PADDING
            inner = self.settle_affine(ref) if both else ref
            self._settled[key] = self.depthwise(inner, f"{ref.tensor}_alone", None)
        return replace(self._settled[key], alone=ref.alone)

    def settle_affine(self, ref: Ref) -> Ref:
        """Give the affine map that waits on a value a layer of its own; the border still waits."""
        return self.without_border(ref, self.settle)

    def without_border(self, ref: Ref, change: Callable[[Ref], Ref]) -> Ref:
        """Change a value inside the border of zeros that waits on it."""
        inner = change(replace(ref, pad=NO_PADDING, dims=self._inner_dims(ref)))
        if ref.pad == NO_PADDING:
            return inner
        return replace(inner, pad=ref.pad, dims=ref.dims)

    def _inner_dims(self, ref: Ref) -> tuple[int, ...]:
        return ref.dims if ref.pad == NO_PADDING else self.shape[ref.tensor]

    def depthwise(self, ref: Ref, name: str, activation: ops.Activation | None) -> Ref:
        """Append a 1x1 depthwise convolution that does what waits, then the activation."""
        channels, height, width = self.shape[ref.tensor]
        what = [
            text
            for text, there in (
                ("scale and shift", ref.scale is not None),
                ("padding", ref.pad != NO_PADDING),
                ("activation", activation is not None),
            )
            if there
        ]
        self.start_alone |= ref.tensor == self.start
        node = fold.depthwise(
            self.fresh(name), ref.tensor, channels, scale=ref.scale, shift=ref.shift,
            padding=ref.pad, activation=activation,
        )  # fmt: skip
        self.notes.append(
            f"{node.name}: {', '.join(what)} after {ref.tensor!r} are a layer of their own, a 1x1 "
            "depthwise convolution"
        )
        shape = (
            channels,
            height + ref.pad[0] + ref.pad[2],
            width + ref.pad[1] + ref.pad[3],
        )
        dims = shape if ref.pad != NO_PADDING else ref.dims
        unsigned = node.relu and not node.leak
        if ref.scale is None and ref.tensor in self.unsigned:
            unsigned, node = True, replace(node, relu=True, leak=0.0)
        return self.put(node, shape, unsigned=unsigned, dims=dims)

    def map_size(self, op: ops.Op, ref: Ref) -> Pair:
        """Return (height, width) with the border that waits; refuse what is no map."""
        channels, height, width = self.shape[ref.tensor]
        height, width = height + ref.pad[0] + ref.pad[2], width + ref.pad[1] + ref.pad[3]
        if ref.dims != (channels, height, width):
            raise op.site.refuse(
                f"wants a map of channels, rows and columns, but gets {text(ref.dims)} made of "
                f"{text((channels, height, width))}",
                "only flattening to a vector before a linear layer is supported",
            )
        return height, width

    def activate(self, tensor: str, act: ops.Activation) -> bool:
        """Put an activation into what writes a tensor; False where that cannot be."""
        node = self.nodes.get(tensor)
        if isinstance(node, MaxPoolNode | UpsampleNode):
            done = self.alone[tensor] and self.activate(node.input, act)
        elif isinstance(node, ConvNode | AddNode):
            fresh = self.nodes[tensor] = fold.activate(node, act)
            done = True
            if fresh.relu and not fresh.leak:
                self.unsigned.add(tensor)
        else:
            return False
        if done and act.relu and not act.leak:
            self.unsigned.add(tensor)
        return done


def text(dims: tuple[int, ...]) -> str:
    """Return dimensions as they are written in messages."""
    return " x ".join(map(str, dims))
