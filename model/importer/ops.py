"""What both front ends make of a model: operations on named values, before any folding.

A value stands for one picture's tensor; the batch dimension is not among its dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch

from ..network import Padding, Pair

AutoPad = Literal["same_upper", "same_lower"]


class UnsupportedError(ValueError):
    """Something in the user's model that cannot be imported, in one line."""


@dataclass(frozen=True)
class Site:
    """Where an operation stands in the user's model.

    Attributes
    ----------
    name : str
        What its layer will be called.
    op : str
        The operation, as the model's own format calls it.
    where : str
        Module path and source line, or the name of the ONNX node.
    """

    name: str
    op: str
    where: str

    def refuse(self, why: str, remedy: str) -> UnsupportedError:
        """Return the error that says what is not supported, where, and what to do."""
        return UnsupportedError(f"node {self.name!r}: {self.op} at {self.where} {why}; {remedy}")


@dataclass(frozen=True)
class Activation:
    """ReLU, leaky ReLU (``leak``), and a ceiling, as in :class:`..graph.ConvNode`."""

    relu: bool
    leak: float = 0.0
    ceiling: float | None = None

    def then(self, other: Activation) -> Activation:
        """Return this activation followed by another one; ceilings are not negative."""
        ceilings = [c for c in (self.ceiling, other.ceiling) if c is not None]
        ceiling = min(ceilings) if ceilings else None
        if self.relu and other.relu:
            return Activation(True, self.leak * other.leak, ceiling)
        active = self if self.relu else other
        return Activation(active.relu, active.leak, ceiling)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: reads values, writes one."""

    site: Site
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Convolve(Op):
    """Two-dimensional convolution; weight (Cout, Cin / groups, kh, kw)."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Pair
    padding: Padding | AutoPad
    dilation: Pair
    groups: int


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """Fully connected layer; weight (Fout, Fin)."""

    weight: torch.Tensor
    bias: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """Each channel times ``scale`` plus ``shift``: batch norm, or arithmetic with constants.

    Both are 1-D, with one element per channel or a single one.
    """

    scale: torch.Tensor
    shift: torch.Tensor


@dataclass(frozen=True, eq=False)
class Activate(Op):
    """An activation function."""

    activation: Activation


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Maximum or mean of sliding windows.

    ``count_pad``: a mean counts the padding as zeros (else it leaves it out).
    """

    kind: Literal["max", "average"]
    kernel: Pair
    stride: Pair
    padding: Padding | AutoPad = (0, 0, 0, 0)
    ceil: bool = False
    count_pad: bool = True


@dataclass(frozen=True, eq=False)
class AdaptivePool(Op):
    """Maximum or mean of windows that give a map of ``size``."""

    kind: Literal["max", "average"]
    size: Pair


@dataclass(frozen=True, eq=False)
class Mean(Op):
    """Mean over axes; axis 0 is the batch."""

    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """Sum of two values."""


@dataclass(frozen=True, eq=False)
class Join(Op):
    """Concatenation; axis 0 is the batch."""

    axis: int


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same values with other dimensions, without the batch's; None: as they are."""

    dims: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Permute(Op):
    """Dimensions in another order; axis 0 is the batch."""

    order: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Enlarge(Op):
    """Nearest upsampling: every pixel becomes a square of ``factor`` times itself."""

    factor: int


@dataclass(frozen=True, eq=False)
class ZeroPad(Op):
    """A border of zeros."""

    padding: Padding


@dataclass(frozen=True, eq=False)
class Head(Op):
    """Softmax, sigmoid or argmax: left out at the end of a network, refused elsewhere."""


@dataclass(frozen=True, eq=False)
class Quantiser(Op):
    """An activation quantiser: calibration that the file brings along.

    Attributes
    ----------
    step : float
        Its scale, real units per level.
    low, high : float
        Its lowest level, at most 0, and its highest one, above 0, less the zero point.
    """

    step: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Program:
    """A whole model of one picture-shaped input.

    Attributes
    ----------
    name : str
    input : str
        Name of the input value.
    shape : tuple[int, int, int]
        Its channels, height and width.
    ops : list[Op]
        In the order of execution.
    outputs : tuple[str, ...]
        Values that are results, the main one first.
    notes : list[str]
        What the user should know.
    pixels : bool
        The input is of bytes: pixels as they are, 0..255.
    """

    name: str
    input: str
    shape: tuple[int, int, int]
    ops: list[Op]
    outputs: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    pixels: bool = False
