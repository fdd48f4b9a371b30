"""The weight stream bit by bit: records and blocks taken apart and put together slowly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftwork.hw.config import EngineConfig


@dataclass(frozen=True)
class Record:
    """One channel's requantiser as the hardware sees it."""

    bias: int
    terms: tuple[tuple[int, bool], ...]  # left shift and negative, of the enabled terms
    right: int

    def apply(self, acc: np.ndarray, lo: int, hi: int) -> np.ndarray:
        """Return the stored values of accumulators; a negative term is an inversion."""
        total = np.full(acc.shape, self.bias, np.int64)
        for shift, negative in self.terms:
            total += ~(acc << shift) if negative else acc << shift
        return np.clip(total >> self.right, lo, hi).astype(np.uint8)


def read_record(data: bytes) -> Record:
    """Return a record from its 16 bytes."""
    word = int.from_bytes(data, "little")
    assert word >> 78 == 0
    bias = (word & (1 << 48) - 1) - (word >> 47 & 1) * (1 << 48)
    fields = [word >> 48 + 6 * i & 63 for i in range(4)]
    terms = tuple((f & 15, bool(f & 16)) for f in fields if f & 32)
    return Record(bias, terms, word >> 72 & 63)


def block(data: bytes, config: EngineConfig) -> np.ndarray:
    """Return the codes of one block, int64 (lane_terms, cols, rows)."""
    word, bits = int.from_bytes(data, "little"), config.code_bits
    count = config.lane_terms * config.lanes
    assert word >> count * bits == 0
    raw = [word >> i * bits & (1 << bits) - 1 for i in range(count)]
    signed = [code - (code >> bits - 1 << bits) for code in raw]
    return np.array(signed).reshape(config.lane_terms, config.cols, config.rows)


def pack_block(codes: list[int], config: EngineConfig) -> bytes:
    """Return the bytes of one block of (term, column, row) codes, padded to whole beats."""
    bits = config.code_bits
    word = sum((code & (1 << bits) - 1) << i * bits for i, code in enumerate(codes))
    return word.to_bytes(config.block_beats * config.bus_bytes, "little")
