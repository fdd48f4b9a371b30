"""Convolution and linear layers whose weights are powers of two while they are trained."""

from __future__ import annotations

from typing import Any, Self, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import nn

from ..codebook import Codebook
from .deepshift import DeepShiftPS, DeepShiftQ
from .method import Method, ShiftParameter, WeightScale
from .shiftcnn import ShiftCNN


class Options(TypedDict, total=False):
    """How weights follow the trained parameters: as of :func:`shift_parameter`."""

    method: Method
    terms: int
    bits: int
    scale: WeightScale


def shift_parameter(
    weight: torch.Tensor,
    method: Method = "shiftcnn",
    terms: int = 1,
    bits: int = 4,
    scale: WeightScale = "layer",
) -> ShiftParameter:
    """Return a trainable weight tensor that starts at ``weight``.

    Parameters
    ----------
    weight : Tensor float (Cout, ...)
    method : "shiftcnn" | "deepshift_q" | "deepshift_ps"
        How codes follow the trained parameters.
    terms : int
        N, 1..4; 1 for DeepShift.
    bits : int
        B (DeepShift's b), 2..5.
    scale : "layer" | "channel" | "unit"
        Scale of the weights; "unit" is DeepShift's own, none.

    Raises
    ------
    ValueError
        If the method is unknown, or a number is out of its range.
    """
    if method == "shiftcnn":
        return ShiftCNN(weight, Codebook(terms, bits), scale)
    if method not in ("deepshift_q", "deepshift_ps"):
        raise ValueError(
            f"method must be 'shiftcnn', 'deepshift_q' or 'deepshift_ps', not {method!r}"
        )
    if terms != 1:
        raise ValueError(f"{method} has one term per weight, not {terms}; shiftcnn has more")
    deepshift = DeepShiftQ if method == "deepshift_q" else DeepShiftPS
    return deepshift(weight, bits, scale)


class _ShiftLayer(nn.Module):
    """Shift weights and a bias, taken over from a float layer."""

    weights: ShiftParameter
    bias: nn.Parameter | None

    @classmethod
    def from_float(cls, layer: nn.Conv2d | nn.Linear, **options: Unpack[Options]) -> Self:
        """Return a layer that starts at a float one's weights.

        Raises
        ------
        ValueError
            If it pads with anything but zeros, or a parameter is out of its range.
        """
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made._take(layer, options)
        return made

    def _take(self, layer: Any, options: Options) -> None:
        self.weights = shift_parameter(layer.weight.detach(), **options)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @property
    def weight(self) -> torch.Tensor:
        """The weights as they are stored, with gradients."""
        return self.weights()


class ShiftConv2d(_ShiftLayer):
    """``nn.Conv2d`` with shift weights; arguments and padding are the same.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        As of ``nn.Conv2d``; padding with zeros only.
    method, terms, bits, scale
        As of :func:`shift_parameter`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        model = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self._take(model, options)

    def _take(self, layer: Any, options: Options) -> None:
        if layer.padding_mode != "zeros":
            raise ValueError(f"a convolution must be padded with zeros, not {layer.padding_mode!r}")
        super()._take(layer, options)
        self.kernel_size, self.stride = layer.kernel_size, layer.stride
        self.padding, self.dilation, self.groups = layer.padding, layer.dilation, layer.groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution (B, Cout, H', W') of x (B, Cin, H, W)."""
        return self.convolve(x, self.weights(), self.bias)

    def convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the convolution with other weights (Cout, Cin / groups, kh, kw)."""
        return F.conv2d(
            x, weight, bias, self.stride, self.padding, self.dilation, self.groups
        )  # fmt: skip


class ShiftLinear(_ShiftLayer):
    """``nn.Linear`` with shift weights.

    Parameters
    ----------
    in_features, out_features, bias
        As of ``nn.Linear``.
    method, terms, bits, scale
        As of :func:`shift_parameter`.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, **options: Unpack[Options]
    ) -> None:
        super().__init__()
        self._take(nn.Linear(in_features, out_features, bias), options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x W^T + b, (..., out) for x (..., in)."""
        return F.linear(x, self.weights(), self.bias)
