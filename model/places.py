"""Where a tensor lies in memory, and what is there of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .codec.table import TableCode

OPEN = -1  # a byte that may be anything


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: planes of ``rows`` channels, a word of ``word_bytes`` per pixel.

    A word has a byte for each channel, or where the tensor is coded, the planes of their codes
    one after another. Without zeros a plane is room for all words, of which segment by segment the
    first bytes are used, and the masks behind it. See `hw.codec.layout`.

    Attributes
    ----------
    address : int
        Byte address of plane 0.
    plane_stride : int
        Bytes from plane to plane.
    planes : int
        Planes the tensor spans, holes of a concatenation included.
    slots : ndarray int (C,)
        Channel c lies in plane slots[c] // rows, lane slots[c] % rows.
    height, width : int
    rows, word_bytes : int
    code : TableCode, optional
        What is stored are its codes.
    segment : int
        Pixels of a segment where the tensor is stored without zeros, else 0.
    """

    address: int
    plane_stride: int
    planes: int
    slots: np.ndarray
    height: int
    width: int
    rows: int
    word_bytes: int
    code: TableCode | None = None
    segment: int = 0

    @property
    def size(self) -> int:
        """Bytes spanned."""
        return self.planes * self.plane_stride

    @property
    def mask_bytes(self) -> int:
        """Bytes of a pixel's mask, where the tensor is stored without zeros."""
        return -(-self.rows // 8)

    @property
    def masks(self) -> int:
        """Byte address of the first pixel's mask, where the tensor is stored without zeros."""
        return self.address + self.height * self.width * self.word_bytes

    def mask_of(self, address: int) -> int:
        """Return the address of the mask of the pixel that has its room at an address."""
        plane, pixel = divmod(address - self.address, self.plane_stride)
        return self.masks + plane * self.plane_stride + pixel // self.word_bytes * self.mask_bytes

    def spans(self, plane: int, first: int, words: int) -> list[tuple[int, int]]:
        """Return (address, bytes) of all that some words of a plane may touch."""
        plane *= self.plane_stride
        size = self.word_bytes
        found = [(self.address + plane + first * size, words * size)]
        if self.segment:
            size = self.mask_bytes
            found.append((self.masks + plane + first * size, words * size))
        return found

    def offsets(self) -> np.ndarray:
        """Return the byte address of every value, int64 (C, H, W); of a code's lowest bit.

        Not of a tensor that is stored without zeros.
        """
        lane = self.slots % self.rows
        channel = self.slots // self.rows * self.plane_stride + lane // (8 if self.code else 1)
        pixel = np.arange(self.height * self.width) * self.word_bytes
        flat = self.address + channel[:, None] + pixel[None, :]
        return flat.reshape(len(self.slots), self.height, self.width)

    def contents(self, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the bytes that an engine writes of a tensor.

        Lanes that a concatenation leaves open are written too, by layers that keep channels
        apart. A coded word has all lanes: the code of one without a channel is the highest.

        Parameters
        ----------
        x : ndarray uint8 (C, H, W), optional
            The values; every byte is open without them.

        Returns
        -------
        addresses : ndarray int64 (N,)
        values : ndarray int16 (N,)
            `OPEN` where a byte may be anything.
        """
        pixels = self.height * self.width
        if self.segment:
            return self._without_zeros(x)
        if self.code is None:
            lanes = np.arange(int(self.slots.max()) + 1)
            addresses = replace(self, slots=lanes).offsets()
            values = np.full(addresses.shape, OPEN, np.int16)
            if x is not None:
                values[self.slots] = x
            return addresses.ravel(), values.ravel()
        plane = self.address + np.arange(self.planes)[:, None, None] * self.plane_stride
        word = np.arange(pixels)[:, None] * self.word_bytes + np.arange(self.word_bytes)
        addresses = (plane + word).ravel()
        if x is None:
            return addresses, np.full(addresses.shape, OPEN, np.int16)
        codes = np.full((self.planes * self.rows, pixels), (1 << self.code.bits) - 1, np.uint8)
        codes[self.slots] = (
            self.code.encode(torch.from_numpy(x)[None])[0].numpy().reshape(-1, pixels)
        )
        bits = (
            codes.reshape(self.planes, self.rows, pixels)[:, None]
            >> np.arange(self.code.bits, dtype=np.uint8)[:, None, None]
        )
        bits = (bits & 1).reshape(self.planes, -1, pixels)  # plane after plane of all lanes
        return addresses, np.packbits(bits, 1, "little").transpose(0, 2, 1).ravel().astype(np.int16)

    def values(self, memory: np.ndarray) -> np.ndarray:
        """Return the tensor, uint8 (C, H, W), from memory, uint8 (bytes,) from address 0 on."""
        if self.segment:
            return self._with_zeros(memory)
        if self.code is None:
            return memory[self.offsets()]
        pixels = self.height * self.width
        stored = memory[self.contents(None)[0]].reshape(self.planes, pixels, self.word_bytes)
        bits = np.unpackbits(stored, 2, bitorder="little")[:, :, : self.code.bits * self.rows]
        bits = bits.reshape(self.planes, pixels, self.code.bits, self.rows)
        codes = (bits << np.arange(self.code.bits, dtype=np.uint8)[:, None]).sum(2, dtype=np.uint8)
        codes = codes.transpose(0, 2, 1).reshape(-1, pixels)[self.slots]
        found = self.code.decode(torch.from_numpy(np.ascontiguousarray(codes))[None])[0]
        return found.numpy().reshape(-1, self.height, self.width)

    def words(self, x: np.ndarray) -> np.ndarray:
        """Return values uint8 (C, H, W) as uint8 (planes, pixels, rows), 0 in open lanes."""
        lanes = np.zeros((self.planes * self.rows, x.shape[1] * x.shape[2]), np.uint8)
        lanes[self.slots] = x.reshape(len(x), -1)
        return lanes.reshape(self.planes, self.rows, -1).transpose(0, 2, 1)

    def _without_zeros(self, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        pixels = self.height * self.width
        plane = self.address + np.arange(self.planes) * self.plane_stride
        masks = plane[:, None] + pixels * self.word_bytes + np.arange(pixels * self.mask_bytes)
        if x is None:
            addresses = np.r_[(plane[:, None] + np.arange(pixels * self.word_bytes)).ravel(),
                              masks.ravel()]  # fmt: skip
            return addresses, np.full(addresses.shape, OPEN, np.int16)
        words = self.words(x)
        used = words != 0
        at = self._positions(used) + np.repeat(plane, used.sum((1, 2)))
        stored = np.packbits(used, 2, "little")
        return np.r_[at, masks.ravel()], np.r_[words[used], stored.ravel()].astype(np.int16)

    def _with_zeros(self, memory: np.ndarray) -> np.ndarray:
        pixels = self.height * self.width
        plane = self.address + np.arange(self.planes) * self.plane_stride
        masks = plane[:, None] + pixels * self.word_bytes + np.arange(pixels * self.mask_bytes)
        stored = memory[masks].reshape(self.planes, pixels, self.mask_bytes)
        used = np.unpackbits(stored, 2, bitorder="little")[:, :, : self.rows] != 0
        words = np.zeros(used.shape, np.uint8)
        words[used] = memory[self._positions(used) + np.repeat(plane, used.sum((1, 2)))]
        found = words.transpose(0, 2, 1).reshape(-1, self.height, self.width)
        return found[self.slots]

    def _positions(self, used: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return where in its plane each value of ``used`` (planes, pixels, rows) lies."""
        planes, pixels, _ = used.shape
        number = used.reshape(planes, -1).cumsum(1).reshape(used.shape) - 1  # in its plane
        start = np.arange(pixels) // self.segment * self.segment
        before = np.pad(used.sum(2).cumsum(1), ((0, 0), (1, 0)))[:, start]
        return (number - before[:, :, None] + (start * self.word_bytes)[:, None])[used]

    def channel(self, plane: int, byte: int) -> int | None:
        """Return a channel of a byte of a word: its first, or of a coded word the plane's."""
        lane = byte if self.code is None else byte * 8 % self.rows
        found = np.flatnonzero(self.slots == plane * self.rows + lane)
        if not len(found) and self.code is not None:
            found = np.flatnonzero(self.slots // self.rows == plane)
        return int(found[0]) if len(found) else None
