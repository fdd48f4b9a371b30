"""Lanes written as a designer would by default: the synthesiser chooses every gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Value

from ..digits import digits
from ..tree import tree_sum
from .lanes import BoothLane, IntegerLane, ShiftLane


@dataclass(frozen=True)
class ProductLane(IntegerLane):
    """A signed integer weight times the activation, as ``*``."""

    @property
    def top(self) -> int:
        """One bit more than the largest magnitude needs: sums are signed."""
        return ((1 << self.act_bits) - 1) << self.weight_bits

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return integer weights (1, ...) in two's complement."""
        return np.asarray(codes[0], np.int64) & ((1 << self.weight_bits) - 1)

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return 0: a product has no constant part."""
        return np.zeros(codes.shape[1:], np.int64)

    def value(self, x: Value, held: Value) -> Value:
        """Return the product."""
        return x * held.as_signed()


@dataclass(frozen=True)
class PlainShiftLane(ShiftLane):
    """A shifter as a designer would write it: sign, stages of multiplexers, then nothing."""

    def constant(self, codes: np.ndarray) -> np.ndarray:
        """Return u(w, 0) of codes (N, ...)."""
        total = np.zeros(codes.shape[1:], np.int64)
        for n, code in enumerate(np.asarray(codes, np.int64)):
            shift = np.where(code != 0, self.span + 1 - np.abs(code), 0) + self.terms - 1 - n
            total += np.where(code < 0, ((1 << self.act_bits) - 1) << shift, 0)
        return total

    def value(self, x: Value, held: Value) -> Value:
        """Return the sum of the terms."""
        total: Value | None = None
        for n in range(self.terms):
            field = held[n * self.field : (n + 1) * self.field]
            value: Value = x ^ field[1].replicate(self.act_bits)
            for stage in range(self.span.bit_length()):
                value = Mux(field[2 + stage], Cat(Const(0, 1 << stage), value), value)
            value = Mux(field[0] | field[1], value[: self.act_bits + self.span], 0)
            value = Cat(Const(0, self.terms - 1 - n), value)
            total = value if total is None else total + value
        assert total is not None
        return total


@dataclass(frozen=True)
class DigitLane(BoothLane):
    """An integer weight as radix-4 digits -1..2, held recoded: a 4-input table per row and bit.

    A digit takes nothing, x, 2x or ~x, which two held bits choose; only the highest may also be
    -2 and takes a third. It suits FPGAs, whose adders are chains beside the tables.
    """

    @property
    def held_bits(self) -> int:
        """Two per digit, and the highest digit's third."""
        return 2 * self.digits + 1

    def recode(self, codes: np.ndarray) -> list[np.ndarray]:
        """Return the digits, lowest first, each int64 (...)."""
        return digits(np.asarray(codes[0], np.int64), self.weight_bits)

    def hold(self, codes: np.ndarray) -> np.ndarray:
        """Return the held form of integer weights (1, ...)."""
        held = np.zeros(codes.shape[1:], np.int64)
        for i, digit in enumerate(self.recode(codes)):
            field = np.choose(digit + 2, [0b110, 0b11, 0b00, 0b01, 0b10])
            held |= field << (2 * i)
        return held

    def value(self, x: Value, held: Value) -> Value:
        """Return the sum of the rows."""
        return tree_sum(self.digit_rows(x, held))

    def digit_rows(self, x: Value, held: Value) -> list[Value]:
        """Return a row per digit, lowest first."""
        rows = []
        for i in range(self.digits):
            double = x ^ held[-1].replicate(self.act_bits) if i == self.digits - 1 else x
            once = Mux(held[2 * i + 1], ~x, x)
            twice = Mux(held[2 * i + 1], Cat(Const(0, 1), double), 0)
            rows.append(Cat(Const(0, 2 * i), Mux(held[2 * i], once, twice)))
        return rows


#: Lanes whose every gate the synthesiser chooses.
PlainLane = ProductLane | PlainShiftLane | DigitLane
