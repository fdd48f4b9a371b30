"""Lanes written as a designer would by default: the synthesiser chooses every gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Value

from .lanes import ShiftLane


@dataclass(frozen=True)
class ProductLane:
    """A signed integer weight times the activation, as ``*``."""

    weight_bits: int
    act_bits: int = 8

    @property
    def held_bits(self) -> int:
        """The weight."""
        return self.weight_bits

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
    """The engine's lane (``hw.terms``, "shifter"): sign, stages of multiplexers, then nothing."""

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
