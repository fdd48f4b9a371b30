"""Weights as plain integers: what networks of powers of two are compared with.

To the rest an integer is one code of another kind of codebook: the number itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..hw.config import INTEGER_BITS, Arithmetic
from .codebook import Book, Codebook, Scale, ShiftWeights, peaks


@dataclass(frozen=True)
class IntegerBook:
    """Integers -(2^(B - 1) - 1)..2^(B - 1) - 1, so symmetric, one per weight.

    Parameters
    ----------
    bits : int
        B, bits per weight, 2..8.

    Raises
    ------
    ValueError
        If B is not an integer in its range.
    """

    bits: int

    def __post_init__(self) -> None:
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 2 <= self.bits <= 8:
            raise ValueError(f"bits of an integer must be an integer in 2..8, not {self.bits!r}")

    @property
    def terms(self) -> int:
        """N: one code per weight."""
        return 1

    @property
    def zero(self) -> bool:
        """Code 0 is the weight 0."""
        return True

    @property
    def magnitudes(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    @property
    def code_bits(self) -> int:
        """B."""
        return self.bits

    @property
    def fraction_bits(self) -> int:
        """F: the largest weight over its scale is a little below 1, as of powers of two."""
        return self.bits - 1

    def integers(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the integer weights, int64 (...), of codes int8 (1, ...)."""
        return codes[0].long()

    def quantize(self, w: torch.Tensor | np.ndarray, scale: Scale = "layer") -> ShiftWeights:
        """Round each weight to the nearest integer, a tie to the even one; max|w| is the largest.

        The usual symmetric quantiser, without calibration of weights and without retraining.

        Parameters
        ----------
        w : Tensor or ndarray, any floating type, any shape
            Weights; axis 0 is the output channel.
        scale : "layer" | "channel"
            One scale for all weights, or one per output channel.

        Raises
        ------
        ValueError
            If a weight is NaN or infinite, or ``scale`` is unknown or needs an axis w lacks.
        """
        values, peak = peaks(w, scale)
        over = values / peak.reshape(peak.shape + (1,) * (values.ndim - peak.ndim))
        codes = torch.from_numpy(np.rint(over * self.magnitudes).astype(np.int8))[None]
        unit = peak * ((1 << self.fraction_bits) / self.magnitudes)
        return ShiftWeights(codes, torch.from_numpy(np.asarray(unit)), self)


def open_book(
    arithmetic: Arithmetic | str, terms: int | None = None, bits: int | None = None
) -> Book:
    """Return the codebook of an arithmetic.

    Parameters
    ----------
    arithmetic : "shift" | "int8" | "int4"
    terms, bits : int, optional
        N and B of powers of two; 2 and 4 by default.

    Raises
    ------
    ValueError
        If there is no such arithmetic, N or B is out of range, or given for integers.
    """
    if arithmetic == "shift":
        return Codebook(2 if terms is None else terms, 4 if bits is None else bits)
    if arithmetic not in INTEGER_BITS:
        known = ", ".join(("shift", *INTEGER_BITS))
        raise ValueError(f"arithmetic must be one of {known}, not {arithmetic!r}")
    for name, value in (("terms", terms), ("bits", bits)):
        if value is not None:
            raise ValueError(
                f"{arithmetic} weights have bits of their own and no terms: "
                f"leave out {name} {value}"
            )
    return IntegerBook(INTEGER_BITS[arithmetic])
