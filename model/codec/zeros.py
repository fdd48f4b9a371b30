"""Codes that store zeros in fewer bits, so that their rate depends on the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .fixed_rate import ROWS
from .streams import Shape, fields, map_of, number, numbers, pixels_of
from .table import TableCode

RUN_BITS = 5  # of a zero run's length


@dataclass(frozen=True, eq=False)
class ZeroMask:
    """Zero-value compression (ZVC): one bit per value says whether it is 0, then the others.

    Word by word of ``rows`` channels of a pixel: a mask, then the values that are not 0 in the
    order of the channels. With a table the k-bit codes are stored so, and code 0 is the zero.

    Attributes
    ----------
    table : TableCode or None
        None stores the values themselves: lossless.
    """

    table: TableCode | None = None
    rows: int = ROWS
    name: str = "ZVC"

    @property
    def width(self) -> int:
        """Bits of a value that is not 0."""
        return self.table.bits if self.table else 8

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits of one map."""
        codes = pixels_of(self.table.encode(a[None])[0] if self.table else a)
        parts = []
        for pixel in codes:
            for start in range(0, len(pixel), self.rows):
                word = pixel[start : start + self.rows]
                parts.append((word != 0).astype(np.uint8))
                parts.append(fields(word[word != 0], self.width).reshape(-1))
        return np.concatenate(parts)

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return what is read back."""
        channels, height, width = shape
        codes = np.zeros((height * width, channels), np.uint8)
        at = 0
        for pixel in codes:
            for start in range(0, channels, self.rows):
                word = pixel[start : start + self.rows]  # a view: filled in place
                used = bits[at : at + len(word)] != 0
                at += len(word)
                end = at + int(used.sum()) * self.width
                word[used] = numbers(bits[at:end].reshape(-1, self.width))
                at = end
        whole = map_of(codes, shape)
        return self.table.decode(whole[None])[0] if self.table else whole

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return the bits of all maps, the masks counted."""
        codes = self.table.encode(a) if self.table else a
        return codes.numel() + self.width * int((codes != 0).sum())


@dataclass(frozen=True, eq=False)
class ZeroRun:
    """Zero run-length: channel by channel, row by row, pairs of a count of zeros and a value.

    A pair is the number of zeros before (5 bits) and the value (8 bits); a run that is too long
    ends in a value 0, and so does a run at the end.
    """

    name: str = "zero run-length"

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits of one map."""
        flat = a.flatten().numpy()
        parts = []
        run = 0
        for index, value in enumerate(flat):
            if value or run == (1 << RUN_BITS) - 1 or index + 1 == len(flat):
                parts.append(fields(np.array(run), RUN_BITS))
                parts.append(fields(value, 8))
                run = 0
            else:
                run += 1
        return np.concatenate(parts)

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return the map again."""
        flat: list[int] = []
        for pair in bits.reshape(-1, RUN_BITS + 8):
            flat += [0] * number(pair[:RUN_BITS]) + [number(pair[RUN_BITS:])]
        return torch.tensor(flat, dtype=torch.uint8).reshape(shape)

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return the bits of all maps."""
        longest = 1 << RUN_BITS  # values that a pair stands for at most
        pairs = 0
        for part in a.flatten(1).numpy():
            used = np.flatnonzero(part)
            gaps = np.diff(used, prepend=-1) - 1
            tail = len(part) - (int(used[-1]) + 1 if len(used) else 0)
            pairs += int((gaps // longest + 1).sum()) + -(-tail // longest)
        return pairs * (RUN_BITS + 8)
