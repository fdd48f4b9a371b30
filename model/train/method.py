"""One interface for the ways to train weights that are sums of powers of two."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from ..codebook import Codebook, ShiftWeights

Method = Literal["shiftcnn", "deepshift_q", "deepshift_ps"]
WeightScale = Literal["unit", "layer", "channel"]


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, trained: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0], None


def straight_through(trained: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return ``value``, to the last bit, with the gradient of ``trained``."""
    return _Straight.apply(trained, value)  # type: ignore[return-value]


class ShiftParameter(nn.Module):
    """A weight tensor that is always a sum of powers of two times a scale.

    Attributes
    ----------
    codebook : Codebook
        N, B, and whether there is a zero.
    """

    codebook: Codebook

    def forward(self) -> torch.Tensor:
        """Return the weights as they are stored, with gradients to the trained parameters."""
        raise NotImplementedError

    def shift_weights(self) -> ShiftWeights:
        """Return codes and scale of the present weights: what is exported."""
        raise NotImplementedError

    def regulariser(self) -> torch.Tensor:
        """Return what takes the place of weight decay, to be multiplied by its factor; or 0."""
        return torch.zeros(())

    def decayed(self) -> bool:
        """Whether an optimiser's weight decay suits the parameters."""
        return True


def check_scale(scale: str) -> None:
    """Refuse a scale that is none.

    Raises
    ------
    ValueError
        Unless it is "unit", "layer" or "channel".
    """
    if scale not in ("unit", "layer", "channel"):
        raise ValueError(f"scale must be 'unit', 'layer' or 'channel', not {scale!r}")


def peak(weight: torch.Tensor, scale: str) -> torch.Tensor:
    """Return max|w| of all weights, (), or of each output channel, (Cout,); 1 where that is 0."""
    if scale == "channel":
        largest = weight.detach().abs().flatten(1).amax(1)
    else:
        largest = weight.detach().abs().amax()
    return torch.where(largest == 0, torch.ones_like(largest), largest)


# torch.exp2 and torch.ldexp need not be exact: a table is
_POWERS = torch.tensor([2.0**k for k in range(1, -64, -1)], dtype=torch.float64)


def power_of_two(k: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return 2^k, exactly, for integers k, of any type, in -63..1."""
    return _POWERS.to(dtype)[1 - k.long()]


def spread(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return a scale () or (Cout,) in a shape that multiplies ``weight``."""
    return scale.reshape(scale.shape + (1,) * (weight.ndim - scale.ndim)) if scale.ndim else scale
