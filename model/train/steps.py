"""The steps of a network in training: one per layer of the engine, each ends on the stored grid.

A step computes what its layer computes, in floating point. Between :meth:`Step.fit` and
:meth:`Step.loosen` it does so with the requantiser's own numbers, so that in float64 the result is
the hardware's to the last bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..codebook import ShiftWeights
from ..fixed import SLOPE_BITS, SLOPE_REACH, Requantiser
from ..graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    GlobalAverageNode,
    MaxPoolNode,
    Node,
    UpsampleNode,
    pad,
)
from ..network import Layer, Padding, Pair
from ..rounded import Rounded
from .activation import ActivationQuantiser
from .layers import ShiftConv2d, ShiftLinear

TINY = 2.0**-126  # stands for a scale of zero: the requantiser makes no terms of it


class Step(nn.Module):
    """One layer: reads tensors ``inputs``, writes tensor ``output``, which bears its name.

    Attributes
    ----------
    quantiser : ActivationQuantiser or None
        The output's grid; None where the output has the grid of the inputs.
    """

    quantiser: ActivationQuantiser | None

    def __init__(self, name: str, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.quantiser = None
        self.name, self.inputs, self.output = name, inputs, name

    def node(self) -> Node:
        """Return the layer in floating point, weights as they are stored, batch norm folded."""
        raise NotImplementedError

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the output before it is brought to the grid."""
        raise NotImplementedError

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the output (B, C, H, W) on its grid."""
        value = self.compute(*parts)
        return value if self.quantiser is None else self.quantiser(value)

    def fit(self, layer: Layer, frac_bits: int) -> None:
        """Compute as ``layer`` does from now on; its input has the scale 2^-frac_bits."""

    def loosen(self) -> None:
        """Compute in plain floating point again."""


class Affine:
    """acc x m 2^-r + bias 2^-r in real units: what a requantiser makes of an accumulator.

    Parameters
    ----------
    rq : Requantiser
    unit : float
        Real size of one accumulator step in what is passed to the call.
    out : ActivationQuantiser
        The grid of the result.
    """

    def __init__(self, rq: Requantiser, unit: float, out: ActivationQuantiser) -> None:
        down = torch.ldexp(torch.ones(rq.channels, dtype=torch.float64), -rq.right.long())
        step = 2.0 ** int(out.frac_bits)
        gain = rq.multiplier.double() * down / (unit * step)
        offset = (rq.bias.double() * down - out.zero_point) / step
        self.gain, self.offset = gain.view(1, -1, 1, 1), offset.view(1, -1, 1, 1)
        self.slope, self.step = rq.slope_factor if rq.slope else None, step

    def __call__(self, acc: torch.Tensor) -> torch.Tensor:
        """Return the real value before clamping; with a slope, already bent and rounded."""
        value = acc * self.gain + self.offset
        if self.slope is None:
            return value
        stored = (value * self.step + 0.5).floor().clamp(-SLOPE_REACH, SLOPE_REACH - 1)
        bent = -((-stored * self.slope + 64) * 2.0**-SLOPE_BITS).floor()
        return torch.where(stored < 0, bent, stored) / self.step


class Activated(Step):
    """A step that ends with an activation: none, ReLU, ReLU6 (``ceiling``), leaky (``leak``)."""

    def __init__(
        self,
        name: str,
        inputs: tuple[str, ...],
        relu: bool = False,
        ceiling: float | None = None,
        leak: float = 0.0,
    ) -> None:
        super().__init__(name, inputs)
        self.relu, self.ceiling, self.leak = relu, ceiling, leak

    def activate(self, value: torch.Tensor, bent: bool = False) -> torch.Tensor:
        """Return the activation of a value, which a leaky ReLU may have bent already."""
        grid = self.quantiser
        done = bent if self.leak else grid is not None and grid.rectifies  # a pass less
        if self.relu and not done:
            value = F.leaky_relu(value, self.leak) if self.leak else F.relu(value)
        return value if self.ceiling is None else value.clamp(max=self.ceiling)


class ConvStep(Activated):
    """Convolution or linear layer, batch norm, activation.

    Parameters
    ----------
    name, source : str
        Path of the layer in the user's module; tensor it reads.
    layer : ShiftConv2d or ShiftLinear
    padding : tuple
        Zeros around the input beyond the convolution's own: top, left, bottom, right.
    """

    def __init__(
        self,
        name: str,
        source: str,
        layer: ShiftConv2d | ShiftLinear,
        padding: Padding = (0, 0, 0, 0),
        size: Pair = (1, 1),
    ) -> None:
        super().__init__(name, (source,))
        self.layer = layer
        self.norm: nn.BatchNorm2d | None = None
        self.outer, self.size = padding, size
        self.frozen = False
        self._affine: Affine | None = None

    def train(self, mode: bool = True) -> ConvStep:
        """Set the mode; frozen batch norm keeps its statistics."""
        super().train(mode)
        if self.norm is not None and self.frozen:
            self.norm.eval()
        return self

    def freeze(self, frozen: bool = True) -> None:
        """Use batch norm's running statistics in training, too."""
        self.frozen = frozen
        self.train(self.training)

    def _linear(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        if isinstance(self.layer, ShiftConv2d):
            return self.layer.convolve(pad(x, self.outer), weight, bias)
        return F.linear(x.flatten(1), weight, bias)[..., None, None]

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return convolution, norm and activation of the one input."""
        if self._affine is not None:
            acc = self._linear(parts[0], self._integers, None)
            return self.activate(self._affine(acc), bent=True)
        value = self._linear(parts[0], self.layer.weights(), self.layer.bias)
        return self.activate(value if self.norm is None else self.norm(value))

    def rounded(self) -> Rounded:
        """Return codes, scale and bias with batch norm folded into scale and bias alone.

        A negative gamma changes the sign of a channel's codes.
        """
        weights = self.layer.weights.shift_weights()
        channels = weights.shape[0]
        bias = self.layer.bias
        offset = torch.zeros(channels).double() if bias is None else bias.detach().double()
        codes, scale = weights.codes, weights.scale
        if self.norm is not None:
            gain, beta = _gain(self.norm)
            mean = self.norm.running_mean
            assert mean is not None  # convert_module refuses others
            offset = beta + (offset - mean.double()) * gain
            flip = torch.where(gain < 0, -1, 1).to(torch.int8)
            codes = codes * flip.view(1, -1, *(1,) * (codes.ndim - 2))
            scale = (scale * gain.abs()).clamp(min=TINY)
        return Rounded(ShiftWeights(self._kernel(codes), scale, weights.codebook), offset)

    def _kernel(self, values: torch.Tensor) -> torch.Tensor:
        """Return codes (N, Cout, ...) as those of a convolution."""
        if isinstance(self.layer, ShiftConv2d):
            return values
        return values.reshape(*values.shape[:2], -1, *self.size)

    def node(self) -> ConvNode:
        """Return the float node of the weights as they are stored."""
        rounded, layer = self.rounded(), self.layer
        weight, bias = rounded.weights.dequantize().float(), rounded.bias.float()
        ends = (self.relu, self.ceiling, self.leak)
        if isinstance(layer, ShiftLinear):
            return ConvNode(
                self.name, self.inputs[0], self.output, weight, bias, relu=ends[0],
                ceiling=ends[1], leak=ends[2],
            )  # fmt: skip
        padding = tuple(a + b for a, b in zip(self.outer, padding_of(layer), strict=True))
        return ConvNode(
            self.name, self.inputs[0], self.output, weight, bias, pair(layer.stride),
            (padding[0], padding[1], padding[2], padding[3]), ends[0], pair(layer.dilation),
            layer.groups, ends[1], ends[2],
        )  # fmt: skip

    def fit(self, layer: Layer, frac_bits: int) -> None:
        """Compute with the integer weights and the requantiser of the exported layer."""
        quantiser, weights = self.quantiser, self.rounded().weights
        assert quantiser is not None
        integers = weights.integers().double()
        flat = isinstance(self.layer, ShiftLinear)
        self._integers = integers.flatten(1) if flat else integers
        rq: Requantiser = layer.requantiser  # type: ignore[union-attr]
        self._affine = Affine(rq, 2.0**-frac_bits, quantiser)

    def loosen(self) -> None:
        """Compute with the real batch norm again."""
        self._affine = None


def _gain(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gamma / sigma and beta of a batch norm, float64 (C,)."""
    variance = norm.running_var
    assert variance is not None
    inverse = (variance.double() + norm.eps).rsqrt()
    if norm.affine:
        return norm.weight.detach().double() * inverse, norm.bias.detach().double()
    return inverse, torch.zeros_like(inverse)


def pair(value: int | tuple[int, ...]) -> Pair:
    """Return height and width of what may be one number for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def padding_of(layer: ShiftConv2d | nn.Conv2d) -> Padding:
    """Return the zeros a convolution adds: top, left, bottom, right."""
    if layer.padding == "same":
        totals = [
            d * (k - 1) for d, k in zip(pair(layer.dilation), pair(layer.kernel_size), strict=True)
        ]
        before = [total // 2 for total in totals]
        return before[0], before[1], totals[0] - before[0], totals[1] - before[1]
    if isinstance(layer.padding, str):
        return 0, 0, 0, 0
    top, left = pair(layer.padding)
    return top, left, top, left


class AddStep(Activated):
    """Sum of two tensors, activation."""

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the activated sum."""
        if self._bent is None:
            return self.activate(parts[0] + parts[1])
        return self.activate(self._bent(parts[0] + parts[1]), bent=True)

    _bent: Affine | None = None

    def fit(self, layer: Layer, frac_bits: int) -> None:
        """Round a leaky ReLU twice as the hardware does; sums are exact already."""
        assert self.quantiser is not None
        if self.leak:
            rq: Requantiser = layer.requantiser  # type: ignore[union-attr]
            finest = frac_bits + layer.shifts[0]  # type: ignore[union-attr]
            self._bent = Affine(rq, 2.0**-finest, self.quantiser)

    def loosen(self) -> None:
        """Compute in plain floating point again."""
        self._bent = None

    def node(self) -> AddNode:
        """Return the node."""
        return AddNode(
            self.name, (self.inputs[0], self.inputs[1]), self.output, self.relu, self.ceiling,
            self.leak,
        )  # fmt: skip


class AverageStep(Step):
    """Mean of each window, or of the whole map where there is no kernel."""

    def __init__(
        self,
        name: str,
        source: str,
        kernel: Pair | None = None,
        stride: Pair = (1, 1),
        padding: Padding = (0, 0, 0, 0),
    ) -> None:
        super().__init__(name, (source,))
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self._affine: Affine | None = None

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the mean; padding counts as zeros."""
        x = pad(parts[0], self.padding)
        if self._affine is None:
            if self.kernel is None:
                return x.mean((2, 3), keepdim=True)
            return F.avg_pool2d(x, self.kernel, self.stride)
        if self.kernel is None:
            return self._affine(x.sum((2, 3), keepdim=True))
        return self._affine(F.avg_pool2d(x, self.kernel, self.stride, divisor_override=1))

    def fit(self, layer: Layer, frac_bits: int) -> None:
        """Multiply the sum by the requantiser's fraction."""
        assert self.quantiser is not None
        rq: Requantiser = layer.requantiser  # type: ignore[union-attr]
        self._affine = Affine(rq, 2.0**-frac_bits, self.quantiser)

    def loosen(self) -> None:
        """Compute the true mean again."""
        self._affine = None

    def node(self) -> Node:
        """Return the node."""
        if self.kernel is None:
            return GlobalAverageNode(self.name, self.inputs[0], self.output)
        return AveragePoolNode(
            self.name, self.inputs[0], self.output, self.kernel, self.stride, self.padding
        )


class MaxPoolStep(Step):
    """Maximum of each window; it commutes with the grid."""

    def __init__(
        self, name: str, source: str, kernel: Pair, stride: Pair, padding: Padding = (0, 0, 0, 0)
    ) -> None:
        super().__init__(name, (source,))
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the largest value of each window."""
        return F.max_pool2d(pad(parts[0], self.padding, -torch.inf), self.kernel, self.stride)

    def node(self) -> MaxPoolNode:
        """Return the node."""
        return MaxPoolNode(
            self.name, self.inputs[0], self.output, self.kernel, self.stride, self.padding
        )


class ConcatStep(Step):
    """Channels of several tensors, which share one grid."""

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the parts' channels one after another."""
        return torch.cat(parts, 1)

    def node(self) -> ConcatNode:
        """Return the node."""
        return ConcatNode(self.name, self.inputs, self.output)


class UpsampleStep(Step):
    """Every pixel becomes a square of 2 x 2."""

    def compute(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the map at twice its height and width."""
        return F.interpolate(parts[0], scale_factor=2, mode="nearest")

    def node(self) -> UpsampleNode:
        """Return the node."""
        return UpsampleNode(self.name, self.inputs[0], self.output)
