"""Bit planes of a map and stored words, least significant plane first.

A pixel of C channels of A bits is a vector of A C bits, plane after plane: bit j of channel c is
entry j C + c; the stored words below are the same vector of one group of channels. The two
conversions are differentiable. An integer is the sum of 2^j b_j, so a plane's gradient is 2^j
times the integer's. The other way, the least change of the planes that changes the integer by 1
is 2^j / (sum of 4^i) in plane j, so the planes' gradients g_j come back as the sum of 2^j g_j over
the sum of 4^i: there and back is the identity. The published code of the feature-map codec (arXiv
1808.05285) gives 2 / A times the plain sum of g_j instead: mode "even", kept for comparison.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

Weighting = Literal["value", "even"]


def plane_gains(bits: int, weighting: Weighting) -> torch.Tensor:
    """Return each plane's share (A,) in the gradient of an integer by its planes.

    Raises
    ------
    ValueError
        If the weighting is unknown.
    """
    if weighting == "value":
        powers = 2.0 ** torch.arange(bits)
        return powers / powers.square().sum()
    if weighting == "even":
        return torch.full((bits,), 2.0 / bits)
    raise ValueError(f"weighting must be 'value' or 'even', not {weighting!r}")


class _ToPlanes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, bits: int, weighting: Weighting) -> torch.Tensor:
        ctx.bits, ctx.weighting = bits, weighting
        whole = a.round().long()
        planes = [(whole >> j) & 1 for j in range(bits)]
        return torch.cat(planes, 1).to(a.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        gains = plane_gains(ctx.bits, ctx.weighting).to(grads[0])
        parts = grads[0].unflatten(1, (ctx.bits, -1))
        return torch.einsum("bjc...,j->bc...", parts, gains), None, None


def to_planes(a: torch.Tensor, bits: int = 8, weighting: Weighting = "value") -> torch.Tensor:
    """Return the planes 0.0 or 1.0 (B, A C, ...) of integers 0..2^A - 1, float (B, C, ...).

    Parameters
    ----------
    a : Tensor float (B, C, ...)
    bits : int
        A.
    weighting : "value" | "even"
        How the planes' gradients make the integer's, see the module.
    """
    plane_gains(bits, weighting)
    return _ToPlanes.apply(a, bits, weighting)  # type: ignore[no-any-return]


def from_planes(planes: torch.Tensor, bits: int = 8) -> torch.Tensor:
    """Return the integers (B, C, ...) of planes (B, A C, ...); a plane's gradient is 2^j times."""
    if planes.shape[1] % bits:
        raise ValueError(f"{planes.shape[1]} planes are not those of values of {bits} bits")
    powers = (2.0 ** torch.arange(bits)).to(planes)
    return torch.einsum("bjc...,j->bc...", planes.unflatten(1, (bits, -1)), powers)


def pack_words(codes: np.ndarray, bits: int, rows: int) -> np.ndarray:
    """Return the stored words of pixels as bits, plane after plane in each group of channels.

    Parameters
    ----------
    codes : ndarray uint8 (pixels, C)
        Codes 0..2^k - 1 of one pixel after another.
    bits : int
        k.
    rows : int
        Channels of a group; the last group is filled up with code 0.

    Returns
    -------
    ndarray uint8 (pixels, groups, k * rows)
        0 or 1; bit j of the group's channel r is at j * rows + r.
    """
    pixels, channels = codes.shape
    groups = -(-channels // rows)
    full = np.zeros((pixels, groups * rows), np.uint8)
    full[:, :channels] = codes
    split = full.reshape(pixels, groups, 1, rows) >> np.arange(bits, dtype=np.uint8)[:, None]
    return (split & 1).reshape(pixels, groups, bits * rows)


def unpack_words(words: np.ndarray, bits: int, channels: int) -> np.ndarray:
    """Return the codes uint8 (pixels, C) that :func:`pack_words` packed."""
    pixels, groups, width = words.shape
    rows = width // bits
    powers = (1 << np.arange(bits, dtype=np.uint8))[:, None]
    codes = (words.reshape(pixels, groups, bits, rows) * powers).sum(2, dtype=np.uint8)
    return codes.reshape(pixels, groups * rows)[:, :channels]
