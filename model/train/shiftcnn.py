"""ShiftCNN's N terms, trained straight through the greedy quantiser."""

from __future__ import annotations

import torch
from torch import nn

from ..codebook import Codebook, ShiftWeights
from .method import ShiftParameter, check_scale, peak, power_of_two, spread, straight_through


def greedy(
    weight: torch.Tensor, scale: torch.Tensor, book: Codebook
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes and values of ``Codebook.quantize``, in torch and without leaving the type.

    Every step is exact as there, so the codes are the same: the proof holds for any binary
    floating-point type as long as nothing is denormal.

    Parameters
    ----------
    weight : Tensor float32 or float64 (\\*shape)
    scale : Tensor, of the same type, that divides ``weight`` by broadcasting
        s, positive, at least every |w| it divides.

    Returns
    -------
    codes : Tensor int8 (N, \\*shape)
    values : Tensor (\\*shape)
        Sum of the terms times s.
    """
    s = torch.frexp(scale).mantissa  # in [0.5, 1)
    unit = scale / s  # a power of two: dividing and multiplying by it is exact
    residual = weight / unit
    size = residual.abs()
    negative = residual < 0
    total = torch.zeros_like(size)
    codes = torch.empty((book.terms, *weight.shape), dtype=torch.int8)
    for term in range(1, book.terms + 1):
        mantissa, k = torch.frexp(size)
        k = k - (mantissa < s).to(k.dtype)  # floor(log2(size / s))
        k = k.clamp(min=-60)  # far below every codebook: spares powers that are no numbers
        power = s * power_of_two(k, s.dtype)
        k = k + (size - power > 0.5 * power).to(k.dtype)
        magnitude = 2 - term - k
        used = (size > 0) & (magnitude <= book.magnitudes)
        step = torch.where(used, s * power_of_two(k, s.dtype), torch.zeros_like(size))
        code = torch.where(used, magnitude, torch.zeros_like(magnitude))
        codes[term - 1] = torch.where(negative, -code, code).to(torch.int8)
        total = total + torch.where(negative, -step, step)
        left = size - step  # exact (Sterbenz)
        negative = negative ^ (left < 0)
        size = left.abs()
    return codes, total * unit


class ShiftCNN(ShiftParameter):
    """Float weights, rounded greedily to N terms; the gradient passes as if they were not.

    The codes are exactly those of :meth:`Codebook.quantize` on the float weights.

    Parameters
    ----------
    weight : Tensor float (Cout, ...)
        Where training starts.
    codebook : Codebook
        With zero.
    scale : "layer" | "channel" | "unit"
        s = max|w|, per layer or output channel, follows the weights; "unit": s = 1, and weights
        beyond ±1 are cut off.
    """

    def __init__(self, weight: torch.Tensor, codebook: Codebook, scale: str = "layer") -> None:
        super().__init__()
        check_scale(scale)
        self.codebook, self.scale_kind = codebook, scale
        self.weight = nn.Parameter(weight.detach().clone())

    def _rounded(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return codes, values, scale."""
        weight = self.weight.detach()
        if self.scale_kind == "unit":
            scale = torch.ones((), dtype=weight.dtype)
            weight = weight.clamp(-1, 1)
        else:
            scale = peak(weight, self.scale_kind)
        codes, values = greedy(weight, spread(scale, weight), self.codebook)
        return codes, values, scale

    def forward(self) -> torch.Tensor:
        """Return the rounded weights; dL/dw is that of the rounded ones."""
        return straight_through(self.weight, self._rounded()[1])

    def shift_weights(self) -> ShiftWeights:
        """Return codes and scale."""
        codes, _, scale = self._rounded()
        return ShiftWeights(codes, scale.double(), self.codebook)
