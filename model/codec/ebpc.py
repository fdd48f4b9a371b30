"""Extended bit-plane compression: what the paper's description gives, without its code.

Cavigelli, Rutishauser and Benini, arXiv 1908.11645: a map becomes two streams. One says which
values are 0: a bit 1 for a value that is not, a bit 0 and a 4-bit length for a run of up to 16
zeros. The other holds the values that are not 0, eight to a block, by bit-plane compression (Kim
et al., ISCA 2016): the first value; the seven differences as nine bit planes (two's complement),
the planes XORed with their upper neighbour (DBX), and each plane as a symbol:

===========================================  =======================
zero planes, a run of 2 to 9                 01, run less 2 in 3 bits
one zero plane                               001
all ones                                     00000
not zero, but the plane before the XOR is    00001
two ones side by side                        00010, place in 3 bits
a single one                                 00011, place in 3 bits
anything else                                1, the 7 bits
===========================================  =======================

Maps are read channel by channel, row by row. Bits are counted without the padding of the two
streams to words; the last block is filled up with its last value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .streams import Shape, fields, number

BLOCK = 8  # values
PLANES = 9  # of a difference of two 8-bit values
WIDTH = BLOCK - 1  # bits of a plane
FULL = (1 << WIDTH) - 1
RUN_MAX = 16
RUN_BITS = 4
PAIRS = tuple(3 << place for place in range(WIDTH - 1))
SINGLES = tuple(1 << place for place in range(WIDTH))
LONG, SHORT = 8, 5  # bits of a symbol with a place or the plane, and of one without


@dataclass(frozen=True, eq=False)
class Ebpc:
    """Extended bit-plane compression of 8-bit maps, lossless."""

    name: str = "EBPC"

    def encode(self, a: torch.Tensor) -> np.ndarray:
        """Return the stored bits of one map: the stream of zeros, then the other."""
        flat = a.flatten().numpy()
        bits: list[int] = []
        at = 0
        while at < len(flat):
            if flat[at]:
                bits.append(1)
                at += 1
                continue
            run = 1
            while run < RUN_MAX and at + run < len(flat) and not flat[at + run]:
                run += 1
            bits += [0, *_field(run - 1, RUN_BITS)]
            at += run
        first, dbx, dbp = _planes(flat[flat != 0])
        for value, xored, plain in zip(first, dbx, dbp, strict=True):
            bits += [*_field(int(value), 8), *_symbols(xored, plain)]
        return np.array(bits, np.uint8)

    def decode(self, bits: np.ndarray, shape: Shape) -> torch.Tensor:
        """Return the map again."""
        flat = np.zeros(shape[0] * shape[1] * shape[2], np.uint8)
        used = []
        at = index = 0
        while index < len(flat):
            if bits[at]:
                used.append(index)
                index, at = index + 1, at + 1
            else:
                index += number(bits[at + 1 : at + 1 + RUN_BITS]) + 1
                at += 1 + RUN_BITS
        values: list[int] = []
        while len(values) < len(used):
            value = number(bits[at : at + 8])
            planes, at = _read_planes(bits, at + 8)
            values += _values(value, planes)
        flat[used] = values[: len(used)]
        return torch.from_numpy(flat).reshape(shape)

    def stored_bits(self, a: torch.Tensor) -> int:
        """Return the bits of all maps."""
        return sum(_zero_bits(part) + _value_bits(part[part != 0]) for part in a.flatten(1).numpy())


def _field(value: int, width: int) -> list[int]:
    return [int(bit) for bit in fields(np.array(value), width)]


def _planes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each block's first value, its DBX planes and its DBP planes, upper plane first."""
    spare = -len(values) % BLOCK
    if spare:
        values = np.concatenate([values, np.repeat(values[-1:], spare)])
    blocks = values.astype(np.int64).reshape(-1, BLOCK)
    deltas = np.diff(blocks, axis=1) & ((1 << PLANES) - 1)
    lanes = 1 << np.arange(WIDTH)
    orders = np.arange(PLANES - 1, -1, -1)
    dbp = (((deltas[:, None, :] >> orders[:, None]) & 1) * lanes).sum(2)
    dbx = dbp.copy()
    dbx[:, 1:] ^= dbp[:, :-1]
    return blocks[:, 0], dbx, dbp


def _symbols(dbx: np.ndarray, dbp: np.ndarray) -> list[int]:
    """Return the symbols of one block's planes."""
    bits: list[int] = []
    at = 0
    while at < PLANES:
        plane = int(dbx[at])
        run = 1
        if plane == 0:
            while at + run < PLANES and dbx[at + run] == 0:
                run += 1
            bits += [0, 0, 1] if run == 1 else [0, 1, *_field(run - 2, 3)]
        elif plane == FULL:
            bits += [0, 0, 0, 0, 0]
        elif dbp[at] == 0:
            bits += [0, 0, 0, 0, 1]
        elif plane in PAIRS:
            bits += [0, 0, 0, 1, 0, *_field(PAIRS.index(plane), 3)]
        elif plane in SINGLES:
            bits += [0, 0, 0, 1, 1, *_field(SINGLES.index(plane), 3)]
        else:
            bits += [1, *_field(plane, WIDTH)]
        at += run
    return bits


def _read_planes(bits: np.ndarray, at: int) -> tuple[list[int], int]:
    """Return one block's DBP planes, upper first, and where the next block begins."""
    planes: list[int] = []
    while len(planes) < PLANES:
        above = planes[-1] if planes else 0
        if bits[at]:
            planes.append(above ^ number(bits[at + 1 : at + 1 + WIDTH]))
            at += LONG
        elif bits[at + 1]:
            planes += [above] * (number(bits[at + 2 : at + 5]) + 2)
            at += SHORT
        elif bits[at + 2]:
            planes.append(above)
            at += 3
        elif bits[at + 3]:
            table = SINGLES if bits[at + 4] else PAIRS
            planes.append(above ^ table[number(bits[at + 5 : at + 8])])
            at += LONG
        else:
            planes.append(0 if bits[at + 4] else above ^ FULL)
            at += SHORT
    return planes, at


def _values(first: int, planes: list[int]) -> list[int]:
    """Return the eight values of a block."""
    values = [first]
    for lane in range(WIDTH):
        delta = 0
        for plane in planes:
            delta = delta << 1 | plane >> lane & 1
        values.append(values[-1] + delta - (delta >> (PLANES - 1) << PLANES))
    return values


def _zero_bits(flat: np.ndarray) -> int:
    """Return the bits of the stream of zeros."""
    used = np.flatnonzero(flat)
    gaps = np.diff(used, prepend=-1, append=len(flat)) - 1
    return len(used) + (1 + RUN_BITS) * int((-(-gaps // RUN_MAX)).sum())


def _value_bits(values: np.ndarray) -> int:
    """Return the bits of the stream of values that are not 0."""
    if not len(values):
        return 0
    first, dbx, dbp = _planes(values)
    zero = dbx == 0
    begins = zero.copy()
    begins[:, 1:] &= ~zero[:, :-1]
    longer = np.zeros_like(zero)  # runs of two or more begin here
    longer[:, :-1] = begins[:, :-1] & zero[:, 1:]
    short = ~zero & ((dbx == FULL) | (dbp == 0))
    return int(
        8 * len(first)
        + 3 * (begins & ~longer).sum()
        + SHORT * (longer.sum() + short.sum())
        + LONG * (~zero & ~short).sum()
    )
