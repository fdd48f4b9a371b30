"""Integer weights as radix-4 digits -1, 0, 1, 2, as integer lanes take them: plain data.

The highest digit alone may also be -2. Every row of a lane is then nothing, x, 2x or ~x, which two
bits choose. A code keeps two bits per digit, the digit modulo 4, so it is as wide as the weight:
the highest digit's 2 and -2 look alike, but all below 2 is negative and nothing below -2 is.
"""

from __future__ import annotations

from functools import cache

import numpy as np


def digits(weights: np.ndarray, bits: int) -> list[np.ndarray]:
    """Return the bits / 2 digits of weights -2^(bits - 1)..2^(bits - 1) - 1, lowest first."""
    rest, found = weights, []
    for _ in range(bits // 2 - 1):
        digit = (rest + 1) % 4 - 1
        found.append(digit)
        rest = (rest - digit) // 4
    return [*found, rest]


def code_of(weights: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes of weights: their digits modulo 4, read as a two's-complement number."""
    code = np.zeros_like(weights)
    for i, digit in enumerate(digits(weights, bits)):
        code = code + (digit % 4 << 2 * i)
    half = 1 << (bits - 1)
    return (code + half) % (2 * half) - half


def inverted(weights: np.ndarray, bits: int) -> np.ndarray:
    """Return what is inverted of weights: the negative digits' sum, as a positive number.

    Where a digit is negative its row is ~x = 2^A - 1 - x, so a lane adds w x and 2^A - 1 times
    this.
    """
    total = np.zeros_like(weights)
    for i, digit in enumerate(digits(weights, bits)):
        total = total + (np.maximum(-digit, 0) << 2 * i)
    return total


@cache
def reach(bits: int) -> int:
    """Return the largest number that a lane adds, in units of 2^A - 1."""
    half = 1 << (bits - 1)
    weights = np.arange(-half, half)
    minus = inverted(weights, bits)
    return int(np.maximum(weights + minus, minus).max())
