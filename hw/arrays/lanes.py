"""Lanes: what one weight makes of one activation, as bits for the column's tree.

Every lane here adds an unsigned number u(w, x) = w x + u(w, 0). The second part depends on the
weight alone, so a compiler folds it into the bias, as the engine's does for negative terms
(design contract, "Negative terms for nothing"): -x 2^k = (~x) 2^k - (2^A - 1) 2^k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from amaranth.hdl import Value

from .cells import Cells

#: Bit of a sum: its position, and its value.
Bit = tuple[int, Value]


class Lane(Protocol):
    """One way to multiply an activation of ``act_bits`` bits by a weight."""

    @property
    def act_bits(self) -> int:
        """A, bits of an activation."""
        ...

    @property
    def held_bits(self) -> int:
        """Bits of register a lane holds its weight in, in the form its gates read."""
        ...

    @property
    def top(self) -> int:
        """Largest number a lane adds."""
        ...

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form, int64 (...), of weights (N, ...): codes, or one integer each."""
        ...

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0), int64 (...), of weights (N, ...)."""
        ...

    def bits(self, cells: Cells, x: Value, inverse: Value, held: Value) -> list[Bit]:
        """Add the gates of one lane; ``inverse`` is ~x, formed once for all columns."""
        ...


def shifted(
    cells: Cells, x: Value, inverse: Value, held: Value, act_bits: int, span: int
) -> list[Value]:
    """Return x, ~x or a constant, shifted left by 0..``span``: the bits, lowest first.

    ``held`` is, lowest first: take x, take ~x, the binary shift. One gate picks, then stages of
    2:1 multiplexers shift by 1, 2, 4; each of them inverts. Where that comes out inverted, x and
    ~x change places, and nothing (neither taken) is the constant 2^A - 1 in place of 0.
    """
    stages = span.bit_length()
    true = stages % 2 == 0  # whether what the first gate gives is meant as it is
    plus, minus = (held[1], held[0]) if true else (held[0], held[1])
    value: list[Value] = [
        cells.choose(x[j], plus, inverse[j], minus) for j in range(act_bits)
    ]  # fmt: skip
    for stage in range(stages):
        by, s = 1 << stage, held[2 + stage]
        after: list[Value] = []
        for j in range(min(len(value) + by, act_bits + span)):
            if by <= j < len(value):
                after.append(cells.mux(s, value[j], value[j - by]))
            elif true:
                edge = cells.nand(value[j], ~s) if j < by else cells.nand(value[j - by], s)
                after.append(edge)
            else:
                edge = cells.nor(value[j], s) if j < by else cells.nor(value[j - by], ~s)
                after.append(edge)
        value, true = after, not true
    return value


def shift_top(act_bits: int, span: int) -> int:
    """Return the largest number ``shifted`` gives."""
    return ((1 << act_bits) - 1) << span


@dataclass(frozen=True)
class ShiftLane:
    """A sum of N signed powers of two times the activation: no multiplier.

    Parameters
    ----------
    terms : int
        N.
    code_bits : int
        B; M = 2^(B - 1) - 1 magnitudes.
    act_bits : int
        A.
    """

    terms: int
    code_bits: int
    act_bits: int = 8

    @property
    def span(self) -> int:
        """Largest shift within one codebook."""
        return (1 << (self.code_bits - 1)) - 2

    @property
    def field(self) -> int:
        """Held bits of one term."""
        return 2 + self.span.bit_length()

    @property
    def held_bits(self) -> int:
        """Two select lines and a binary shift per term."""
        return self.terms * self.field

    @property
    def top(self) -> int:
        """All terms at their largest."""
        top = shift_top(self.act_bits, self.span)
        return sum(top << base for base in range(self.terms))

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form of codes (N, ...)."""
        held = np.zeros(codes.shape[1:], np.int64)
        for n, code in enumerate(np.asarray(codes, np.int64)):
            shift = np.where(code != 0, self.span + 1 - np.abs(code), 0)
            field = (code > 0) | ((code < 0) << 1) | (shift << 2)
            held |= field << (n * self.field)
        return held

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0) of codes (N, ...)."""
        total = np.zeros(codes.shape[1:], np.int64)
        ones = (1 << self.act_bits) - 1
        nothing = ones if self.span.bit_length() % 2 == 0 else 0
        for n, code in enumerate(np.asarray(codes, np.int64)):
            base = self.terms - 1 - n
            shift = np.where(code != 0, self.span + 1 - np.abs(code), 0)
            total += np.where(code < 0, ones << (shift + base), 0)
            total += np.where(code == 0, nothing << base, 0)
        return total

    def bits(self, cells: Cells, x: Value, inverse: Value, held: Value) -> list[Bit]:
        """Add the gates of one lane."""
        found: list[Bit] = []
        for n in range(self.terms):
            base = self.terms - 1 - n
            field = held[n * self.field : (n + 1) * self.field]
            row = shifted(cells, x, inverse, field, self.act_bits, self.span)
            found += [(base + j, bit) for j, bit in enumerate(row)]
        return found


@dataclass(frozen=True)
class IntegerLane:
    """What lanes of integer weights share.

    Parameters
    ----------
    weight_bits : int
        Bits of a weight, its sign included.
    act_bits : int
        A.
    """

    weight_bits: int
    act_bits: int = 8

    @property
    def held_bits(self) -> int:
        """Those of the weight."""
        return self.weight_bits


@dataclass(frozen=True)
class MagnitudeLane(IntegerLane):
    """An integer weight as sign and magnitude: a row of x or ~x for each bit that is set.

    Rows of cleared bits do not move, so small weights, which are most, cost little energy.
    Held are the sign, and the magnitude's bits inverted, as the gates read them.
    """

    @property
    def top(self) -> int:
        """Largest magnitude times the largest activation."""
        return ((1 << self.act_bits) - 1) * ((1 << (self.weight_bits - 1)) - 1)

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form of integer weights (1, ...)."""
        w = np.asarray(codes[0], np.int64)
        rows = (1 << (self.weight_bits - 1)) - 1
        return (rows ^ np.abs(w)) | ((w < 0) << (self.weight_bits - 1))

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0) of integer weights (1, ...)."""
        w = np.asarray(codes[0], np.int64)
        return np.where(w < 0, -w, 0) * ((1 << self.act_bits) - 1)

    def bits(self, cells: Cells, x: Value, inverse: Value, held: Value) -> list[Bit]:
        """Add the gates of one lane."""
        rows = self.weight_bits - 1
        negative = held[rows]
        signed = [
            cells.choose(x[j], ~negative, inverse[j], negative) for j in range(self.act_bits)
        ]  # fmt: skip
        return [
            (i + j, cells.nor(bit, held[i])) for i in range(rows) for j, bit in enumerate(signed)
        ]


@dataclass(frozen=True)
class BoothLane(IntegerLane):
    """An integer weight as radix-4 Booth digits -2..2, held recoded: half the rows."""

    @property
    def digits(self) -> int:
        """Rows."""
        return self.weight_bits // 2

    @property
    def held_bits(self) -> int:
        """Per digit: take x, take ~x, double."""
        return 3 * self.digits

    @property
    def top(self) -> int:
        """Every digit at its largest."""
        top = shift_top(self.act_bits, 1)
        return sum(top << (2 * i) for i in range(self.digits))

    def recode(self, codes: np.ndarray) -> list[np.ndarray]:
        """Return the digits, lowest first, each int64 (...)."""
        w = np.asarray(codes[0], np.int64) << 1  # a zero below the lowest bit
        found = []
        for i in range(self.digits):
            low, middle, high = ((w >> (2 * i + j)) & 1 for j in range(3))
            found.append(low + middle - 2 * high)
        return found

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form of integer weights (1, ...)."""
        held = np.zeros(codes.shape[1:], np.int64)
        for i, digit in enumerate(self.recode(codes)):
            field = (digit > 0) | ((digit < 0) << 1) | ((np.abs(digit) == 2) << 2)
            held |= field << (3 * i)
        return held

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0) of integer weights (1, ...)."""
        ones = (1 << self.act_bits) - 1
        total = np.zeros(codes.shape[1:], np.int64)
        for i, digit in enumerate(self.recode(codes)):
            total += np.where(digit < 0, -digit * ones, 0) << (2 * i)
        return total

    def bits(self, cells: Cells, x: Value, inverse: Value, held: Value) -> list[Bit]:
        """Add the gates of one lane."""
        found: list[Bit] = []
        for i in range(self.digits):
            row = shifted(cells, x, inverse, held[3 * i : 3 * i + 3], self.act_bits, 1)
            found += [(2 * i + j, bit) for j, bit in enumerate(row)]
        return found
