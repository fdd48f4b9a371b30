"""What every code of a map offers, and fields of bits."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

Shape = tuple[int, int, int]


class MapCode(Protocol):
    """A way to store a map, with its bits counted."""

    @property
    def name(self) -> str:
        """What the code is called."""
        ...

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits, uint8 0 or 1 (n,), of one map uint8 (C, H, W)."""
        ...

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return the map uint8 that is read back of stored bits."""
        ...

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return how many bits :meth:`encode` needs for maps uint8 (B, C, H, W), one by one."""
        ...


def fields(values: np.ndarray, width: int) -> np.ndarray:
    """Return values as bits (..., width), least significant first."""
    return ((values[..., None].astype(np.int64) >> np.arange(width)) & 1).astype(np.uint8)


def numbers(bits: np.ndarray) -> np.ndarray:
    """Return the values int64 (...) of bits (..., width)."""
    return (bits.astype(np.int64) << np.arange(bits.shape[-1])).sum(-1)


def number(bits: np.ndarray) -> int:
    """Return the value of one field of bits."""
    return int(numbers(bits))


def pixels_of(a: torch.Tensor) -> np.ndarray:
    """Return a map (C, H, W) pixel by pixel, uint8 (H W, C)."""
    return a.flatten(1).T.contiguous().numpy()


def map_of(pixels: np.ndarray, shape: Shape) -> torch.Tensor:
    """Return the map (C, H, W) of pixels uint8 (H W, C)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.T)).reshape(shape)
