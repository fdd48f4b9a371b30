"""A user's module as steps: traced by ``torch.fx``, batch norm and ReLU joined to their layer."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn

from .reader import Functions, Modules, Reader, Steps, Value


def read_steps(
    model: nn.Module, shape: tuple[int, int, int]
) -> tuple[Steps, tuple[str, ...], bool]:
    """Return steps, outputs, and whether outputs are flat, of a module for inputs of ``shape``.

    Raises
    ------
    ValueError
        If it cannot be traced, or has a layer that is not known; the message names it.
    """
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"torch.fx cannot trace {type(model).__name__}: {first}") from None
    return Reader(traced, shape, _MODULES, _FUNCTIONS).read()


_MODULES: Modules = [
    (nn.Conv2d, Reader.conv),
    (nn.Linear, Reader.linear),
    ((nn.BatchNorm2d, nn.BatchNorm1d), Reader.norm),
    (nn.ReLU6, lambda r, n, m: r.activation(n, 6.0)),
    (nn.Hardtanh, lambda r, n, m: r.hardtanh(n, m.min_val, m.max_val)),
    (nn.ReLU, lambda r, n, m: r.activation(n)),
    (nn.LeakyReLU, lambda r, n, m: r.activation(n, None, m.negative_slope)),
    ((nn.Dropout, nn.Dropout2d, nn.Identity), lambda r, n, m: r.same(n)),
    (nn.Flatten, lambda r, n, m: r.flatten(n) if m.start_dim == 1 else r.refuse(n, "Flatten")),
    (nn.ZeroPad2d, lambda r, n, m: r.pad(n, m.padding)),
    (
        nn.MaxPool2d,
        lambda r, n, m: r.max_pool(n, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode),
    ),
    (
        nn.AvgPool2d,
        lambda r, n, m: r.average_pool(
            n, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad
        ),
    ),
    (nn.AdaptiveAvgPool2d, lambda r, n, m: r.adaptive(n, m.output_size)),
    (nn.Upsample, lambda r, n, m: r.upsample(n, m.size, m.scale_factor, m.mode)),
]


def _relu6(r: Reader, n: fx.Node) -> Value:
    return r.activation(n, 6.0)


def _relu(r: Reader, n: fx.Node) -> Value:
    return r.activation(n)


def _leaky(r: Reader, n: fx.Node) -> Value:
    return r.activation(n, None, r.arg(n, 1, "negative_slope", 0.01))


def _max_pool(r: Reader, n: fx.Node) -> Value:
    return r.max_pool(
        n, r.arg(n, 1, "kernel_size"), r.arg(n, 2, "stride"), r.arg(n, 3, "padding", 0),
        r.arg(n, 4, "dilation", 1), r.arg(n, 5, "ceil_mode", False),
    )  # fmt: skip


def _average_pool(r: Reader, n: fx.Node) -> Value:
    return r.average_pool(
        n, r.arg(n, 1, "kernel_size"), r.arg(n, 2, "stride"), r.arg(n, 3, "padding", 0),
        r.arg(n, 4, "ceil_mode", False), r.arg(n, 5, "count_include_pad", True),
    )  # fmt: skip


def _flatten(r: Reader, n: fx.Node) -> Value:
    if r.arg(n, 1, "start_dim", 0) != 1 or r.arg(n, 2, "end_dim", -1) not in (-1, 3):
        r.refuse(n, "flattening anything but channels, height and width")
    return r.flatten(n)


def _upsample(r: Reader, n: fx.Node) -> Value:
    return r.upsample(
        n, r.arg(n, 1, "size"), r.arg(n, 2, "scale_factor"), r.arg(n, 3, "mode", "nearest")
    )  # fmt: skip


def _pad(r: Reader, n: fx.Node) -> Value:
    if r.arg(n, 2, "mode", "constant") != "constant":
        r.refuse(n, "padding by reflection or repetition")
    return r.pad(n, tuple(r.arg(n, 1, "pad")), r.arg(n, 3, "value") or 0.0)


_FUNCTIONS: Functions = (
    dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), _relu)
    | dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), Reader.sum)
    | dict.fromkeys((torch.flatten, "flatten"), _flatten)
    | dict.fromkeys(("view", "reshape", torch.reshape), Reader.reshape)
    | dict.fromkeys(("mean", torch.mean), Reader.mean)
    | dict.fromkeys((F.dropout, F.dropout2d, "contiguous"), Reader.same)
    | {
        F.relu6: _relu6,
        F.leaky_relu: _leaky,
        F.hardtanh: lambda r, n: r.hardtanh(
            n, r.arg(n, 1, "min_val", -1.0), r.arg(n, 2, "max_val", 1.0)
        ),
        torch.cat: Reader.concat,
        F.max_pool2d: _max_pool,
        F.avg_pool2d: _average_pool,
        F.adaptive_avg_pool2d: lambda r, n: r.adaptive(n, r.arg(n, 1, "output_size")),
        F.interpolate: _upsample,
        F.pad: _pad,
        "size": Reader.size,
        getattr: Reader.attribute,  # x.shape[0] in a reshape
        operator.getitem: Reader.item,
    }
)
