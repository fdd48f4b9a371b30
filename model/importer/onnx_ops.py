"""ONNX operations, one function each, as operations of the importer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch

from ..network import Padding, Pair
from . import onnx_quantisers, ops
from .checks import (
    NO_RELU,
    ONLY_2D,
    TRANSPOSED,
    TWO_MAPS,
    clamp,
    enlargement,
    leaky,
    per_channel,
    reading,
)
from .onnx_file import QONNX, STANDARD, OnnxFile, attributes
from .ops import Activation, AutoPad, Op, Site
from .resize import repeats

Marks = dict[str, Any]
Maker = Callable[["Reader", onnx.NodeProto, Site, Marks], Op]
REMEDIES = {
    **dict.fromkeys(
        ("HardSwish", "Gelu", "Elu", "Mish", "Softplus", "Tanh", "HardSigmoid", "Celu", "Selu",
         "Swish", "Erf"), NO_RELU),
    "ConvTranspose": TRANSPOSED,
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"),
        "quantise in QDQ format (QuantizeLinear and DequantizeLinear), statically"),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization"),
                    "use batch norm instead"),
    **dict.fromkeys(("If", "Loop", "Scan"), "export the network without control flow"),
}  # fmt: skip


class Reader:
    """Reads a file's nodes one after another; ``ops`` is what they become."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.ops: list[Op] = []
        self.known = {file.input}
        self.quantised: dict[str, tuple[float, float]] = {}  # QuantizeLinear's step, zero point

    def add(self, node: onnx.NodeProto) -> None:
        """Read one node."""
        site = self.file.site(node)
        standard = node.domain in STANDARD
        makers = MAKERS if standard else QONNX_MAKERS if node.domain in QONNX else {}
        maker = makers.get(node.op_type)
        if maker is None:
            known = REMEDIES if standard else {}
            remedy = known.get(node.op_type, "leave it out of the network and export again")
            raise site.refuse("is not supported", remedy)
        with reading(site):
            self.ops.append(maker(self, node, site, attributes(node)))
        self.known.add(node.output[0])

    def value(self, site: Site, node: onnx.NodeProto, index: int = 0) -> str:
        """Return the name of an input that depends on the picture."""
        name = node.input[index] if index < len(node.input) else ""
        if name in self.file.constants:
            raise site.refuse(f"reads the constant {name!r} where the picture is wanted",
                              "export the network again")  # fmt: skip
        if name not in self.known:
            raise site.refuse(f"reads {name!r}, a further result of its operation",
                              "only first results are supported")  # fmt: skip
        return name

    def constant(self, site: Site, node: onnx.NodeProto, index: int, what: str) -> Any:
        """Return an input that is constant, or None where it is left out."""
        name = node.input[index] if index < len(node.input) else ""
        if not name:
            return None
        if name not in self.file.constants:
            raise site.refuse(f"has a {what} that depends on the picture",
                              "only constants are supported there")  # fmt: skip
        return self.file.constants[name]

    def tensor(
        self, site: Site, node: onnx.NodeProto, index: int, what: str
    ) -> torch.Tensor | None:
        """Return a constant input as a float32 tensor, or None where it is left out."""
        array = self.constant(site, node, index, what)
        if array is None:
            return None
        if array.dtype in (np.float64, np.float16) and array.size > 1:
            raise site.refuse(f"has a {what} in {array.dtype}", "export the network in float32")
        return torch.from_numpy(np.array(array, np.float32))

    def weight(self, site: Site, node: onnx.NodeProto, index: int, what: str) -> torch.Tensor:
        """Return a constant input that must be there."""
        found = self.tensor(site, node, index, what)
        if found is None:
            raise site.refuse(f"has no {what}", "export the network again")
        return found

    def shape(self, site: Site, name: str) -> tuple[int, ...]:
        """Return a value's shape, with the batch."""
        if name not in self.file.shapes:
            raise site.refuse(f"gives {name!r} a dynamic shape",
                              "export the network for one size of picture")  # fmt: skip
        return self.file.shapes[name]

    def is_constant(self, node: onnx.NodeProto, index: int) -> bool:
        """Return whether an input does not depend on the picture."""
        return node.input[index] in self.file.constants


def _window(marks: Marks, site: Site, kernel: Pair) -> tuple[Pair, Padding | AutoPad, Pair]:
    """Return stride, padding and dilation."""
    stride: Any = tuple(marks.get("strides", (1, 1)))
    dilation: Any = tuple(marks.get("dilations", (1, 1)))
    pads: Any
    mode: Any = marks.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return stride, "same_upper" if mode == "SAME_UPPER" else "same_lower", dilation
    pads = (0, 0, 0, 0) if mode == "VALID" else tuple(marks.get("pads", (0, 0, 0, 0)))
    if not len(kernel) == len(stride) == len(dilation) == 2 or len(pads) != 4:
        raise site.refuse(f"is {len(kernel)}-D", "only 2-D windows are supported")
    if min(pads) < 0:
        raise site.refuse(f"has negative padding {pads}", "do not crop")
    return stride, pads, dilation


def _conv(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    weight = r.weight(site, node, 1, "weight")
    if weight.ndim != 4:
        raise site.refuse(f"is {weight.ndim - 2}-D", ONLY_2D)
    stride, padding, dilation = _window(m, site, (int(weight.shape[2]), int(weight.shape[3])))
    return ops.Convolve(
        site, (r.value(site, node),), node.output[0], weight, r.tensor(site, node, 2, "bias"),
        stride, padding, dilation, int(m.get("group", 1)),
    )  # fmt: skip


def _gemm(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    if m.get("transA"):
        raise site.refuse("transposes its input", "use a linear layer")
    matrix = r.weight(site, node, 1, "matrix") * m.get("alpha", 1.0)
    bias = r.tensor(site, node, 2, "bias")
    weight = matrix if m.get("transB") else matrix.T
    if bias is not None:
        bias = (bias * m.get("beta", 1.0)).flatten().expand(weight.shape[0])
    return ops.Linear(site, (r.value(site, node),), node.output[0], weight, bias)


def _matmul(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    if r.is_constant(node, 0):
        raise site.refuse("multiplies a constant by the picture", "use a linear layer")
    matrix = r.weight(site, node, 1, "matrix")
    if matrix.ndim != 2:
        raise site.refuse("multiplies by no matrix", "use a linear layer")
    return ops.Linear(site, (r.value(site, node),), node.output[0], matrix.T, None)


def _batch_norm(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    if m.get("training_mode"):
        raise site.refuse("is in training mode", "export in evaluation mode")
    names = ("scale", "bias", "mean", "variance")
    gamma, beta, mean, variance = (
        r.weight(site, node, index, name).double() for index, name in enumerate(names, 1)
    )
    gain = gamma * (variance + m.get("epsilon", 1e-5)).rsqrt()
    return ops.Affine(site, (r.value(site, node),), node.output[0], gain, beta - mean * gain)


def _arithmetic(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    kind, out = node.op_type, node.output[0]
    if len(node.input) != 2:
        raise site.refuse(f"has {len(node.input)} inputs", "add two maps at a time")
    if not r.is_constant(node, 0) and not r.is_constant(node, 1):
        if kind not in ("Add", "Sum"):
            raise site.refuse("combines two maps", TWO_MAPS)
        return ops.Sum(site, (r.value(site, node), r.value(site, node, 1)), out)
    moved = r.is_constant(node, 0)
    constant = r.weight(site, node, 0 if moved else 1, "constant")
    name = r.value(site, node, 1 if moved else 0)
    values = per_channel(site, constant, len(r.shape(site, out)))
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    if kind in ("Add", "Sum"):
        return ops.Affine(site, (name,), out, one, values)
    if kind == "Sub":
        return ops.Affine(site, (name,), out, -one if moved else one, values if moved else -values)
    if kind == "Mul":
        return ops.Affine(site, (name,), out, values, zero)
    if moved:
        raise site.refuse("divides by the picture", "only division by constants is supported")
    return ops.Affine(site, (name,), out, 1 / values, zero)


def _negate(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    one = torch.ones(1).double()
    return ops.Affine(site, (r.value(site, node),), node.output[0], -one, 0 * one)


def _activate(choose: Callable[[Reader, onnx.NodeProto, Site, Marks], Activation]) -> Maker:
    def make(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
        name = (r.value(site, node),)
        return ops.Activate(site, name, node.output[0], choose(r, node, site, m))

    return make


def _clip(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Activation:
    bounds = [r.constant(site, node, index, "bound") for index in (1, 2)]
    low, high = (None if b is None else float(np.reshape(b, -1)[0]) for b in bounds)
    lowest = float(np.finfo(np.float32).max)  # how some exporters write "no bound"
    low = None if low is not None and low <= -lowest else low
    return clamp(site, low, None if high is not None and high >= lowest else high)


def _prelu(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Activation:
    slope = r.weight(site, node, 1, "slope")
    if slope.numel() != 1:
        raise site.refuse(f"has {slope.numel()} slopes", "use one slope for all channels")
    return leaky(site, float(slope))


def _pool(kind: Any) -> Maker:
    def make(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
        kernel = tuple(m["kernel_shape"])
        stride, padding, dilation = _window(m, site, kernel)
        if dilation != (1, 1):
            raise site.refuse("is dilated", "only pools without dilation are supported")
        return ops.Pool(
            site, (r.value(site, node),), node.output[0], kind, kernel, stride, padding,
            bool(m.get("ceil_mode", 0)), bool(m.get("count_include_pad", 0)),
        )  # fmt: skip

    return make


def _global(kind: Any) -> Maker:
    def make(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
        return ops.AdaptivePool(site, (r.value(site, node),), node.output[0], kind, (1, 1))

    return make


def _mean(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    axes = m.get("axes")
    if axes is None:
        axes = r.constant(site, node, 1, "list of axes")
    if axes is None:
        raise site.refuse("takes the mean over everything", "take it over rows and columns (2, 3)")
    order = tuple(int(axis) for axis in np.reshape(axes, -1))
    name = (r.value(site, node),)
    return ops.Mean(site, name, node.output[0], order, bool(m.get("keepdims", 1)))


def _concat(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    names = tuple(r.value(site, node, index) for index in range(len(node.input)))
    return ops.Join(site, names, node.output[0], int(m["axis"]))


def _reshape(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    name, out = r.value(site, node), node.output[0]
    if node.op_type == "Reshape" and (target := r.constant(site, node, 1, "shape")) is not None:
        before = r.shape(site, name)
        dims = [int(n) for n in target]
        if not m.get("allowzero"):
            dims = [before[axis] if n == 0 else n for axis, n in enumerate(dims)]
        if -1 in dims:
            rest = math.prod(n for n in dims if n != -1)
            dims[dims.index(-1)] = math.prod(before) // rest if rest else 0
        shape = tuple(dims)
    else:
        shape = r.shape(site, out)
    return ops.Reshape(site, (name,), out, shape[1:] if shape[:1] == (1,) else shape)


def _transpose(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    rank = len(r.shape(site, node.input[0]))
    order = tuple(m.get("perm", range(rank - 1, -1, -1)))
    return ops.Permute(site, (r.value(site, node),), node.output[0], order)


def _alias(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    training = r.constant(site, node, 2, "mode") if node.op_type == "Dropout" else None
    if training is not None and bool(np.any(training)):
        raise site.refuse("is in training mode", "export in evaluation mode")
    if node.op_type == "Cast" and m.get("to") != onnx.TensorProto.FLOAT:
        raise site.refuse("converts to another type than float32", "stay in float32")
    return ops.Reshape(site, (r.value(site, node),), node.output[0])


def _resize(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    before, after = (r.shape(site, name)[2:] for name in (node.input[0], node.output[0]))
    if m.get("mode", "nearest") != "nearest":
        raise site.refuse(f"interpolates by {m['mode']}", "use nearest upsampling")
    factor = enlargement(site, before, after)
    for size in before:
        if not repeats(size, factor, m):
            raise site.refuse(
                f"picks other pixels than the nearest repeated {factor} times",
                "use coordinate_transformation_mode asymmetric with nearest_mode floor",
            )
    return ops.Enlarge(site, (r.value(site, node),), node.output[0], factor)


def _pad(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    rank = len(r.shape(site, node.input[0]))
    pads = r.constant(site, node, 1, "padding")
    value = r.constant(site, node, 2, "value")
    axes = r.constant(site, node, 3, "list of axes")
    places = range(rank) if axes is None else [int(a) % rank for a in np.reshape(axes, -1)]
    if m.get("mode", "constant") != "constant" or (value is not None and float(value) != 0):
        raise site.refuse("does not pad with zeros", "pad with zeros")
    pads = [int(n) for n in np.reshape(pads, -1)]
    border = [0] * (2 * rank)
    for place, low, high in zip(places, pads, pads[len(pads) // 2 :], strict=False):
        border[place], border[place + rank] = low, high
    top, left, bottom, right = (border[i] for i in (rank - 2, rank - 1, 2 * rank - 2, 2 * rank - 1))
    if min(border) < 0 or sum(border) != top + left + bottom + right or rank != 4:
        raise site.refuse(f"pads by {pads}", "only rows and columns can be padded, not cropped")
    return ops.ZeroPad(site, (r.value(site, node),), node.output[0], (top, left, bottom, right))


def _head(r: Reader, node: onnx.NodeProto, site: Site, m: Marks) -> Op:
    rank = len(r.shape(site, node.input[0]))
    default = {"ArgMax": 0, "Sigmoid": 1}.get(node.op_type, -1)
    if m.get("axis", default) % rank != 1:
        raise site.refuse(f"works along axis {m.get('axis', default)}", "use axis 1, the channels")
    return ops.Head(site, (r.value(site, node),), node.output[0])


MAKERS: dict[str, Maker] = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm,
    "Add": _arithmetic, "Sum": _arithmetic, "Sub": _arithmetic, "Mul": _arithmetic,
    "Div": _arithmetic, "Neg": _negate,
    "Relu": _activate(lambda r, node, site, m: Activation(True)),
    "LeakyRelu": _activate(lambda r, node, site, m: leaky(site, m.get("alpha", 0.01))),
    "Clip": _activate(_clip), "PRelu": _activate(_prelu),
    "MaxPool": _pool("max"), "AveragePool": _pool("average"),
    "GlobalAveragePool": _global("average"), "GlobalMaxPool": _global("max"),
    "ReduceMean": _mean, "Concat": _concat,
    "Flatten": _reshape, "Reshape": _reshape, "Squeeze": _reshape, "Unsqueeze": _reshape,
    "Transpose": _transpose, "Dropout": _alias, "Identity": _alias, "Cast": _alias,
    "CastLike": _alias,
    "Resize": _resize, "Pad": _pad,
    "Softmax": _head, "LogSoftmax": _head, "Sigmoid": _head, "ArgMax": _head,
    "QuantizeLinear": onnx_quantisers.quantize, "DequantizeLinear": onnx_quantisers.dequantize,
}  # fmt: skip
QONNX_MAKERS: dict[str, Maker] = dict.fromkeys(
    ("Quant", "IntQuant", "BipolarQuant"), onnx_quantisers.quant
)
