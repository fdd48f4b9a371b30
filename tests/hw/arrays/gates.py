"""The gates of array circuits, on arrays of bits in place of signals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

Bits = np.ndarray  # bool


class Evaluator:
    """Stands for `Cells`: computes what each gate gives, and counts the gates."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def full_adder(self, a: Bits, b: Bits, c: Bits) -> tuple[Bits, Bits]:
        self.count["full_adder"] += 1
        return a ^ b ^ c, (a & b) | (b & c) | (a & c)

    def half_adder(self, a: Bits, b: Bits) -> tuple[Bits, Bits]:
        self.count["half_adder"] += 1
        return a ^ b, a & b

    def mux(self, s: Bits, low: Bits, high: Bits) -> Bits:
        self.count["mux"] += 1
        return ~np.where(s, high, low)

    def choose(self, a: Bits, b: Bits, c: Bits, d: Bits) -> Bits:
        self.count["choose"] += 1
        return ~((a & b) | (c & d))

    def nor(self, a: Bits, b: Bits) -> Bits:
        self.count["nor"] += 1
        return ~(a | b)

    def nand(self, a: Bits, b: Bits) -> Bits:
        self.count["nand"] += 1
        return ~(a & b)


def to_bits(values: Any, width: int) -> list[Bits]:
    """Return the bits of numbers, lowest first, each an array of their shape."""
    return [(np.asarray(values) >> i & 1).astype(bool) for i in range(width)]


def from_bits(bits: list[Bits]) -> np.ndarray:
    """Return the numbers again."""
    return sum(np.asarray(bit).astype(np.int64) << i for i, bit in enumerate(bits))  # type: ignore[return-value]
