"""Codes of fixed rate: every word has the same bits, known when the program is compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .planes import pack_words, unpack_words
from .streams import Shape, map_of, pixels_of
from .table import TableCode

ROWS = 16  # channels of a stored word


@dataclass(frozen=True, eq=False)
class Raw:
    """8 bits per value, as they are."""

    rows: int = ROWS
    name: str = "raw"

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits of one map."""
        return pack_words(pixels_of(a), 8, self.rows).reshape(-1)

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return the map again."""
        return map_of(_codes(bits, 8, self.rows, shape), shape)

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return the bits of all maps."""
        return 8 * _slots(a, self.rows)


@dataclass(frozen=True, eq=False)
class FixedTable:
    """k bits per value, by a table code."""

    table: TableCode
    rows: int = ROWS
    name: str = "table"

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits of one map."""
        codes = self.table.encode(a[None])[0]
        return pack_words(pixels_of(codes), self.table.bits, self.rows).reshape(-1)

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return what is read back."""
        codes = map_of(_codes(bits, self.table.bits, self.rows, shape), shape)
        return self.table.decode(codes[None])[0]

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return the bits of all maps."""
        return self.table.bits * _slots(a, self.rows)


def _slots(a: torch.Tensor, rows: int) -> int:
    """Return the values of maps (B, C, H, W) with each pixel's last word filled up."""
    batch, channels, height, width = a.shape
    return batch * height * width * -(-channels // rows) * rows


def _codes(bits: np.ndarray, width: int, rows: int, shape: Shape) -> np.ndarray:
    channels, height, columns = shape
    words = bits.reshape(height * columns, -(-channels // rows), width * rows)
    return unpack_words(words, width, channels)
