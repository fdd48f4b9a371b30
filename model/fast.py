"""Convolution through floating-point units, only where the result is provably exact.

A floating-point sum of integers is exact while every partial sum fits the significand, whatever
the order of the additions. The largest partial sum follows from the weights, so the type is
chosen per layer: float32 below 2^24, float64 below 2^53.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F

from .fixed import SLOPE_BITS, SLOPE_REACH, requantise
from .network import Conv, Network

FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53


def partial_sum_bound(w_int: torch.Tensor, low: int, high: int) -> int:
    """Return the largest |partial sum| of w_int times values in low..high, in any order."""
    w = w_int.flatten(1)
    positive, negative = w.clamp(min=0).sum(1), (-w).clamp(min=0).sum(1)
    largest = torch.maximum(positive * high - negative * low, negative * high - positive * low)
    return int(largest.max()) if largest.numel() else 0


def conv_fast(network: Network, layer: Conv, a: torch.Tensor) -> torch.Tensor:
    """Return what ``golden.conv`` returns, bit for bit, sooner."""
    info = network.tensors[layer.input]
    weights, bias, shifted = _prepared(layer, info.zero_point, info.top)
    top, left, bottom, right = layer.padding
    x = a.to(weights.dtype)
    if info.zero_point:
        x -= info.zero_point  # padding with 0 then stands for the zero point
    if (top, left) == (bottom, right):
        acc = F.conv2d(x, weights, None, layer.stride, (top, left), layer.dilation, layer.groups)
    else:
        x = F.pad(x, (left, right, top, bottom))
        acc = F.conv2d(x, weights, None, layer.stride, 0, layer.dilation, layer.groups)
    if bias is None or shifted is None:
        return requantise(acc.long(), layer.requantiser)
    # acc m + bias + 2^(r-1) and its product with 2^-r are exact in float64, floor is >>
    out = acc.double().mul_(shifted).add_(bias).floor_()
    rq = layer.requantiser
    if rq.slope:  # integers below 2^20 and their halves: exact too
        out = out.clamp_(rq.zero - SLOPE_REACH, rq.zero + SLOPE_REACH - 1)
        bent = ((rq.zero - out) * rq.slope_factor + 64).mul_(2.0**-SLOPE_BITS).floor_()
        out = torch.where(out < rq.zero, rq.zero - bent, out)
    return out.clamp_(rq.lo, rq.hi).to(torch.uint8)


Prepared = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


@lru_cache(maxsize=256)
def _prepared(layer: Conv, zero_point: int, top: int) -> Prepared:
    """Return weights in the fastest exact type, and bias and multiplier over 2^r in float64."""
    w_int = layer.weights.integers()
    bound = partial_sum_bound(w_int, -zero_point, top - zero_point)
    # lower matrix precision would let float32 products be rounded to bfloat16 or TF32
    single = bound < FLOAT32_EXACT and torch.get_float32_matmul_precision() == "highest"
    if bound >= FLOAT64_EXACT:
        raise ValueError(f"layer {layer.name!r}: accumulators may exceed 2^53")
    weights = w_int.to(torch.float32 if single else torch.float64)
    weights = weights.contiguous(memory_format=torch.channels_last)
    rq = layer.requantiser
    right = rq.right.long()
    offset = rq.bias + ((torch.ones_like(right) << right) >> 1)
    peak = bound * int(rq.multiplier.abs().max()) + int(offset.abs().max())
    if peak >= FLOAT64_EXACT:
        return weights, None, None
    down = torch.ldexp(torch.ones(len(right), dtype=torch.float64), -right)
    shifted = (rq.multiplier.double() * down).view(1, -1, 1, 1)
    return weights, (offset.double() * down).view(1, -1, 1, 1), shifted
