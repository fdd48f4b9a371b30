"""Lanes that end in rows for carry chains: what an adder can choose by itself is left to it.

A half of an ECP5 adder is a table of four inputs: beside the sum so far it can take a row's bit
as a table of two inputs, or as a multiplexer (`flow.absorb`). So a lane's last step is one of
these, and every row is added to a running sum; only the first of a chain cannot vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Value

from .plain import DigitLane, PlainShiftLane, ProductLane


class Row(NamedTuple):
    """An unsigned number of a sum, and the largest it can be: sums get no more bits than needed."""

    value: Value
    top: int

    def plus(self, other: Row) -> Row:
        """Return the sum."""
        top = self.top + other.top
        return Row((self.value + other.value)[: top.bit_length()], top)


def chained(rows: Sequence[Row], length: int) -> Value:
    """Return the sum of rows: running sums of ``length`` each, and a balanced tree of those."""
    level = [_running(rows[i : i + length]) for i in range(0, len(rows), length)]
    while len(level) > 1:
        level = [_running(level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0].value


def _running(rows: Sequence[Row]) -> Row:
    total = rows[0]
    for row in rows[1:]:
        total = total.plus(row)
    return total


class _InRows:
    """A lane that is nothing but its rows."""

    def rows(self, x: Value, held: Value) -> list[Row]:
        """Return the rows."""
        raise NotImplementedError

    def value(self, x: Value, held: Value) -> Value:
        """Return their sum, as a balanced tree."""
        return chained(self.rows(x, held), 2)


@dataclass(frozen=True)
class BitRows(_InRows, ProductLane):
    """An integer weight bit by bit: a row is x or nothing, that of the sign ~x or nothing."""

    @property
    def top(self) -> int:
        """The sign's row where x = 0."""
        return ((1 << self.act_bits) - 1) << (self.weight_bits - 1)

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0) of integer weights (1, ...)."""
        return np.where(np.asarray(codes[0]) < 0, self.top, 0).astype(np.int64)

    def rows(self, x: Value, held: Value) -> list[Row]:
        """Return a row per bit of the weight."""
        ones, sign = (1 << self.act_bits) - 1, self.weight_bits - 1
        return [
            Row(Cat(Const(0, i), Mux(held[i], ~x if i == sign else x, 0)), ones << i)
            for i in range(self.weight_bits)
        ]


@dataclass(frozen=True)
class DigitRows(_InRows, DigitLane):
    """An integer weight's radix-4 digits, the rows of all lanes in chains."""

    def rows(self, x: Value, held: Value) -> list[Row]:
        """Return a row per digit."""
        ones = (1 << self.act_bits) - 1
        return [Row(row, ones << (2 * i + 1)) for i, row in enumerate(self.digit_rows(x, held))]


@dataclass(frozen=True)
class ShiftRows(_InRows, PlainShiftLane):
    """A term per row: sign and shifts, and nothing before the last shift where there are three.

    It is the engine's lane, too (``hw.terms``, "shifter").

    The sign goes with the first stage of multiplexers, and nothing with the second: that takes
    two held bits, one for each of its inputs. Without stages, sign and nothing are all there is.
    """

    @property
    def stages(self) -> int:
        """Stages of multiplexers."""
        return self.span.bit_length()

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form of codes (N, ...)."""
        if self.stages < 2:
            return super().hold(codes)
        held = np.zeros(codes.shape[1:], np.int64)
        for n, code in enumerate(np.asarray(codes, np.int64)):
            shift = np.where(code != 0, self.span + 1 - np.abs(code), 0)
            by_two = shift >> 1 & 1
            stay, move = (code != 0) & (by_two == 0), (code != 0) & (by_two == 1)
            field = (code < 0) | ((shift & 1) << 1) | (stay << 2) | (move << 3) | (shift >> 2 << 4)
            held |= field << (n * self.field)
        return held

    def rows(self, x: Value, held: Value) -> list[Row]:
        """Return a row per term, the largest first."""
        top = ((1 << self.act_bits) - 1) << self.span
        rows = []
        for n in range(self.terms):
            low, field = self.terms - 1 - n, held[n * self.field : (n + 1) * self.field]
            value = self.last(self.early(x, field), field)
            rows.append(Row(Cat(Const(0, low), value), top << low))
        return rows

    def early(self, x: Value, field: Value) -> Value:
        """Return what a term's held bits make of x, but for the last multiplexer, if it has one."""
        if self.stages < 2:
            plus, minus = (field[i].replicate(self.act_bits) for i in (0, 1))
            return (x & plus) | (~x & minus)
        value = x ^ field[0].replicate(self.act_bits)
        value = Mux(field[1], _up(value, 0), value)
        width = len(value) + 2
        stay, move = (field[i].replicate(width) for i in (2, 3))
        value = (value & stay) | (_up(value, 1) & move)
        for stage in range(2, self.stages - 1):
            value = Mux(field[2 + stage], _up(value, stage), value)
        return value

    def last(self, value: Value, field: Value) -> Value:
        """Return the term, of what `early` gave; a multiplexer reads the highest held bit alone."""
        if self.stages > 2:
            value = Mux(field[-1], _up(value, self.stages - 1), value)
        return value[: self.act_bits + self.span]


def _up(value: Value, stage: int) -> Value:
    return Cat(Const(0, 1 << stage), value)


#: Lanes that end in rows.
RowLane = BitRows | DigitRows | ShiftRows
