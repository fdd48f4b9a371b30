"""What a rounder is given: one convolution and the second moments of its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..codebook import Book, Scale, ShiftWeights
from ..graph import ConvNode
from ..rounded import Rounded
from .levels import Levels, levels

DAMPING = 0.01  # of the mean of H's diagonal: added to it


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and covariances of a convolution's input columns.

    A column holds what one output pixel sees: n = Cin / groups x kh x kw values. x_f are the
    float network's, x_q those of the network whose earlier layers are rounded already.

    Attributes
    ----------
    mean_float, mean : Tensor float64 (groups, n)
        Of x_f and of x_q.
    cross : Tensor float64 (groups, n, n)
        Cov(x_f, x_q), rows x_f.
    second : Tensor float64 (groups, n, n)
        Cov(x_q).
    count : int
        Columns seen.
    """

    mean_float: torch.Tensor
    mean: torch.Tensor
    cross: torch.Tensor
    second: torch.Tensor
    count: int


class MomentSum:
    """Adds up moments over batches of columns.

    Parameters
    ----------
    groups, size : int
        Groups of the convolution, and n.
    """

    def __init__(self, groups: int, size: int) -> None:
        shape = (groups, size, size)
        self._sums = [torch.zeros(groups, size, dtype=torch.float64) for _ in range(2)]
        self._products = [torch.zeros(shape, dtype=torch.float64) for _ in range(2)]
        self._count, self._weight = 0, 0.0

    def add(
        self, x_float: torch.Tensor, x: torch.Tensor, weight: torch.Tensor | None = None
    ) -> None:
        """Add columns of both kinds, float32 (groups, columns, n), with weights (columns,)."""
        weight = torch.ones(x.shape[1]) if weight is None else weight
        self._count += x.shape[1]
        self._weight += float(weight.double().sum())
        heavy = x * weight[:, None]
        for total, product, part in zip(self._sums, self._products, (x_float, x), strict=True):
            total += weight @ part  # sums of a few columns in float32, sums of these in float64
            product += part.transpose(1, 2) @ heavy

    def moments(self) -> Moments:
        """Return the moments of all columns so far; there must be one."""
        mean_float, mean = (total / self._weight for total in self._sums)
        cross, second = (
            total / self._weight - left[:, :, None] * mean[:, None, :]
            for total, left in zip(self._products, (mean_float, mean), strict=True)
        )
        return Moments(mean_float, mean, cross, second, self._count)


@dataclass(frozen=True, eq=False)
class Samples:
    """Some input columns and what the float layer makes of its own ones.

    Attributes
    ----------
    x : Tensor float32 (groups, S, n)
        Columns of the network with rounded earlier layers.
    target : Tensor float32 (groups, S, Cout / groups)
        The float layer's outputs before its activation.
    """

    x: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """One convolution to be rounded.

    Attributes
    ----------
    node : ConvNode
        Float weight and bias.
    book : Book
    scale : "layer" | "channel"
        One weight scale for the layer or one per output channel.
    moments : Moments
    price : float
        Price of one more non-zero term in a weight, in units of the mean over the weights of
        w^2 H_jj; 0: terms are free.
    seed : int
    samples : Samples or None
        Only for the rounders that ask for them.
    """

    node: ConvNode
    book: Book
    scale: Scale
    moments: Moments
    price: float = 0.0
    seed: int = 0
    samples: Samples | None = None
    levels: Levels = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", levels(self.book))

    def by_group(self, weight: torch.Tensor) -> torch.Tensor:
        """Return weights (Cout, ...) as float64 (groups, Cout / groups, n)."""
        groups = self.node.groups
        return weight.double().reshape(groups, weight.shape[0] // groups, -1)

    @property
    def weight(self) -> torch.Tensor:
        """The float weights, float64 (groups, Cout / groups, n)."""
        return self.by_group(self.node.weight)

    def damped(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return H = Cov(x_q) + d I and the target W' = (W C + d W) H^-1, both by group.

        W' is the least-squares answer on x_q to what W does on x_f, pulled towards W by d: it
        makes up for what the rounding of earlier layers did to the inputs. d is DAMPING times the
        mean of the diagonal, and more where there are fewer columns than it takes to know H.
        """
        second, cross = self.moments.second, self.moments.cross
        size = second.shape[1]
        mean = second.diagonal(dim1=1, dim2=2).mean(1)
        mean = torch.where(mean > 0, mean, torch.ones_like(mean))
        share = max(DAMPING, size / self.moments.count)
        d = (share * mean)[:, None, None]
        h = second + d * torch.eye(size, dtype=torch.float64)
        target = torch.linalg.solve(h, (self.weight @ cross + d * self.weight).transpose(1, 2))
        return h, target.transpose(1, 2).contiguous()

    def error(self, rounded: Rounded) -> float:
        """Return the variance of the output's error over that of the output, on x_q.

        Before the activation; 0 where the output is constant.
        """
        exact = self.weight
        wrong = exact - self.by_group(rounded.weights.dequantize())
        second = self.moments.second
        power, noise = (float(((w @ second) * w).sum()) for w in (exact, wrong))
        return noise / power if power > 0 else 0.0

    def compensated_bias(self, weights: ShiftWeights) -> torch.Tensor:
        """Return b + w m_f - q m_q, float64 (Cout,): the mean before the activation stays."""
        m = self.moments
        old = (self.weight @ m.mean_float[:, :, None]).flatten()
        new = (self.by_group(weights.dequantize()) @ m.mean[:, :, None]).flatten()
        return self.node.bias.double() + old - new

    def rounded(self, index: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> Rounded:
        """Return level indices and scales by group, (groups, O, n) and (groups, O), as weights."""
        per = scale.reshape(-1)
        if self.scale == "layer":
            per = per[0]
        return Rounded(self.levels.pick(index.reshape(self.node.weight.shape), per), bias)
