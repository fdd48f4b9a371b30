"""The requantiser record: 128 bits per output channel in the weight stream, plain data.

Bits 0..47 bias (two's complement, everything constant folded in), then four multiplier terms of
6 bits (shift 0..3, negative 4, enable 5), then the right shift r in 6 bits; the rest is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from .config import (
    BIAS_BITS,
    MULTIPLIER_SHIFT_MAX,
    MULTIPLIER_TERMS,
    PARAMETER_BYTES,
    RIGHT_SHIFT_MAX,
)

TERM_BITS = 6
SLOPE_TERMS = 3
SLOPE_TERM_BITS = 5
RIGHT_LSB = BIAS_BITS + MULTIPLIER_TERMS * TERM_BITS
RECORD_BITS = RIGHT_LSB + 6


def pack_record(bias: int, sign: Sequence[int], shift: Sequence[int], right: int) -> bytes:
    """Return one channel's record.

    The hardware negates a term by inverting it, so the record's bias grows by one for each
    negative term; half of the last bit, 2^(right-1), is added here too.

    Parameters
    ----------
    bias : int
        Constant added to the product, before rounding.
    sign, shift : sequence of int
        Signs in {-1, 0, 1} and left shifts in 0..10 of the multiplier's terms.
    right : int
        Right shift, 0..47 bits.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    """
    if len(sign) != MULTIPLIER_TERMS or len(shift) != MULTIPLIER_TERMS:
        raise ValueError(f"a multiplier has {MULTIPLIER_TERMS} terms, not {len(sign)}")
    if not 0 <= right <= RIGHT_SHIFT_MAX:
        raise ValueError(f"right shift must be in 0..{RIGHT_SHIFT_MAX}, not {right}")
    bias += (1 << right) >> 1
    bits = 0
    for index, (s, k) in enumerate(zip(sign, shift, strict=True)):
        if s not in (-1, 0, 1) or not 0 <= k <= MULTIPLIER_SHIFT_MAX:
            raise ValueError(
                f"multiplier term must be -1, 0 or 1 times 2^0..2^{MULTIPLIER_SHIFT_MAX}, "
                f"not {s} times 2^{k}"
            )
        if s:
            bits |= (k | (s < 0) << 4 | 1 << 5) << (TERM_BITS * index)
            bias += s < 0
    if not -(1 << BIAS_BITS - 1) <= bias < 1 << BIAS_BITS - 1:
        raise ValueError(f"bias must fit {BIAS_BITS} bits with everything folded in, not {bias}")
    word = bias & ((1 << BIAS_BITS) - 1) | bits << BIAS_BITS | right << RIGHT_LSB
    return word.to_bytes(PARAMETER_BYTES, "little")


def pack_slope(slope: Sequence[tuple[int, int]]) -> int:
    """Return the descriptor's 15 bits of a leaky ReLU: up to three terms (sign, shift 0..7).

    Raises
    ------
    ValueError
        If there are more terms, or one does not fit.
    """
    if len(slope) > SLOPE_TERMS:
        raise ValueError(f"a slope has at most {SLOPE_TERMS} terms, not {len(slope)}")
    packed = 0
    for index, (sign, shift) in enumerate(slope):
        if sign not in (-1, 1) or not 0 <= shift <= 7:
            raise ValueError(
                f"slope term must be 1 or -1 times 2^0..2^7, not {sign} times 2^{shift}"
            )
        packed |= (shift | (sign < 0) << 3 | 1 << 4) << (SLOPE_TERM_BITS * index)
    return packed
