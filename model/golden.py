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
from .network import Concat, Conv, GlobalAveragePool, MaxPool, Network, Padding, Pair

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
) -> torch.Tensor:
    """Return the accumulators of a convolution: the sum of w_int (a - zero_point).

    Parameters
    ----------
    a : Tensor uint8 (B, Cin, H, W)
        Stored activations; padding inserts ``zero_point``.
    w_int : Tensor int64 (Cout, Cin, kh, kw)
        Integer weights.

    Returns
    -------
    Tensor int64 (B, Cout, H', W')
    """
    if a.dtype != torch.uint8:
        raise ValueError(f"activations must be uint8, not {a.dtype}")
    if a.ndim != 4 or a.shape[1] != w_int.shape[1]:
        raise ValueError(f"activations must be (B, {w_int.shape[1]}, H, W), not {tuple(a.shape)}")
    real = pad(a, padding, zero_point).long() - zero_point
    kernel = (w_int.shape[2], w_int.shape[3])
    view = windows(real, kernel, stride, dilation)
    batch, _, height, width, *_ = view.shape
    columns = view.permute(0, 2, 3, 1, 4, 5).reshape(batch * height * width, -1)
    sums = columns @ w_int.flatten(1).T
    return sums.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def conv(network: Network, layer: Conv, a: torch.Tensor) -> torch.Tensor:
    """Return a convolution's stored outputs, uint8 (B, Cout, H', W')."""
    acc = accumulate(
        a,
        layer.weights.integers(),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        zero_point=network.tensors[layer.input].zero_point,
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
        Return every tensor; otherwise only the last written one.
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
    for layer in network.layers:
        if progress:
            progress(layer.name)
        parts = [tensors[name] for name in layer.inputs]
        if isinstance(layer, Conv):
            out = (conv if exact == "integer" else conv_fast)(network, layer, parts[0])
        elif isinstance(layer, MaxPool):
            out = max_pool(layer, parts[0])
        elif isinstance(layer, Concat):
            out = concat(parts)
        else:
            out = global_average_pool(network, layer, parts[0])
        tensors[layer.output] = out
        if not keep:
            for name in layer.inputs:
                if last_use[name] == layer.name:
                    del tensors[name]
        if until in (layer.name, layer.output):
            break
    return tensors
