"""ATen operations, one function each, as operations of the importer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..network import Pair
from . import ops
from .checks import ONLY_2D, TRANSPOSED, TWO_MAPS, clamp, enlargement, leaky, per_channel
from .ops import Activation, Site
from .reader import Args, Maker, Reader

ALIASES = ("clone", "contiguous", "alias", "detach", "lift_fresh_copy", "dropout",
           "feature_dropout", "alpha_dropout", "_to_copy", "identity")  # fmt: skip


def _pair(value: Any, default: Any = None) -> Pair:
    """Return two integers from one, two or none."""
    if value is None or value == []:
        value = default
    values = [value, value] if isinstance(value, int) else list(value)
    first, second = values if len(values) == 2 else (values[0], values[0])
    return int(first), int(second)


def _conv(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    weight = reader.constant(site, a["weight"], "weight")
    if weight.ndim != 4:
        raise site.refuse(f"is {weight.ndim - 2}-D", ONLY_2D)
    if a.get("transposed"):
        raise site.refuse("is transposed", TRANSPOSED)
    bias = None if a.get("bias") is None else reader.constant(site, a["bias"], "bias")
    padding: Any = a["padding"]
    stride, dilation = _pair(a["stride"]), _pair(a["dilation"])
    if padding == "same":  # torch allows it for stride 1 only
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        before = [n // 2 for n in total]
        border = (before[0], before[1], total[0] - before[0], total[1] - before[1])
    else:
        rows, columns = (0, 0) if padding == "valid" else _pair(padding)
        border = (rows, columns, rows, columns)
    return ops.Convolve(
        site, (reader.value(site, a["input"]),), out, weight, bias, stride, border, dilation,
        int(a["groups"]),
    )  # fmt: skip


def _linear(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    bias = None if a.get("bias") is None else reader.constant(site, a["bias"], "bias")
    weight = reader.constant(site, a["weight"], "weight")
    return ops.Linear(site, (reader.value(site, a["input"]),), out, weight, bias)


def _addmm(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    if a["beta"] != 1 or a["alpha"] != 1:
        raise site.refuse("scales its parts", "leave alpha and beta at 1")
    weight = reader.constant(site, a["mat2"], "matrix").T
    bias = reader.constant(site, a["self"], "bias").flatten()
    return ops.Linear(site, (reader.value(site, a["mat1"]),), out, weight, bias)


def _matmul(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    matrix = reader.constant(site, a.get("mat2", a.get("other")), "matrix")
    if matrix.ndim != 2:
        raise site.refuse("multiplies by no matrix", "use a linear layer")
    return ops.Linear(site, (reader.value(site, a["self"]),), out, matrix.T, None)


def _batch_norm(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    if a.get("training"):
        raise site.refuse("is in training mode", "call .eval() before exporting")
    mean = reader.constant(site, a["running_mean"], "mean").double()
    variance = reader.constant(site, a["running_var"], "variance").double()
    gain = (variance + a["eps"]).rsqrt()
    if a.get("weight") is not None:
        gain = gain * reader.constant(site, a["weight"], "weight").double()
    shift = -mean * gain
    if a.get("bias") is not None:
        shift = shift + reader.constant(site, a["bias"], "bias").double()
    return ops.Affine(site, (reader.value(site, a["input"]),), out, gain, shift)


def _arithmetic(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    kind = site.op.rpartition(".")[2].rstrip("_")
    left, right, alpha = a["self"], a["other"], a.get("alpha", 1)
    if kind == "rsub":
        kind, left, right = "sub", right, left
    if not reader.is_constant(left) and not reader.is_constant(right):
        if kind == "add" and alpha == 1:
            names = reader.value(site, left), reader.value(site, right)
            return ops.Sum(site, names, out)
        raise site.refuse("combines two maps", TWO_MAPS)
    moved = reader.is_constant(left)
    constant = reader.constant(site, left if moved else right, "constant")
    value = reader.value(site, right if moved else left)
    values = per_channel(site, constant, len(a["meta"].shape))
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    if kind == "add":
        scale, shift = (one * alpha, values) if moved else (one, values * alpha)
        return ops.Affine(site, (value,), out, scale, shift)
    if kind == "sub":
        scale, shift = (-one * alpha, values) if moved else (one, -values * alpha)
        return ops.Affine(site, (value,), out, scale, shift)
    if kind == "mul":
        return ops.Affine(site, (value,), out, values, zero)
    if moved or a.get("rounding_mode"):
        raise site.refuse("divides by the picture", "only division by constants is supported")
    return ops.Affine(site, (value,), out, 1 / values, zero)


def _negate(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    one = torch.ones(1).double()
    return ops.Affine(site, (reader.value(site, a["self"]),), out, -one, 0 * one)


def _activation(choose: Callable[[Site, Args, Reader], Activation]) -> Maker:
    def make(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
        name = reader.value(site, a.get("self", a.get("input")))
        return ops.Activate(site, (name,), out, choose(site, a, reader))

    return make


def _prelu(site: Site, a: Args, reader: Reader) -> Activation:
    slope = reader.constant(site, a["weight"], "slope")
    if slope.numel() != 1:
        raise site.refuse(f"has {slope.numel()} slopes", "use one slope for all channels")
    return leaky(site, float(slope))


def _pool(kind: Any) -> Maker:
    def make(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
        kernel = _pair(a["kernel_size"])
        if a.get("divisor_override") is not None:
            raise site.refuse("has a divisor of its own", "leave divisor_override out")
        if _pair(a.get("dilation", 1)) != (1, 1):
            raise site.refuse("is dilated", "only pools without dilation are supported")
        pad = _pair(a["padding"])
        return ops.Pool(
            site, (reader.value(site, a["self"]),), out, kind, kernel,
            _pair(a["stride"], kernel), (*pad, *pad), a["ceil_mode"],
            a.get("count_include_pad", True),
        )  # fmt: skip

    return make


def _adaptive(kind: Any) -> Maker:
    def make(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
        size = a["meta"][0] if isinstance(a["meta"], tuple) else a["meta"]
        return ops.AdaptivePool(
            site, (reader.value(site, a["self"]),), out, kind, _pair(list(size.shape[2:]))
        )

    return make


def _mean(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    if a.get("dim") is None:
        raise site.refuse("takes the mean over everything", "take it over rows and columns (2, 3)")
    axes = (a["dim"],) if isinstance(a["dim"], int) else tuple(a["dim"])
    return ops.Mean(site, (reader.value(site, a["self"]),), out, axes, bool(a["keepdim"]))


def _cat(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    names = tuple(reader.value(site, node) for node in a["tensors"])
    return ops.Join(site, names, out, int(a["dim"]))


def _reshape(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    name = reader.value(site, a.get("self", a.get("input")))
    shape = list(a["meta"].shape)
    dims = shape[1:]
    if not all(isinstance(n, int) for n in dims):
        raise site.refuse(f"has dynamic dimensions {tuple(map(str, shape))}",
                          "export the network for one size of picture")  # fmt: skip
    return ops.Reshape(site, (name,), out, tuple(int(n) for n in dims))


def _permute(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    rank = len(a["meta"].shape)
    order = list(a["dims"]) if "dims" in a else list(range(rank))
    if "dim0" in a:
        order[a["dim0"]], order[a["dim1"]] = order[a["dim1"]], order[a["dim0"]]
    elif "dims" not in a:
        order.reverse()
    return ops.Permute(site, (reader.value(site, a["self"]),), out, tuple(order))


def _alias(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    if a.get("train"):
        raise site.refuse("is in training mode", "call .eval() before exporting")
    return ops.Reshape(site, (reader.value(site, a.get("self", a.get("input"))),), out)


def _to(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    if a["meta"].dtype != torch.float32:
        raise site.refuse(f"converts to {a['meta'].dtype}", "stay in float32")
    return _alias(reader, site, a, out)


def _upsample(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    source = a["input"] if "input" in a else a["self"]
    name = reader.value(site, source)
    before, after = source.meta["val"].shape[2:], a["meta"].shape[2:]
    return ops.Enlarge(site, (name,), out, enlargement(site, before, after))


def _pad(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    border, value = list(a["pad"]), a.get("value")
    if a.get("mode", "constant") != "constant" or value not in (None, 0, 0.0):
        raise site.refuse("does not pad with zeros", "pad with zeros")
    border += [0] * (8 - len(border))
    left, right, top, bottom, *rest = border
    if any(rest) or min(border) < 0:
        raise site.refuse(f"pads by {a['pad']}", "only rows and columns can be padded, not cropped")
    return ops.ZeroPad(site, (reader.value(site, a["self"]),), out, (top, left, bottom, right))


def _head(reader: Reader, site: Site, a: Args, out: str) -> ops.Op:
    rank = len(a["self"].meta["val"].shape)
    if a.get("dim", 1) not in (1, 1 - rank):
        raise site.refuse(f"works along axis {a['dim']}", "use axis 1, the channels")
    return ops.Head(site, (reader.value(site, a["self"]),), out)


MAKERS: dict[str, Maker] = {
    "conv2d": _conv, "convolution": _conv, "conv1d": _conv, "conv3d": _conv,
    "linear": _linear, "addmm": _addmm, "mm": _matmul, "matmul": _matmul,
    "batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "add": _arithmetic, "add_": _arithmetic, "sub": _arithmetic, "mul": _arithmetic,
    "div": _arithmetic, "rsub": _arithmetic, "neg": _negate,
    "relu": _activation(lambda s, a, r: Activation(True)),
    "relu6": _activation(lambda s, a, r: Activation(True, 0.0, 6.0)),
    "hardtanh": _activation(lambda s, a, r: clamp(s, a["min_val"], a["max_val"])),
    "clamp": _activation(lambda s, a, r: clamp(s, a["min"], a["max"])),
    "clamp_min": _activation(lambda s, a, r: clamp(s, a["min"], None)),
    "clamp_max": _activation(lambda s, a, r: clamp(s, None, a["max"])),
    "leaky_relu": _activation(lambda s, a, r: leaky(s, a["negative_slope"])),
    "prelu": _activation(_prelu),
    "max_pool2d": _pool("max"), "max_pool2d_with_indices": _pool("max"),
    "avg_pool2d": _pool("average"),
    "adaptive_avg_pool2d": _adaptive("average"), "_adaptive_avg_pool2d": _adaptive("average"),
    "adaptive_max_pool2d": _adaptive("max"),
    "mean": _mean, "cat": _cat, "concat": _cat, "concatenate": _cat,
    "flatten": _reshape, "view": _reshape, "reshape": _reshape, "squeeze": _reshape,
    "unsqueeze": _reshape, "unflatten": _reshape, "_unsafe_view": _reshape,
    "permute": _permute, "transpose": _permute, "t": _permute,
    "to": _to, **dict.fromkeys(ALIASES, _alias), "_to_copy": _to,
    "upsample_nearest2d": _upsample, "_upsample_nearest_exact2d": _upsample,
    "pad": _pad, "constant_pad_nd": _pad,
    "softmax": _head, "_softmax": _head, "log_softmax": _head, "_log_softmax": _head,
    "sigmoid": _head, "argmax": _head,
}  # fmt: skip
