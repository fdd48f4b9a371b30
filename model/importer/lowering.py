"""From operations to the nodes of a graph: everything that can be folded exactly is.

Batch norm and arithmetic with constants go into the convolution before them, or into the one
behind them where it has no padding; activations go into the convolution or sum before them, also
through pooling and upsampling; zero padding goes into the convolution or pool behind it. What
finds no such place becomes a 1x1 depthwise convolution of its own, and a note says so.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import singledispatchmethod

import torch

from ..graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    GlobalAverageNode,
    MaxPoolNode,
    Node,
    UpsampleNode,
)
from . import fold, ops, quantisers
from .trim import trim
from .values import NO_PADDING, Ref, Tensors, text
from .windows import (
    KERNEL_MAX,
    add_padding,
    ceil_padding,
    check_limits,
    output_size,
    resolve_padding,
)


@dataclass(frozen=True, eq=False)
class Start:
    """What the input tensor's stored values stand for.

    Attributes
    ----------
    tensor : str
        Its name.
    unsigned : bool
        No real value of the tensor is negative.
    scale, shift : Tensor or None
        The model's input is ``scale r + shift`` of the tensor's real values r, by channel.
    """

    tensor: str
    unsigned: bool
    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Lowered:
    """Nodes of a graph, and what else lowering found out.

    Attributes
    ----------
    nodes : list of Node
    outputs : tuple[str, ...]
        Result tensors.
    steps : dict[str, Quantiser]
        Real units per level of the tensors that had quantisers.
    notes : list[str]
    input_alone : bool
        The map from the input tensor to the model's input became a layer of its own.
    """

    nodes: list[Node]
    outputs: tuple[str, ...]
    steps: dict[str, ops.Quantiser]
    notes: list[str]
    input_alone: bool


def lower(program: ops.Program, start: Start) -> Lowered:
    """Return the nodes of a program.

    Raises
    ------
    UnsupportedError
        If an operation, or the place where it stands, is not supported.
    """
    return _Lowering(program, start).run()


class _Lowering:
    def __init__(self, program: ops.Program, start: Start) -> None:
        program, notes = trim(program)
        self.program = program
        self.uses = Counter(name for op in program.ops for name in op.inputs)
        self.uses += Counter(set(program.outputs))
        self.at = Tensors(start.tensor, program.shape, start.unsigned, notes)
        self.steps: dict[str, ops.Quantiser] = {}
        alone = self.uses[program.input] == 1
        self.refs = {
            program.input: Ref(start.tensor, program.shape, alone, start.scale, start.shift)
        }

    def run(self) -> Lowered:
        for op in self.program.ops:
            refs = [self.refs[name] for name in op.inputs]
            ref = self._lower(op, *refs)
            self.refs[op.output] = replace(ref, alone=ref.alone and self.uses[op.output] == 1)
        outputs = []
        for name in self.program.outputs:
            tensor = self.at.settle(self.refs[name]).tensor
            if tensor == self.at.start:
                raise ops.UnsupportedError(
                    f"network {self.program.name!r}: a result is the input itself; "
                    "there is nothing to convert"
                )
            outputs.append(tensor)
        return Lowered(
            nodes=[fold.to_float(node) for node in self.at.nodes.values()],
            outputs=tuple(dict.fromkeys(outputs)),
            steps=self.steps,
            notes=self.at.notes,
            input_alone=self.at.start_alone,
        )

    @singledispatchmethod
    def _lower(self, op: ops.Op, *refs: Ref) -> Ref:
        raise AssertionError(f"no lowering for {type(op).__name__}")

    @_lower.register
    def _(self, op: ops.Convolve, ref: Ref) -> Ref:
        size = self.at.map_size(op, ref)
        outputs, per_group, kh, kw = op.weight.shape
        channels = self.at.shape[ref.tensor][0]
        if per_group * op.groups != channels or outputs % op.groups:
            raise op.site.refuse(
                f"has weights for {per_group * op.groups} input channels in {op.groups} groups, "
                f"but gets {channels}",
                "check the channels of the layer before it",
            )
        check_limits(op.site, (kh, kw), op.stride, op.dilation)
        padding = resolve_padding(op.padding, size, (kh, kw), op.stride, op.dilation)
        out = output_size(op.site, size, (kh, kw), op.stride, padding, op.dilation)
        total = add_padding(padding, ref.pad)
        if ref.shift is not None and bool(ref.shift.any()) and total != NO_PADDING:
            ref = self.at.settle_affine(ref)
        name = self.at.fresh(op.site.name)
        bias = torch.zeros(outputs) if op.bias is None else op.bias
        node = ConvNode(
            name, ref.tensor, name, op.weight.double(), bias.double(), op.stride, total, False,
            op.dilation, op.groups,
        )  # fmt: skip
        return self.at.put(_absorb(node, ref), (outputs, *out), unsigned=False)

    @_lower.register
    def _(self, op: ops.Linear, ref: Ref) -> Ref:
        outputs, inputs = op.weight.shape
        if ref.pad != NO_PADDING:
            ref = self.at.settle(ref)
        channels, height, width = self.at.shape[ref.tensor]
        if math.prod(ref.dims) != inputs or ref.dims[-1:] != (inputs,):
            raise op.site.refuse(
                f"has weights for {inputs} features, but gets {text(ref.dims)}",
                "flatten to one vector per picture before it",
            )
        if max(height, width) > KERNEL_MAX:
            raise op.site.refuse(
                f"reads a flattened map of {height} x {width} pixels, engines run windows of at "
                f"most {KERNEL_MAX} x {KERNEL_MAX}",
                "pool to a smaller map before flattening",
            )
        name = self.at.fresh(op.site.name)
        bias = torch.zeros(outputs) if op.bias is None else op.bias
        weight = op.weight.double().reshape(outputs, channels, height, width)
        node = ConvNode(name, ref.tensor, name, weight, bias.double(), relu=False)
        return self.at.put(_absorb(node, ref), (outputs, 1, 1), unsigned=False, dims=(outputs,))

    @_lower.register
    def _(self, op: ops.Affine, ref: Ref) -> Ref:
        channels = self.at.shape[ref.tensor][0]
        for values in (op.scale, op.shift):
            if values.numel() not in (1, channels):
                raise op.site.refuse(
                    f"has {values.numel()} constants for {channels} channels",
                    "use one constant, or one per channel",
                )
        if ref.pad != NO_PADDING:
            ref = self.at.settle(ref)
        node = self.at.nodes.get(ref.tensor)
        waits = ref.scale is not None
        if isinstance(node, ConvNode) and ref.alone and not waits and _plain(node):
            self.at.nodes[ref.tensor] = fold.scale_outputs(node, op.scale, op.shift)
            return ref
        scale, shift = op.scale.double(), op.shift.double()
        if ref.scale is not None and ref.shift is not None:
            scale, shift = ref.scale * scale, ref.shift * scale + shift
        return replace(ref, scale=scale, shift=shift)

    @_lower.register
    def _(self, op: ops.Activate, ref: Ref) -> Ref:
        if ref.scale is None:
            if ref.tensor in self.at.unsigned and op.activation.ceiling is None:
                return ref
            if ref.alone and self.at.activate(ref.tensor, op.activation):
                return ref
        return self.at.without_border(
            ref, lambda inner: self.at.depthwise(inner, op.site.name, op.activation)
        )  # an activation of 0 is 0: the border stays a border

    @_lower.register
    def _(self, op: ops.Pool, ref: Ref) -> Ref:
        size = self.at.map_size(op, ref)
        padding = resolve_padding(op.padding, size, op.kernel, op.stride, (1, 1))
        whole = op.kernel == size and padding == NO_PADDING
        if op.kind == "average" and whole:
            return self._global(op, ref)
        check_limits(op.site, op.kernel, op.stride)
        if op.kernel == (1, 1) and op.stride == (1, 1) and padding == NO_PADDING:
            return ref
        ref = self.at.settle_affine(ref)
        unsigned = ref.tensor in self.at.unsigned
        full = ceil_padding(padding, size, op.kernel, op.stride) if op.ceil else padding
        out = output_size(op.site, size, op.kernel, op.stride, full)
        if op.kind == "max":  # pads with the smallest value: not with 0, where that is smaller
            rows, columns = op.kernel
            total = add_padding(full, ref.pad)
            seen = max(total[0], total[2]) < rows and max(total[1], total[3]) < columns
            ref = ref if unsigned and seen else self.at.settle(ref)
        name = self.at.fresh(op.site.name)
        total = add_padding(full, ref.pad)
        self.at.alone[name] = ref.alone
        window = (name, ref.tensor, name, op.kernel, op.stride, total)
        if op.kind == "max":
            node = MaxPoolNode(*window)
        else:  # what ceil mode adds is never counted
            beyond = (0, 0, full[2] - padding[2], full[3] - padding[3])
            node = AveragePoolNode(*window, beyond if op.count_pad else full)
            if min(node.counts(self.at.shape[ref.tensor][1:]).distinct) < 1:
                raise op.site.refuse("has a window over nothing but padding", "use less padding")
        return self.at.put(node, (self.at.shape[ref.tensor][0], *out), unsigned=unsigned)

    @_lower.register
    def _(self, op: ops.AdaptivePool, ref: Ref) -> Ref:
        size = self.at.map_size(op, ref)
        if size[0] % op.size[0] or size[1] % op.size[1]:
            raise op.site.refuse(
                f"makes {op.size[0]} x {op.size[1]} of {size[0]} x {size[1]}, with windows of "
                "several sizes",
                "choose a size that divides the map's",
            )
        kernel = (size[0] // op.size[0], size[1] // op.size[1])
        stride = tuple(1 if n == 1 else k for n, k in zip(op.size, kernel, strict=True))
        pool = ops.Pool(op.site, op.inputs, op.output, op.kind, kernel, (stride[0], stride[1]))
        return self._lower(pool, ref)

    @_lower.register
    def _(self, op: ops.Mean, ref: Ref) -> Ref:
        axes = {axis % (len(ref.dims) + 1) for axis in op.axes}
        channels = self.at.shape[ref.tensor][0]
        rest = set(range(2, len(ref.dims) + 1))
        if ref.dims[:1] != (channels,) or not rest or axes != rest:
            raise op.site.refuse(
                f"takes the mean of {text(ref.dims)} over axes {text(tuple(op.axes))}",
                "only the mean over all rows and columns is supported",
            )
        out = self._global(op, ref)
        return replace(out, dims=(channels, *(1 for _ in rest)) if op.keep else (channels,))

    def _global(self, op: ops.Op, ref: Ref) -> Ref:
        ref = self.at.settle(ref)
        unsigned = ref.tensor in self.at.unsigned
        channels, height, width = self.at.shape[ref.tensor]
        if (height, width) == (1, 1):
            return ref
        name = self.at.fresh(op.site.name)
        node = GlobalAverageNode(name, ref.tensor, name)
        return self.at.put(node, (channels, 1, 1), unsigned=unsigned)

    @_lower.register
    def _(self, op: ops.Sum, a: Ref, b: Ref) -> Ref:
        a, b = self.at.settle(a), self.at.settle(b)
        shapes = self.at.shape[a.tensor], self.at.shape[b.tensor]
        if a.dims != b.dims or shapes[0] != shapes[1]:
            raise op.site.refuse(
                f"adds {text(a.dims)} and {text(b.dims)}", "only equal shapes can be added"
            )
        name, pair = self.at.fresh(op.site.name), (a.tensor, b.tensor)
        unsigned = set(pair) <= self.at.unsigned  # then ReLU changes nothing
        node = AddNode(name, pair, name, relu=unsigned)
        return self.at.put(node, shapes[0], unsigned=unsigned, dims=a.dims)

    @_lower.register
    def _(self, op: ops.Join, *refs: Ref) -> Ref:
        refs = tuple(self.at.settle(ref) for ref in refs)
        if len(refs) == 1:
            return refs[0]
        shapes = [self.at.shape[ref.tensor] for ref in refs]
        rank = len(refs[0].dims) + 1
        vectors = all(len(ref.dims) == 1 for ref in refs)
        maps = all(ref.dims == shape for ref, shape in zip(refs, shapes, strict=True))
        if op.axis % rank != 1 or not (vectors or maps) or len({s[1:] for s in shapes}) > 1:
            raise op.site.refuse(
                f"joins {', '.join(text(ref.dims) for ref in refs)} along axis {op.axis}",
                "only maps of one size can be joined, along the channels (axis 1)",
            )
        name = self.at.fresh(op.site.name)
        shape = (sum(s[0] for s in shapes), *shapes[0][1:])
        unsigned = {ref.tensor for ref in refs} <= self.at.unsigned
        node = ConcatNode(name, tuple(ref.tensor for ref in refs), name)
        dims = (math.prod(shape),) if vectors else shape
        return self.at.put(node, shape, unsigned=unsigned, dims=dims)

    @_lower.register
    def _(self, op: ops.Reshape, ref: Ref) -> Ref:
        if op.dims is None or op.dims == ref.dims:
            return ref
        if ref.pad != NO_PADDING:
            ref = self.at.settle(ref)
        if math.prod(op.dims) != math.prod(ref.dims):
            raise op.site.refuse(
                f"makes {text(op.dims)} of one picture's {text(ref.dims)}",
                "keep all values of a picture together: reshape to (-1, features)",
            )
        return replace(ref, dims=op.dims)

    @_lower.register
    def _(self, op: ops.Permute, ref: Ref) -> Ref:
        full = (1, *ref.dims)
        order = [axis % len(full) for axis in op.order]
        moved = [axis for axis in order if full[axis] != 1]
        if moved != sorted(moved) or order[0] != 0:
            raise op.site.refuse(
                f"reorders the dimensions of {text(ref.dims)}",
                "export the network with channels first (NCHW) and without transposing",
            )
        return replace(ref, dims=tuple(full[axis] for axis in order[1:]))

    @_lower.register
    def _(self, op: ops.Enlarge, ref: Ref) -> Ref:
        self.at.map_size(op, ref)
        if ref.pad != NO_PADDING:
            ref = self.at.settle(ref)
        for _ in range(op.factor.bit_length() - 1):
            channels, height, width = self.at.shape[ref.tensor]
            name = self.at.fresh(op.site.name)
            self.at.alone[name] = ref.alone
            fresh = self.at.put(
                UpsampleNode(name, ref.tensor, name),
                (channels, 2 * height, 2 * width),
                unsigned=ref.tensor in self.at.unsigned,
            )
            ref = replace(fresh, scale=ref.scale, shift=ref.shift)
        return ref

    @_lower.register
    def _(self, op: ops.ZeroPad, ref: Ref) -> Ref:
        self.at.map_size(op, ref)
        pad = add_padding(ref.pad, op.padding)
        channels, height, width = self.at.shape[ref.tensor]
        dims = (channels, height + pad[0] + pad[2], width + pad[1] + pad[3])
        return replace(ref, pad=pad, dims=dims)

    @_lower.register
    def _(self, op: ops.Head, ref: Ref) -> Ref:
        raise op.site.refuse(
            "stands inside the network", "it is supported only as the last operation"
        )

    @_lower.register
    def _(self, op: ops.Quantiser, ref: Ref) -> Ref:
        negative = ref.scale is not None or ref.tensor not in self.at.unsigned
        before, behind = quantisers.as_ops(op, negative)
        for part in before:
            ref = self._lower(part, ref)
        if ref.scale is None and ref.tensor != self.at.start:
            self.steps[ref.tensor] = op
        return ref if behind is None else self._lower(behind, ref)


def _absorb(node: ConvNode, ref: Ref) -> ConvNode:
    """Return the convolution with the affine map that waits before it folded in."""
    if ref.scale is None or ref.shift is None:
        return node
    return fold.scale_inputs(node, ref.scale, ref.shift)


def _plain(node: ConvNode) -> bool:
    return not node.relu and node.ceiling is None
