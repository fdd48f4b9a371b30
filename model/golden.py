"""The integer golden model: the only definition of right.

One function per operation, in plain int64 arithmetic on stored values. :func:`run` evaluates a
whole network, by those functions ("integer") or faster by floating-point convolutions that are
used only where every partial sum is provably exact ("fast"); both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from .fast import conv_fast
from .fixed import requantise
from .network import (
    Add,
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    Padding,
    Pair,
    Upsample,
)

Exact = Literal["fast", "integer"]


def pad(a: torch.Tensor, padding: Padding, value: int) -> torch.Tensor:
    """Return a (B, C, H, W) with ``value`` around it: top, left, bottom, right."""
    top, left, bottom, right = padding
    return F.pad(a, (left, right, top, bottom), value=value)


def windows(a: torch.Tensor, kernel: Pair, stride: Pair, dilation: Pair) -> torch.Tensor:
    """Return every window of a, (B, C, H, W, kh, kw), as a view."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = a.unfold(2, spans[0], stride[0]).unfold(3, spans[1], stride[1])
    return view[..., :: dilation[0], :: dilation[1]]


def accumulate(
    a: torch.Tensor,
    w_int: torch.Tensor,
    *,
    stride: Pair = (1, 1),
    padding: Padding = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    zero_point: int = 0,
    groups: int = 1,
) -> torch.Tensor:
    """Return the accumulators of a convolution: the sum of w_int (a - zero_point).

    Parameters
    ----------
    a : Tensor uint8 (B, Cin, H, W)
        Stored activations; padding inserts ``zero_point``.
    w_int : Tensor int64 (Cout, Cin / groups, kh, kw)
        Integer weights.
    groups : int
        Runs of channels that do not see each other.

    Returns
    -------
    Tensor int64 (B, Cout, H', W')
    """
    if a.dtype != torch.uint8:
        raise ValueError(f"activations must be uint8, not {a.dtype}")
    channels = w_int.shape[1] * groups
    if a.ndim != 4 or a.shape[1] != channels:
        raise ValueError(f"activations must be (B, {channels}, H, W), not {tuple(a.shape)}")
    real = pad(a, padding, zero_point).long() - zero_point
    kernel = (w_int.shape[2], w_int.shape[3])
    view = windows(real, kernel, stride, dilation)
    batch, _, height, width, *_ = view.shape
    columns = view.permute(0, 2, 3, 1, 4, 5).reshape(batch * height * width, groups, -1)
    weights = w_int.flatten(1).reshape(groups, -1, columns.shape[2])
    sums = columns.transpose(0, 1) @ weights.transpose(1, 2)
    return sums.transpose(0, 1).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def conv(network: Network, layer: Conv, a: torch.Tensor) -> torch.Tensor:
    """Return a convolution's stored outputs, uint8 (B, Cout, H', W')."""
    acc = accumulate(
        a,
        layer.weights.integers(),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        zero_point=network.tensors[layer.input].zero_point,
        groups=layer.groups,
    )
    return requantise(acc, layer.requantiser)


def max_pool(layer: MaxPool, a: torch.Tensor) -> torch.Tensor:
    """Return the largest stored value of each window, uint8; padding is the stored value 0."""
    view = windows(pad(a, layer.padding, 0), layer.kernel, layer.stride, (1, 1))
    return view.amax((-2, -1))


def global_average_pool(
    network: Network, layer: GlobalAveragePool, a: torch.Tensor
) -> torch.Tensor:
    """Return the requantised sum of each channel's (a - zero_point), uint8 (B, C, 1, 1)."""
    zero_point = network.tensors[layer.input].zero_point
    total = (a.long() - zero_point).sum((2, 3), keepdim=True)
    return requantise(total, layer.requantiser)


def average_pool(network: Network, layer: AveragePool, a: torch.Tensor) -> torch.Tensor:
    """Return the requantised sum of (a - zero_point) in each window, uint8; padding adds 0.

    Windows that count fewer values than the kernel has are requantised by a factor of their own.
    """
    zero_point = network.tensors[layer.input].zero_point
    real = pad(a, layer.padding, zero_point).long() - zero_point
    total = windows(real, layer.kernel, layer.stride, (1, 1)).sum((-2, -1))
    out = requantise(total, layer.requantiser)
    if layer.edges:
        counts = layer.counts((a.shape[2], a.shape[3]))
        counted = torch.tensor(counts.rows)[:, None] * torch.tensor(counts.columns)
        for count, edge in layer.edges:
            out = torch.where(counted == count, requantise(total, edge), out)
    return out


def add(network: Network, layer: Add, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return ``((a - z_a) << k_a) + ((b - z_b) << k_b)`` requantised, uint8 (B, C, H, W)."""
    zeros = [network.tensors[name].zero_point for name in layer.inputs]
    total = ((a.long() - zeros[0]) << layer.shifts[0]) + ((b.long() - zeros[1]) << layer.shifts[1])
    return requantise(total, layer.requantiser)


def upsample(a: torch.Tensor) -> torch.Tensor:
    """Return every pixel as a square of 2 x 2, (B, C, 2 H, 2 W)."""
    return a.repeat_interleave(2, 2).repeat_interleave(2, 3)


def concat(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return the parts' channels one after another."""
    return torch.cat(parts, 1)


def run(
    network: Network,
    x: torch.Tensor,
    *,
    exact: Exact = "fast",
    until: str | None = None,
    keep: bool = True,
    written: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, torch.Tensor]:
    """Evaluate a network on stored inputs.

    Parameters
    ----------
    network : Network
    x : Tensor uint8 (B, C, H, W)
        Stored values of the input tensor, one or more pictures.
    exact : "fast" | "integer"
        Which of the two bit-identical implementations runs.
    until : str, optional
        Name of the layer or tensor after which to stop.
    keep : bool
        Return every tensor; otherwise only the outputs and what is still to be read.
    written : bool
        Return coded tensors as layers write them, before they are coded, not as they are read.
    progress : callable, optional
        Called with each layer's name before it runs.

    Returns
    -------
    dict[str, Tensor uint8 (B, C, H, W)]
        Stored values of the tensors by name, the input included.

    Raises
    ------
    ValueError
        If the input does not fit the network, or there is no ``until``.
    """
    info = network.tensors[network.input]
    if x.dtype != torch.uint8 or x.ndim != 4 or tuple(x.shape[1:]) != info.shape:
        raise ValueError(
            f"input must be uint8 (pictures, {', '.join(map(str, info.shape))}), "
            f"not {x.dtype} {tuple(x.shape)}"
        )
    if exact not in ("fast", "integer"):
        raise ValueError(f"exact must be 'fast' or 'integer', not {exact!r}")
    stops = {name for layer in network.layers for name in (layer.name, layer.output)}
    if until is not None and until not in stops:
        raise ValueError(f"no layer or tensor {until!r} to run until")
    if info.bits < 8 and int(x.max()) > info.top:
        raise ValueError(f"input values must be at most {info.top}, not {int(x.max())}")
    last_use = {name: layer.name for layer in network.layers for name in layer.inputs}
    tensors = {network.input: x}
    fresh: dict[str, torch.Tensor] = {}  # coded tensors as they are written
    for layer in network.layers:
        if progress:
            progress(layer.name)
        parts = [tensors[name] for name in layer.inputs]
        if written and layer.output in network.codes:
            own = parts if not isinstance(layer, Concat) else [fresh[n] for n in layer.inputs]
            fresh[layer.output] = _apply(network, layer, own, exact)
            tensors[layer.output] = network.codes[layer.output](fresh[layer.output])
        else:
            tensors[layer.output] = apply_layer(network, layer, parts, exact)
        if not keep:
            for name in set(layer.inputs).difference(network.outputs):
                if last_use[name] == layer.name:
                    del tensors[name]
                    fresh.pop(name, None)
        if until in (layer.name, layer.output):
            break
    return tensors | fresh


def apply_layer(
    network: Network, layer: Layer, parts: list[torch.Tensor], exact: Exact = "fast"
) -> torch.Tensor:
    """Return the stored outputs of any layer from those of its inputs.

    Those of a coded tensor are what is read back of its codes.
    """
    out = _apply(network, layer, parts, exact)
    if layer.output in network.codes and not isinstance(layer, Concat):  # of parts that are coded
        return network.codes[layer.output](out)
    return out


def _apply(network: Network, layer: Layer, parts: list[torch.Tensor], exact: Exact) -> torch.Tensor:
    if isinstance(layer, Conv):
        return (conv if exact == "integer" else conv_fast)(network, layer, parts[0])
    if isinstance(layer, MaxPool):
        return max_pool(layer, parts[0])
    if isinstance(layer, AveragePool):
        return average_pool(network, layer, parts[0])
    if isinstance(layer, GlobalAveragePool):
        return global_average_pool(network, layer, parts[0])
    if isinstance(layer, Add):
        return add(network, layer, parts[0], parts[1])
    if isinstance(layer, Upsample):
        return upsample(parts[0])
    return concat(parts)
