"""How a picture's pixels become the input tensor, so that the first layer's sums stay exact.

A network sees ``u = alpha p + beta`` of each pixel p in 0..255, by channel: mean and standard
deviation. Zero padding of the first convolution inserts u = 0, which is the stored value z, so:

1. without padding, ``alpha`` and ``beta`` go into the first convolution and pixels are stored as
   they are (z = 0, f = 0);
2. with padding, where u = 0 is pixel 128 in all channels: likewise with z = 128, f = 7;
3. else ``128 + k (p - m)`` is stored, rounded, with m the pixel (not an integer) where u = 0 and
   k the largest gain in 0..1 that clips nothing; what is left of ``alpha`` goes into the first
   convolution;
4. where something else than a convolution reads the input: ``128 + 2^f u``, rounded, with the
   largest f that clips nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from ..preprocess import Preprocess
from .lowering import Lowered, Start, lower
from .ops import Affine, Op, Program, Quantiser, Reshape, UnsupportedError

HALF = 128  # zero point of a signed input


@dataclass(frozen=True, eq=False)
class Entry:
    """The input tensor of a graph: scale, zero point, and the preprocessing that makes it."""

    frac_bits: int
    zero_point: int
    preprocess: Preprocess | None


def lower_with_input(
    program: Program, preprocess: Preprocess | None, frac_bits: int = 0, zero_point: int = 0
) -> tuple[Lowered, Entry]:
    """Lower a program and choose what its input tensor stores.

    Parameters
    ----------
    program : Program
    preprocess : Preprocess or None
        None: the model's input is the stored values' real ones, (a - zero_point) 2^-frac_bits.
    frac_bits, zero_point : int
        For inputs that are no pictures.

    Raises
    ------
    UnsupportedError
        If the program cannot be lowered, or the picture has another number of channels.
    """
    program, scale, shift = _peel(program)
    if preprocess is None:
        start = Start(program.input, zero_point == 0)
        if bool((scale != 1).any()) or bool(shift.any()):
            start = replace(start, scale=scale, shift=shift)
        return lower(program, start), Entry(frac_bits, zero_point, None)
    channels = program.shape[0]
    wanted = 1 if preprocess.channels == "gray" else 3
    if channels != wanted:
        raise UnsupportedError(
            f"network {program.name!r} reads {channels} channels, but a {preprocess.channels} "
            f"picture has {wanted}; choose --channels gray for 1, rgb or bgr for 3"
        )
    alpha, beta = preprocess.slope_and_offset()
    alpha, beta = alpha * scale, beta * scale + shift
    middle = -beta / alpha  # the pixel that stands for 0
    raw = lower(program, Start(program.input, True, alpha, beta))
    if not raw.input_alone:
        return raw, Entry(0, 0, preprocess)
    if bool((middle == HALF).all()):
        done = lower(program, Start(program.input, False, alpha * HALF, beta * 0))
        if not done.input_alone:
            return done, Entry(7, HALF, preprocess)
    gain = torch.minimum(HALF / middle.clamp(min=1e-9), (HALF - 1) / (255 - middle).clamp(min=1e-9))
    gain = gain.clamp(max=1.0)
    inside = bool(((middle >= 0) & (middle <= 255)).all())  # else pixels are far from u = 0
    if inside:
        done = lower(program, Start(program.input, False, alpha * HALF / gain, beta * 0))
        if not done.input_alone:
            stored = replace(preprocess, gain=_list(gain), offset=_list(HALF - gain * middle))
            note = "input: pixels less the mean, rounded, because the first layer has padding"
            return replace(done, notes=[*done.notes, note]), Entry(7, HALF, stored)
    ends = torch.stack([beta, beta + 255 * alpha])
    peak = max(float(ends.max()) / (HALF - 1), float(-ends.min()) / HALF)
    f = math.floor(-math.log2(peak))
    done = lower(program, Start(program.input, False))
    stored = replace(preprocess, gain=_list(alpha * 2.0**f), offset=_list(HALF + beta * 2.0**f))
    note = f"input: normalised pixels, rounded to multiples of 2^-{f}"
    return replace(done, notes=[*done.notes, note]), Entry(f, HALF, stored)


def _peel(program: Program) -> tuple[Program, torch.Tensor, torch.Tensor]:
    """Return the program without arithmetic on its input, and that as a scale and a shift."""
    at, channels = program.input, program.shape[0]
    scale = torch.ones(channels, dtype=torch.float64)
    shift = torch.zeros(channels, dtype=torch.float64)
    kept = list(program.ops)
    while at not in program.outputs:
        readers = [op for op in kept if at in op.inputs]
        if len(readers) != 1 or not _peels(readers[0], channels, program.shape):
            break
        op = readers[0]
        if isinstance(op, Affine):
            scale = scale * op.scale.double()
            shift = shift * op.scale.double() + op.shift.double()
            if not bool((scale != 0).all()):
                raise op.site.refuse("multiplies the input by 0", "check the constants")
        kept.remove(op)
        at = op.output
    first = [replace(op, inputs=tuple(program.input if n == at else n for n in op.inputs))
             for op in kept]  # fmt: skip
    outputs = tuple(program.input if name == at else name for name in program.outputs)
    return replace(program, ops=first, outputs=outputs), scale, shift


def _peels(op: Op, channels: int, shape: tuple[int, int, int]) -> bool:
    if isinstance(op, Affine):
        return op.scale.numel() in (1, channels) and op.shift.numel() in (1, channels)
    if isinstance(op, Reshape):
        return op.dims in (None, shape)
    return isinstance(op, Quantiser)  # pictures have a grid of their own


def _list(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
