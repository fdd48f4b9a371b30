"""What rounding makes of one convolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .codebook import ShiftWeights


@dataclass(frozen=True, eq=False)
class Rounded:
    """Shift weights of one convolution and the bias that goes with them.

    Attributes
    ----------
    weights : ShiftWeights
        Codes (N, Cout, Cin / groups, kh, kw).
    bias : Tensor float64 (Cout,)
        In real units, like the float layer's.

    Raises
    ------
    ValueError
        If the bias has another shape or type, or is not finite.
    """

    weights: ShiftWeights
    bias: torch.Tensor

    def __post_init__(self) -> None:
        want = (self.weights.shape[0],)
        if self.bias.dtype != torch.float64 or tuple(self.bias.shape) != want:
            raise ValueError(
                f"bias must be float64 {want}, not {self.bias.dtype} {tuple(self.bias.shape)}"
            )
        if not bool(torch.isfinite(self.bias).all()):
            raise ValueError("bias must be finite")
