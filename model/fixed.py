"""Requantising: accumulators to stored activations by shifts and additions only.

``out = clamp((acc·m + bias + 2^(r-1)) >> r, lo, hi)`` with an arithmetic shift, so halves round
up. Per output channel m is a sum of at most four signed powers of two, so acc·m is four shifted
additions in hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from ..hw.config import BIAS_BITS, MULTIPLIER_SHIFT_MAX, MULTIPLIER_TERMS, RIGHT_SHIFT_MAX

BIAS_HEADROOM = 4  # bits kept free for the constants the compiler folds into the bias


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

    @property
    def channels(self) -> int:
        """Output channels C."""
        return self.bias.shape[0]

    @property
    def multiplier(self) -> torch.Tensor:
        """Integer multipliers m, int64 (C,)."""
        return (self.sign.long() << self.shift.long()).sum(1)

    @classmethod
    def from_real(
        cls, scale: np.ndarray, offset: np.ndarray, lo: int = 0, hi: int = 255
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
        return cls(sign, shift, bias, right, lo, hi)


def requantise(acc: torch.Tensor, rq: Requantiser) -> torch.Tensor:
    """Return ``clamp((acc·m + bias + 2^(r-1)) >> r, lo, hi)``; no 2^(r-1) where r = 0.

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
    return (total >> right).clamp(rq.lo, rq.hi).to(torch.uint8)


@cache
def _octave() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multipliers of one octave: values ascending, their signs and shifts (K, 4).

    All m whose non-adjacent form (the shortest signed one) has at most four terms, the largest
    2^MULTIPLIER_SHIFT_MAX; 2m needs as many terms as m, so one octave stands for all.
    """
    values, signs, shifts = [], [], []
    top = 1 << MULTIPLIER_SHIFT_MAX
    for value in range(2 * top // 3, 4 * top // 3 + 1):
        sign, shift, rest, position = [], [], value, 0
        while rest:
            if rest & 1:
                digit = 2 - (rest & 3)  # 1 or -1, such that the next bit becomes 0
                sign.append(digit)
                shift.append(position)
                rest -= digit
            rest >>= 1
            position += 1
        if len(sign) <= MULTIPLIER_TERMS and shift[-1] == MULTIPLIER_SHIFT_MAX:
            spare = [0] * (MULTIPLIER_TERMS - len(sign))
            values.append(value)
            signs.append(sign + spare)
            shifts.append(shift + spare)
    return np.array(values), np.array(signs, np.int8), np.array(shifts, np.uint8)


def fit_multiplier(
    scale: np.ndarray, right_max: np.ndarray | int = RIGHT_SHIFT_MAX
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the multiplier m and right shift r with m 2^-r nearest to each scale.

    m has at most four signed powers of two up to 2^MULTIPLIER_SHIFT_MAX, found by an exact search
    over all of them: within 0.6 % of any scale in 2^-36 .. 2^9. Common factors of two are taken
    out of m and r. A scale of zero gives no terms.

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
    values, signs, shifts = _octave()
    limit = np.minimum(np.asarray(right_max, np.int64), RIGHT_SHIFT_MAX)
    size = np.abs(scale)
    # size 2^right lies in [2/3, 4/3) 2^MULTIPLIER_SHIFT_MAX
    mantissa, exponent = np.frexp(size)
    right = MULTIPLIER_SHIFT_MAX - exponent.astype(np.int64) + (mantissa < 2 / 3)
    used = size > 0
    if (used & (right < 1)).any():
        raise ValueError(f"multiplier scale {size.max():g} is too large; at most 512")
    # one candidate more on either side: the last of the octave below, the first of that above
    ladder = np.concatenate([[values[-1] / 2], values, [values[0] * 2]])
    pick = np.searchsorted((ladder[1:] + ladder[:-1]) / 2, np.ldexp(size, right)) - 1
    right = right + (pick < 0) - (pick == len(values))
    pick = pick % len(values)
    sign, shift = signs[pick].copy(), shifts[pick].astype(np.int64)
    # Below right_max digits that fall under 2^0 cannot be kept: fit those by direct rounding.
    lowest = np.where(sign != 0, shift, MULTIPLIER_SHIFT_MAX).min(1)
    drop = np.minimum(lowest, right - 1)
    for channel in np.flatnonzero(used & (right - drop > limit)):
        direct = round(float(np.ldexp(size[channel], limit[channel])))
        sign[channel], shift[channel], drop[channel] = *_short_form(direct), 0
        right[channel] = limit[channel]
    shift = np.where(sign != 0, shift - drop[:, None], 0)
    sign = np.where(used[:, None], sign * np.where(scale < 0, -1, 1)[:, None], 0)
    shift, right = np.where(sign != 0, shift, 0), np.where(used, right - drop, 1)
    return (
        torch.from_numpy(sign.astype(np.int8)),
        torch.from_numpy(shift.astype(np.uint8)),
        torch.from_numpy(right.astype(np.uint8)),
    )


def _short_form(value: int) -> tuple[np.ndarray, np.ndarray]:
    """Return signs and shifts of the four largest terms of a small value's signed form."""
    sign, shift = np.zeros(MULTIPLIER_TERMS, np.int8), np.zeros(MULTIPLIER_TERMS, np.int64)
    for term in range(MULTIPLIER_TERMS):
        if not value:
            break
        power = abs(value).bit_length() - 1
        power += 2 * abs(value) > 3 << power
        sign[term], shift[term] = (1 if value > 0 else -1), power
        value -= int(sign[term]) << power
    return sign, shift
