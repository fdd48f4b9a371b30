"""Weights as sums of a few powers of two: codebooks, the greedy quantiser, packing.

Codebook n of N holds ``{0, ±2^(1-n), ±2^-n, ..., ±2^(2-n-M)}`` with ``M = 2^(B-1) - 1`` magnitudes
(Gudovskiy & Rigazio, "ShiftCNN", arXiv 1706.02393). A code c is a signed B-bit number: 0 is no
term, |c| = m stands for the exponent ``2 - n - m``, the sign of c is the sign of the term.

DeepShift-Q (Elhoushi et al., arXiv 1905.13298) has ``M = 2^(B-1)`` magnitudes and no zero: a
codebook of its own, with N = 1 and codes of B + 1 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal, Protocol

import numpy as np
import torch

from .packing import pack_codes, unpack_codes

__all__ = ["Book", "Codebook", "Scale", "ShiftWeights", "pack_codes", "unpack_codes"]

Scale = Literal["layer", "channel"]


class Book(Protocol):
    """What codes of ``terms`` terms stand for: `Codebook`, or `integers.IntegerBook`."""

    @property
    def terms(self) -> int:
        """N, codes per weight."""
        ...

    @property
    def bits(self) -> int:
        """B, bits per code."""
        ...

    @property
    def zero(self) -> bool:
        """Whether code 0 is used."""
        ...

    @property
    def magnitudes(self) -> int:
        """Largest code; the smallest is its negative."""
        ...

    @property
    def code_bits(self) -> int:
        """Bits of a stored code, two's complement."""
        ...

    @property
    def fraction_bits(self) -> int:
        """F: every weight over its scale is an integer multiple of 2^-F."""
        ...

    def integers(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the integer weights, int64 (...), of codes int8 (N, ...)."""
        ...

    def quantize(self, w: torch.Tensor | np.ndarray, scale: Scale = "layer") -> ShiftWeights:
        """Return weights rounded without regard to activations, axis 0 the output channel."""
        ...


@dataclass(frozen=True)
class Codebook:
    """N codebooks of B-bit codes.

    Parameters
    ----------
    terms : int
        N, terms per weight, 1..4.
    bits : int
        B, bits per code, 2..5.
    zero : bool
        Whether a term can be nothing. False: DeepShift-Q's codebook, one magnitude more in its
        place; for one term only.

    Raises
    ------
    ValueError
        If a number is not an integer in its range, or there is no zero with several terms.
    """

    terms: int
    bits: int
    zero: bool = True

    def __post_init__(self) -> None:
        for name, value, low, high in (("terms", self.terms, 1, 4), ("bits", self.bits, 2, 5)):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer in {low}..{high}, not {value!r}")
        if not self.zero and self.terms != 1:
            raise ValueError(f"a codebook without zero has one term, not {self.terms}")

    @property
    def magnitudes(self) -> int:
        """M, the number of magnitudes of one codebook."""
        return (1 << (self.bits - 1)) - self.zero

    @property
    def code_bits(self) -> int:
        """Bits of a stored code, two's complement: one more than B where 0 is not used."""
        return self.bits + (not self.zero)

    @property
    def fraction_bits(self) -> int:
        """F: every weight over its scale is an integer multiple of 2^-F."""
        return self.magnitudes + self.terms - 2

    def exponents(self, term: int) -> range:
        """Return the exponents of codebook ``term`` (1..N), largest first: m = 1..M."""
        return range(1 - term, 1 - term - self.magnitudes, -1)

    @cached_property
    def levels(self) -> np.ndarray:
        """Distinct values a weight over its scale can take, ascending, float64."""
        books = []
        for term in range(1, self.terms + 1):
            values = [2.0**e for e in self.exponents(term)]
            nothing = [0.0] if self.zero else []
            books.append([*nothing, *values, *(-v for v in values)])
        return np.unique(np.array([sum(choice) for choice in product(*books)]))

    def quantize(self, w: torch.Tensor | np.ndarray, scale: Scale = "layer") -> ShiftWeights:
        """Quantise weights greedily, term after term, as in the ShiftCNN paper.

        With s = max|w| and r = w / s, term n is sign(r)·2^k, where k = floor(log2|r|), plus one
        where |r| > 1.5·2^k (a tie goes down), or 0 where the codebook ends before 2^k; then
        r -= term. Every step is exact: no logarithm and no division is rounded.

        Parameters
        ----------
        w : Tensor or ndarray, any floating type, any shape
            Weights; axis 0 is the output channel.
        scale : "layer" | "channel"
            One scale for all weights, or one per output channel.

        Returns
        -------
        ShiftWeights
            Codes (N, \\*w.shape) and scale () or (w.shape[0],). Where all weights are zero, or
            there are none, the scale is 1.

        Raises
        ------
        ValueError
            If a weight is NaN or infinite, ``scale`` is unknown or needs an axis w lacks, or the
            codebook has no zero.
        """
        if not self.zero:
            raise ValueError("greedy rounding needs a codebook with zero")
        values, peak = peaks(w, scale)
        codes = self._greedy(values, peak.reshape(peak.shape + (1,) * (values.ndim - peak.ndim)))
        return ShiftWeights(torch.from_numpy(codes), torch.from_numpy(np.asarray(peak)), self)

    def _greedy(self, values: np.ndarray, peak: np.ndarray) -> np.ndarray:
        # Divide both by a power of two, so that the scale's mantissa s is in [0.5, 1).
        s, exponent = np.frexp(peak)
        residual = np.ldexp(values, -exponent)
        codes = np.empty((self.terms, *values.shape), np.int8)
        for term in range(1, self.terms + 1):
            size = np.abs(residual)
            mantissa, k = np.frexp(size)
            k = k - (mantissa < s)  # floor(log2(size / s)) as s has exponent 0
            power = np.ldexp(s, k)
            k = k + (size - power > 0.5 * power)  # size is in [power, 2 power): exact
            magnitude = 2 - term - k
            used = (size > 0.0) & (magnitude <= self.magnitudes)
            codes[term - 1] = np.where(used, np.where(residual < 0, -magnitude, magnitude), 0)
            # size / (s 2^k) is in (0.75, 1.5], so this difference is exact too (Sterbenz)
            left = size - np.ldexp(s, k)
            residual = np.where(used, np.copysign(1.0, residual) * left, residual)
        return codes

    def integers(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the integer weights, int64 (...), of codes int8 (N, ...)."""
        total = torch.zeros(codes.shape[1:], dtype=torch.int64)
        table = torch.zeros(2 * self.magnitudes + 1, dtype=torch.int64)
        for term in range(1, self.terms + 1):
            for m, exponent in enumerate(self.exponents(term), start=1):
                value = 1 << (self.fraction_bits + exponent)
                table[self.magnitudes + m], table[self.magnitudes - m] = value, -value
            total += table[codes[term - 1].long() + self.magnitudes]
        return total


def peaks(w: torch.Tensor | np.ndarray, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as float64, and the largest magnitude, () or (w.shape[0],), 1 for zeros.

    Raises
    ------
    ValueError
        If a weight is NaN or infinite, or ``scale`` is unknown or needs an axis w lacks.
    """
    values = _checked(w)
    if scale == "channel":
        if values.ndim == 0:
            raise ValueError("scale 'channel' needs weights with an output channel axis")
        peak = np.abs(values).max(axis=tuple(range(1, values.ndim)), initial=0.0)
    elif scale == "layer":
        peak = np.abs(values).max(initial=0.0)
    else:
        raise ValueError(f"scale must be 'layer' or 'channel', not {scale!r}")
    return values, np.where(peak == 0.0, 1.0, peak)


def _checked(w: torch.Tensor | np.ndarray) -> np.ndarray:
    """Return weights as float64, refusing what is not a finite real number."""
    tensor = torch.as_tensor(w)
    if not tensor.dtype.is_floating_point:
        raise ValueError(f"weights must be floating point, not {tensor.dtype}")
    values = tensor.detach().to("cpu", torch.float64).numpy()
    finite = np.isfinite(values)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        kind = "NaN" if np.isnan(values[index]) else "infinite"
        raise ValueError(f"weight at {index} is {kind}; only finite weights can be quantised")
    return values


@dataclass(frozen=True, eq=False)
class ShiftWeights:
    """Quantised weights: codes, scale, and the codebook that gives the codes meaning.

    Attributes
    ----------
    codes : Tensor int8 (N, \\*shape)
        Code of each term, -M..M, 0 only where the codebook has it; shape is that of the float
        weights, output channels first.
    scale : Tensor float64 () or (shape[0],)
        Weight = scale x (sum of the terms), positive and finite.
    codebook : Codebook or IntegerBook
        N and B.

    Raises
    ------
    ValueError
        If a shape, a type, a code or a scale is out of its range.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    codebook: Book

    def __post_init__(self) -> None:
        codes, scale, m = self.codes, self.scale, self.codebook.magnitudes
        if codes.dtype != torch.int8 or codes.ndim < 1 or codes.shape[0] != self.codebook.terms:
            raise ValueError(
                f"codes must be int8 with {self.codebook.terms} terms first, "
                f"not {codes.dtype} {tuple(codes.shape)}"
            )
        if codes.numel() and not -m <= int(codes.min()) <= int(codes.max()) <= m:
            raise ValueError(
                f"codes must be in {-m}..{m}, not {int(codes.min())}..{int(codes.max())}"
            )
        if not self.codebook.zero and bool((codes == 0).any()):
            raise ValueError("codes must not be 0 where the codebook has no zero")
        if scale.dtype != torch.float64 or scale.shape not in ((), codes.shape[1:2]):
            raise ValueError(
                f"scale must be float64, () or (channels,), not {scale.dtype} {tuple(scale.shape)}"
            )
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError("scale must be positive and finite")

    @property
    def shape(self) -> torch.Size:
        """Shape of the weights, without the term axis."""
        return self.codes.shape[1:]

    def integers(self) -> torch.Tensor:
        """Return the integer weights w_int, int64: weight = scale x w_int x 2^-F."""
        return self.codebook.integers(self.codes)

    def dequantize(self) -> torch.Tensor:
        """Return the weights as float64 (shape)."""
        scale = self.scale.reshape(self.scale.shape + (1,) * (len(self.shape) - self.scale.ndim))
        return self.integers().double() * scale * 2.0**-self.codebook.fraction_bits

    def nonzero_terms(self) -> float:
        """Return the mean number of non-zero terms per weight (0 where there are none)."""
        weights = self.codes[0].numel()
        return int((self.codes != 0).sum()) / weights if weights else 0.0
