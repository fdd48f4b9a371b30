"""Activation quantisers of the user's model: the grid they give, and what they cut off."""

from __future__ import annotations

import math

import torch

from .ops import Activate, Activation, Affine, Op, Quantiser

LEVELS = 256  # of a stored activation, 8 bits
NARROW = 128  # quantisers of at most so many levels cut off what 8 bits would hold


def as_ops(op: Quantiser, negative: bool) -> tuple[list[Op], Op | None]:
    """Return the operations before and behind the stored tensor that cut as a quantiser does.

    A quantiser of zero point and few levels, low..high steps with low < 0, becomes
    ``relu(x - low)`` with a ceiling, stored, and ``+ low`` behind it: engines cut at 0.

    Parameters
    ----------
    op : Quantiser
    negative : bool
        Whether its input may be negative.
    """
    low, high = op.low * op.step, op.high * op.step
    narrow = op.high - op.low < NARROW
    if narrow and negative and op.low < 0:
        cut = Activate(op.site, op.inputs, op.output, Activation(True, ceiling=high - low))
        return [_shifted(op, -low), cut], _shifted(op, low)
    relu = op.low == 0 or not negative
    if narrow or (negative and relu):
        chosen = Activation(relu, ceiling=high if narrow else None)
        return [Activate(op.site, op.inputs, op.output, chosen)], None
    return [], None


def grid(op: Quantiser) -> tuple[int, str | None]:
    """Return f of the scale 2^-f that holds all of a quantiser's levels, and what to say of it.

    Coarser, never finer: a finer grid would cut off what the quantiser keeps.
    """
    half = LEVELS // 2
    needed = (op.high + 1) / LEVELS if op.low == 0 else max((op.high + 1) / half, -op.low / half)
    if op.high - op.low < NARROW:
        needed = 1.0  # stored from 0 on, see as_ops
    f = math.floor(-math.log2(op.step * max(1.0, needed)))
    if needed > 1:
        return f, (
            f"the quantiser's levels {op.low:g}..{op.high:g} of {op.step:.6g} become {LEVELS} of "
            f"2^{-f}"
        )
    if op.step != 2.0**-f:
        return f, f"the quantiser's step {op.step:.6g} becomes 2^{-f}, which cuts nothing off"
    return f, None


def _shifted(op: Quantiser, shift: float) -> Affine:
    one = torch.ones(1, dtype=torch.float64)
    return Affine(op.site, op.inputs, op.output, one, shift * one)
