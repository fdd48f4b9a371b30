"""Activations in training exactly as the hardware stores them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..calibrate import stored_range


class _OnGrid(torch.autograd.Function):
    """Round half up and clamp; the gradient passes where nothing was clamped."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: float, low: int, high: int) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.ends = (low - 0.5) / step if low else 0.0, (high + 0.5) / step
        stored = torch.add(x.new_tensor(0.5), x, alpha=step)
        return stored.floor_().clamp_(low, high).mul_(1.0 / step)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        grad = torch.ops.aten.hardtanh_backward(grads[0], x, *ctx.ends)
        return grad, None, None, None


class ActivationQuantiser(nn.Module):
    """Values a·2^-f with a = floor(v·2^f + 0.5) clamped to 0..2^A - 1, or to -2^(A-1)..2^(A-1) - 1.

    Until it is calibrated it passes values as they are.

    Parameters
    ----------
    bits : int
        A, bits of a stored activation, 2..8.
    signed : bool
        Whether values may be negative: not after ReLU.

    Raises
    ------
    ValueError
        If ``bits`` is out of range.
    """

    frac_bits: torch.Tensor
    ready: torch.Tensor

    def __init__(self, bits: int = 8, signed: bool = False) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"act_bits must be in 2..8, not {bits}")
        self.bits, self.signed = bits, signed
        self.register_buffer("frac_bits", torch.zeros((), dtype=torch.int64))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    @property
    def low(self) -> int:
        """Smallest stored value less the zero point."""
        return stored_range(self.bits, self.signed)[0]

    @property
    def high(self) -> int:
        """Largest stored value less the zero point."""
        return stored_range(self.bits, self.signed)[1]

    @property
    def zero_point(self) -> int:
        """z: the stored value of 0."""
        return -self.low

    @property
    def rectifies(self) -> bool:
        """Whether the grid does what ReLU does: the same values, the same gradients."""
        return not self.signed and bool(self.ready)

    def set(self, frac_bits: int) -> None:
        """Freeze the scale 2^-frac_bits."""
        self.frac_bits.fill_(frac_bits)
        self.ready.fill_(True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x on the grid; gradients stop where it is clamped."""
        if not self.ready:
            return x
        return _OnGrid.apply(x, 2.0 ** int(self.frac_bits), self.low, self.high)  # type: ignore[return-value]

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"bits={self.bits}, signed={self.signed}, frac_bits={int(self.frac_bits)}"
