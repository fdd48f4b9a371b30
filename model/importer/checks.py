"""What both front ends check in the same words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .ops import Activation, Site, UnsupportedError

NO_RELU = "use ReLU, ReLU6 or leaky ReLU instead and train again"
TWO_MAPS = "only sums of two maps are supported (no squeeze-and-excite, no attention)"
TRANSPOSED = "use nearest upsampling and a convolution instead"
ONLY_2D = "only 2-D convolutions are supported"


@contextmanager
def reading(site: Site) -> Iterator[None]:
    """Turn whatever reading one operation raises into a refusal that names it."""
    try:
        yield
    except UnsupportedError:
        raise
    except Exception as error:  # arguments of a kind nobody thought of
        text = " ".join(str(error).split())[:200]
        raise site.refuse(
            f"has arguments that are not supported ({type(error).__name__}: {text})",
            "use plain numbers for them, and tensors of one batch",
        ) from error


def per_channel(site: Site, values: torch.Tensor, rank: int) -> torch.Tensor:
    """Return a constant as one value, or one per channel.

    Parameters
    ----------
    site : Site
    values : Tensor
        Broadcast against a tensor of ``rank`` dimensions, the channels second.
    rank : int
    """
    if values.numel() == 1:
        return values.reshape(1).double()
    shape = (1,) * (rank - values.ndim) + tuple(values.shape)
    if len(shape) != rank or any(n != 1 for axis, n in enumerate(shape) if axis != 1):
        raise site.refuse(
            f"has a constant of shape {tuple(values.shape)}", "one value per channel is supported"
        )
    return values.reshape(-1).double()


def clamp(site: Site, low: float | None, high: float | None) -> Activation:
    """Return the activation that cuts values to low..high; None or infinite is no bound."""
    low = None if low is None or low == -math.inf else float(low)
    high = None if high is None or high == math.inf else float(high)
    if low not in (None, 0.0) or (high is not None and high <= 0):
        raise site.refuse(
            f"cuts to {low}..{high}", "only 0 (or nothing) below and a positive limit are supported"
        )
    return Activation(low is not None, 0.0, high)


def leaky(site: Site, slope: float) -> Activation:
    """Return leaky ReLU."""
    if not 0 <= slope <= 1:
        raise site.refuse(f"has slope {slope}", "only slopes in 0..1 are supported")
    return Activation(True, float(slope))


def enlargement(site: Site, before: Any, after: Any) -> int:
    """Return the factor between two sizes (rows, columns): one power of two for both."""
    factor = int(after[0]) // int(before[0])
    if factor & (factor - 1) or any(
        int(b) * factor != int(c) for b, c in zip(before, after, strict=True)
    ):
        raise site.refuse(
            f"enlarges {before[0]} x {before[1]} to {after[0]} x {after[1]}",
            "only factors of 2, 4, 8, ... are supported, the same in both directions",
        )
    return factor
