"""DeepShift: one power of two per weight (Elhoushi et al., arXiv 1905.13298), Q and PS.

The paper's weight is s·2^p, exponents 0 and below. A layer here may have one scale more, frozen
where training starts: it is carried by the requantiser and costs the engine nothing. Scale "unit"
is the paper's own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..codebook import Codebook, ShiftWeights
from .method import ShiftParameter, check_scale, peak, power_of_two, spread, straight_through

LADDER = torch.arange(0, -3.25, -0.25)  # octaves below max|w| at which a scale is tried


def round_q(r: torch.Tensor, magnitudes: int) -> torch.Tensor:
    """Return the exponents p of DeepShift-Q, round(log2|r|) in 1 - M..0, int32.

    The threshold between two powers is their geometric mean: |r| > sqrt 2·2^k goes up.
    """
    mantissa, exponent = torch.frexp(r.abs())
    p = exponent - (mantissa <= math.sqrt(0.5)).to(exponent.dtype)
    p = torch.where(r == 0, torch.full_like(p, 1 - magnitudes), p)
    return p.clamp(1 - magnitudes, 0)


def _sign(r: torch.Tensor) -> torch.Tensor:
    """Return the sign, 1 for 0: there is no zero in DeepShift-Q."""
    return torch.where(r < 0, -1.0, 1.0).to(r.dtype)


def _value_q(r: torch.Tensor, magnitudes: int) -> torch.Tensor:
    return _sign(r) * power_of_two(round_q(r, magnitudes), r.dtype)


def _value_ps(r: torch.Tensor, magnitudes: int) -> torch.Tensor:
    """Return PS's first value of r: nothing below half the smallest power."""
    value = _value_q(r, magnitudes)
    return torch.where(r.abs() < 0.5 * 2.0 ** (1 - magnitudes), torch.zeros_like(r), value)


def _best_scale(weight: torch.Tensor, scale: str, codebook: Codebook) -> torch.Tensor:
    """Return the scale with the least squared rounding error, max|w| or some octaves below."""
    check_scale(scale)
    if scale == "unit":
        return torch.ones((), dtype=weight.dtype)
    top, axes = peak(weight, scale), tuple(range(scale == "channel", weight.ndim))
    value = _value_ps if codebook.zero else _value_q
    best, least = top, torch.full_like(top, math.inf)
    for octaves in LADDER.tolist():
        tried = top * 2.0**octaves
        s = spread(tried, weight)
        error = (value(weight / s, codebook.magnitudes) * s - weight).square().sum(axes)
        best, least = torch.where(error < least, tried, best), torch.minimum(error, least)
    return best


def _export(
    p: torch.Tensor, sign: torch.Tensor, scale: torch.Tensor, codebook: Codebook
) -> ShiftWeights:
    codes = (sign * (1 - p)).to(torch.int8)[None]  # |c| = m stands for 2^(1 - m)
    return ShiftWeights(codes, scale.double(), codebook)


class DeepShiftQ(ShiftParameter):
    """Float weights whose logarithm is rounded; the gradient passes straight through.

    At b bits the exponents are 0..-(2^(b-1) - 1); there is no zero.

    Parameters
    ----------
    weight : Tensor float (Cout, ...)
        Where training starts.
    bits : int
        b, 2..5.
    scale : "layer" | "channel" | "unit"
        Scales frozen now, with the least squared error for ``weight``; "unit": none.
    """

    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor, bits: int, scale: str = "layer") -> None:
        super().__init__()
        self.codebook = Codebook(1, bits, zero=False)
        self.weight = nn.Parameter(weight.detach().clone())
        self.register_buffer("scale", _best_scale(weight.detach(), scale, self.codebook))

    def forward(self) -> torch.Tensor:
        """Return sign(w)·2^round(log2|w|) on the scale; dL/dw is that of the rounded weights."""
        weight = self.weight.detach()
        s = spread(self.scale, weight)
        value = _value_q(weight / s, self.codebook.magnitudes) * s
        return straight_through(self.weight, value)

    def shift_weights(self) -> ShiftWeights:
        """Return codes and scale."""
        r = self.weight.detach() / spread(self.scale, self.weight)
        p = round_q(r, self.codebook.magnitudes)
        return _export(p, _sign(r), self.scale, self.codebook)


class _PowerAndSign(torch.autograd.Function):
    """u = ternary(s)·2^round(p), with dL/dp = dL/du·u·ln 2 and dL/ds = dL/du."""

    @staticmethod
    def forward(
        ctx: Any, shift: torch.Tensor, sign: torch.Tensor, lowest: int
    ) -> tuple[torch.Tensor]:
        u = ternary(sign) * power_of_two(shift.clamp(lowest, 0).round(), shift.dtype)
        ctx.save_for_backward(u, shift)
        ctx.lowest = lowest
        return u  # type: ignore[return-value]

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        u, shift = ctx.saved_tensors
        (grad,) = grads
        to_shift = grad * u * math.log(2.0)
        # beyond the clamp only the way back is open: descent moves p against the gradient
        outward = ((shift > 0) & (to_shift < 0)) | ((shift < ctx.lowest) & (to_shift > 0))
        return to_shift.masked_fill(outward, 0.0), grad, None


def ternary(sign: torch.Tensor) -> torch.Tensor:
    """Return -1, 0 or 1: 0 where |s| <= 0.5."""
    return torch.sign(sign) * (sign.abs() > 0.5).to(sign.dtype)


class DeepShiftPS(ShiftParameter):
    """Exponent p and ternary sign s are trained themselves: w = s·2^p.

    At b bits p is rounded and clamped to 0..-(2^(b-1) - 2): exactly the codebook N = 1, B = b.
    It wants RAdam, and :meth:`regulariser` in place of weight decay.

    Parameters
    ----------
    weight : Tensor float (Cout, ...)
        Where training starts: p = log2|w|, s = w over the smallest power, in -1..1.
    bits : int
        b, 2..5.
    scale : "layer" | "channel" | "unit"
        As for :class:`DeepShiftQ`.
    """

    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor, bits: int, scale: str = "layer") -> None:
        super().__init__()
        self.codebook = Codebook(1, bits)
        weight = weight.detach()
        self.register_buffer("scale", _best_scale(weight, scale, self.codebook))
        r = weight / spread(self.scale, weight)
        smallest = 2.0**self.lowest
        shift = torch.log2(r.abs().clamp(min=smallest)).clamp(max=0.0)
        self.shift = nn.Parameter(shift)
        self.sign = nn.Parameter((r / smallest).clamp(-1.0, 1.0))

    @property
    def lowest(self) -> int:
        """Smallest exponent."""
        return 1 - self.codebook.magnitudes

    def forward(self) -> torch.Tensor:
        """Return s·2^p on the scale."""
        u = _PowerAndSign.apply(self.shift, self.sign, self.lowest)
        return u * spread(self.scale, self.sign)  # type: ignore[operator]

    def shift_weights(self) -> ShiftWeights:
        """Return codes and scale."""
        p = self.shift.detach().clamp(self.lowest, 0).round()
        return _export(p, ternary(self.sign.detach()), self.scale, self.codebook)

    def regulariser(self) -> torch.Tensor:
        """Return half the sum of (2^p)^2 over all weights."""
        return 0.5 * torch.exp2(2.0 * self.shift).sum()

    def decayed(self) -> bool:
        """Weight decay would pull p to 0, the largest weights: no."""
        return False
