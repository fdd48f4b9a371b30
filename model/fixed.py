"""Requantising: accumulators to stored activations by shifts and additions only.

``out = clamp((acc·m + bias + 2^(r-1)) >> r, lo, hi)`` with an arithmetic shift, so halves round
up. Per output channel m is a sum of at most four signed powers of two, so acc·m is four shifted
additions in hardware.

Leaky ReLU bends the result at the output's zero point z, with slope k / 128 where k is a sum of
at most three signed powers of two: v = (acc·m + bias + 2^(r-1)) >> r is clamped to z - 2048 ..
z + 2047; where v < z it becomes ``z - (((z - v)·k + 64) >> 7)``; then the clamp to lo, hi as ever.
Plain ReLU is lo = z, ReLU6 is hi = z + 6 / step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import torch

from ..hw.config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, MULTIPLIER_TERMS, RIGHT_SHIFT_MAX

SCALE_MAX = 512.0  # largest factor a multiplier can stand for
SLOPE_BITS = 7  # slopes are multiples of 2^-7
SLOPE_TERMS = 3  # signed powers of two in a slope
SLOPE_REACH = 2048  # stored values on either side of zero that a slope can tell apart
# Bits kept free in the bias for what the compiler folds into it: half of the last bit (below 2^46)
# and m times an accumulator that depends on the layer alone, not on the engine's codebook.
BIAS_HEADROOM = 4


@dataclass(frozen=True, eq=False)
class Requantiser:
    """Per-channel parameters of one layer's requantisation.

    Attributes
    ----------
    sign : Tensor int8 (C, 4)
        Sign of each multiplier term, 0 where unused.
    shift : Tensor uint8 (C, 4)
        Left shift of each multiplier term, in bits, 0..MULTIPLIER_SHIFT_MAX; 0 where unused.
    bias : Tensor int64 (C,)
        Added after the multiplication; without the rounding constant 2^(r-1).
    right : Tensor uint8 (C,)
        r, arithmetic right shift in bits, 0..RIGHT_SHIFT_MAX.
    lo, hi : int
        Clamp of the stored value, 0..255.
    slope : tuple of (sign, shift)
        Leaky ReLU: up to three terms, sign 1 or -1, shift 0..7; values below ``zero`` are
        multiplied by k / 128, k = the sum of sign·2^shift, 0..128. Empty: no bend.
    zero : int
        The output's zero point, where the slope bends; not used without a slope.

    Raises
    ------
    ValueError
        If a field has the wrong type, shape or range; the message names it.
    """

    sign: torch.Tensor
    shift: torch.Tensor
    bias: torch.Tensor
    right: torch.Tensor
    lo: int = 0
    hi: int = 255
    slope: tuple[tuple[int, int], ...] = ()
    zero: int = 0

    def __post_init__(self) -> None:
        channels = self.bias.shape[0] if self.bias.ndim == 1 else -1
        half = 1 << (BIAS_BITS - 1)
        for name, tensor, dtype, shape, low, high in (
            ("bias", self.bias, torch.int64, (channels,), -half, half - 1),
            ("sign", self.sign, torch.int8, (channels, MULTIPLIER_TERMS), -1, 1),
            ("shift", self.shift, torch.uint8, (channels, MULTIPLIER_TERMS), 0,
             MULTIPLIER_SHIFT_MAX),
            ("right", self.right, torch.uint8, (channels,), 0, RIGHT_SHIFT_MAX),
        ):  # fmt: skip
            if tensor.dtype != dtype or tuple(tensor.shape) != shape:
                raise ValueError(
                    f"{name} must be {dtype} {shape}, not {tensor.dtype} {tuple(tensor.shape)}"
                )
            if tensor.numel() and not low <= int(tensor.min()) <= int(tensor.max()) <= high:
                raise ValueError(
                    f"{name} must be in {low}..{high}, not {int(tensor.min())}..{int(tensor.max())}"
                )
        if not 0 <= self.lo <= self.hi <= 255:
            raise ValueError(f"clamp needs 0 <= lo <= hi <= 255, not {self.lo}, {self.hi}")
        fits = all(sign in (-1, 1) and 0 <= shift <= SLOPE_BITS for sign, shift in self.slope)
        if len(self.slope) > SLOPE_TERMS or not fits or not 0 <= self.slope_factor <= 128:
            raise ValueError(
                f"slope must be up to {SLOPE_TERMS} terms (1 or -1, 0..{SLOPE_BITS}) that add up "
                f"to 0..128, not {self.slope}"
            )
        if not 0 <= self.zero <= 255:
            raise ValueError(f"zero must be in 0..255, not {self.zero}")

    @property
    def channels(self) -> int:
        """Output channels C."""
        return self.bias.shape[0]

    @property
    def multiplier(self) -> torch.Tensor:
        """Integer multipliers m, int64 (C,)."""
        return (self.sign.long() << self.shift.long()).sum(1)

    @property
    def slope_factor(self) -> int:
        """k: values below zero are multiplied by k / 128 where there is a slope."""
        return sum(sign << shift for sign, shift in self.slope)

    @classmethod
    def from_real(
        cls,
        scale: np.ndarray,
        offset: np.ndarray,
        lo: int = 0,
        hi: int = 255,
        slope: tuple[tuple[int, int], ...] = (),
        zero: int = 0,
    ) -> Requantiser:
        """Return the requantiser nearest to ``out = acc x scale + offset``.

        Parameters
        ----------
        scale : ndarray float64 (C,)
            Stored output units per accumulator unit.
        offset : ndarray float64 (C,)
            Stored output units, zero point included.

        Raises
        ------
        ValueError
            If a scale or offset is not finite or is too large for the hardware's fields.
        """
        scale, offset = np.broadcast_arrays(
            np.asarray(scale, np.float64), np.asarray(offset, np.float64)
        )
        if not np.isfinite(offset).all():
            raise ValueError("requantiser offset must be finite")
        # |offset| 2^r < 2^(BIAS_BITS - 1 - BIAS_HEADROOM)
        room = BIAS_BITS - 1 - BIAS_HEADROOM - np.frexp(offset)[1]
        if (room < 1).any():
            raise ValueError(f"requantiser offset {np.abs(offset).max():g} is too large")
        sign, shift, right = fit_multiplier(scale, right_max=np.minimum(room, RIGHT_SHIFT_MAX))
        bias = torch.from_numpy(np.rint(np.ldexp(offset, right.numpy().astype(int))).astype("i8"))
        return cls(sign, shift, bias, right, lo, hi, slope, zero)


def requantise(acc: torch.Tensor, rq: Requantiser) -> torch.Tensor:
    """Return ``clamp(bend((acc·m + bias + 2^(r-1)) >> r), lo, hi)``; no 2^(r-1) where r = 0.

    ``bend`` is the leaky ReLU of a requantiser with a slope; see the top of this file.

    Parameters
    ----------
    acc : Tensor int64 (B, C, H, W)
        Accumulators, |acc| < 2^48.
    rq : Requantiser
        For C channels.

    Returns
    -------
    Tensor uint8 (B, C, H, W)

    Raises
    ------
    ValueError
        If ``acc`` is not int64 or has another number of channels.
    """
    if acc.dtype != torch.int64:
        raise ValueError(f"accumulators must be int64, not {acc.dtype}")
    if acc.ndim != 4 or acc.shape[1] != rq.channels:
        raise ValueError(f"accumulators must be (B, {rq.channels}, H, W), not {tuple(acc.shape)}")
    right = rq.right.long().view(1, -1, 1, 1)
    half = (torch.ones_like(right) << right) >> 1
    total = acc * rq.multiplier.view(1, -1, 1, 1) + rq.bias.view(1, -1, 1, 1) + half
    value = total >> right
    if rq.slope:
        value = value.clamp(rq.zero - SLOPE_REACH, rq.zero + SLOPE_REACH - 1)
        below = rq.zero - (((rq.zero - value) * rq.slope_factor + 64) >> SLOPE_BITS)
        value = torch.where(value < rq.zero, below, value)
    return value.clamp(rq.lo, rq.hi).to(torch.uint8)


@cache
def fit_slope(slope: float) -> tuple[tuple[int, int], ...]:
    """Return the fewest terms (sign, shift) that make k with k / 128 nearest to a slope.

    Raises
    ------
    ValueError
        If the slope is not in 0..1.
    """
    if not 0.0 <= slope <= 1.0:
        raise ValueError(f"the slope of a leaky ReLU must be in 0..1, not {slope!r}")
    powers = [(sign, shift) for shift in range(SLOPE_BITS, -1, -1) for sign in (1, -1)]
    choices: list[tuple[float, int, tuple[tuple[int, int], ...]]] = []
    for terms in range(1, SLOPE_TERMS + 1):
        for choice in combinations_with_replacement(powers, terms):
            k = sum(sign << shift for sign, shift in choice)
            if 0 <= k <= 1 << SLOPE_BITS:
                choices.append((abs(k - slope * (1 << SLOPE_BITS)), terms, choice))
    return min(choices)[2]


@cache
def _candidates() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return every multiplier the hardware can form, one of each m, 2m, 4m, ...: the smallest.

    Returns
    -------
    values, widths : ndarray int64 (K,)
        m and its bit length, by ascending m 2^-width, which is in [0.5, 1).
    signs : ndarray int8 (K, 4)
    shifts : ndarray int64 (K, 4)
        Of the shortest sum of signed powers that makes m.
    """
    powers = [(sign, shift) for shift in range(MULTIPLIER_SHIFT_MAX + 1) for sign in (1, -1)]
    shortest: dict[float, tuple[int, tuple[tuple[int, int], ...]]] = {}
    for terms in range(1, MULTIPLIER_TERMS + 1):
        for choice in combinations_with_replacement(powers, terms):
            value = sum(sign << shift for sign, shift in choice)
            if value > 0:
                key = math.frexp(value)[0]
                if key not in shortest or (
                    value < shortest[key][0] and len(shortest[key][1]) == terms
                ):
                    shortest[key] = (value, choice)
    ordered = [shortest[key] for key in sorted(shortest)]
    padded = [choice + ((0, 0),) * (MULTIPLIER_TERMS - len(choice)) for _, choice in ordered]
    table = np.array(padded)
    values = np.array([value for value, _ in ordered])
    return values, np.frexp(values)[1].astype(np.int64), table[..., 0], table[..., 1]


def fit_multiplier(
    scale: np.ndarray, right_max: np.ndarray | int = RIGHT_SHIFT_MAX
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the multiplier m and right shift r with m 2^-r nearest to each scale.

    m has at most four signed powers of two up to 2^MULTIPLIER_SHIFT_MAX, found by an exact search
    over all of them: within 0.6 % of any scale in 2^-36 .. 2^9. A scale of zero gives no terms.

    Parameters
    ----------
    scale : ndarray float64 (C,)
        Real factors, of either sign.
    right_max : ndarray int (C,) or int
        Largest right shift, at most RIGHT_SHIFT_MAX; a smaller one costs precision only where
        the scale is small.

    Returns
    -------
    sign : Tensor int8 (C, 4)
    shift : Tensor uint8 (C, 4)
    right : Tensor uint8 (C,), 1..RIGHT_SHIFT_MAX

    Raises
    ------
    ValueError
        If a scale is not finite or above 2^9.
    """
    scale = np.asarray(scale, np.float64)
    if scale.ndim != 1 or not np.isfinite(scale).all():
        raise ValueError("multiplier scales must be a vector of finite numbers")
    size = np.abs(scale)
    if (size > SCALE_MAX).any():
        raise ValueError(f"multiplier scale {size.max():g} is too large; at most {SCALE_MAX:g}")
    values, widths, signs, shifts = _candidates()
    mantissa, exponent = np.frexp(size)
    # one more on either side: the last candidate of the octave below, the first of that above
    ladder = np.ldexp(values, -widths)
    ladder = np.concatenate([[ladder[-1] / 2], ladder, [1.0]])
    pick = np.searchsorted((ladder[1:] + ladder[:-1]) / 2, mantissa) - 1
    octave = exponent.astype(np.int64) - (pick < 0) + (pick == len(values))
    pick = pick % len(values)
    sign, shift, right = signs[pick], shifts[pick], widths[pick] - octave
    up = np.maximum(1 - right, 0)  # r is at least 1
    shift, right = shift + up[:, None], right + up
    limit = np.broadcast_to(np.minimum(right_max, RIGHT_SHIFT_MAX), size.shape)
    beyond = np.flatnonzero((size > 0) & (right > limit))  # digits below 2^-limit cannot be kept
    small = np.rint(np.ldexp(size[beyond], limit[beyond].astype(np.int32)))
    sign[beyond], shift[beyond] = _short_form(small.astype(np.int64))
    # without terms only the offset is left, which needs no more digits than these
    right[beyond] = np.where(small > 0, limit[beyond], np.minimum(limit[beyond], 16))
    sign = np.where(size[:, None] > 0, sign * np.where(scale < 0, -1, 1)[:, None], 0)
    shift, right = np.where(sign != 0, shift, 0), np.where(size > 0, right, 1)
    return (
        torch.from_numpy(sign.astype(np.int8)),
        torch.from_numpy(shift.astype(np.uint8)),
        torch.from_numpy(right.astype(np.uint8)),
    )


def _short_form(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return signs and shifts (K, 4) of the terms of small values int64 (K,), largest first.

    At most four terms: each takes away the nearest power of two, a tie the smaller one.
    """
    sign = np.zeros((len(value), MULTIPLIER_TERMS), np.int64)
    shift = np.zeros_like(sign)
    for term in range(MULTIPLIER_TERMS):
        power = np.maximum(np.frexp(np.abs(value).astype(np.float64))[1] - 1, 0).astype(np.int64)
        power += 2 * np.abs(value) > np.int64(3) << power
        power = np.minimum(power, MULTIPLIER_SHIFT_MAX)
        sign[:, term] = np.sign(value)
        shift[:, term] = np.where(value != 0, power, 0)
        value = value - (np.sign(value) << power)
    return sign, shift
