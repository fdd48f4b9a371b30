"""A binary search in a pipeline: what encoders have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from ..plain import Plain


class Search:
    """Words on their way through a pipeline, and what is found so far in each lane.

    Parameters
    ----------
    m : Module
        Where the registers go.
    step : Value
        Everything moves.
    valid : Value
        There is a word.
    now : Signal
        The word: ``values`` lane by lane, and ``bits`` of their codes.
    lanes : int

    Attributes
    ----------
    valid, now : Value, Signal
        As given, where the pipeline has been built to.
    found : list of Value
        Bits found in each lane, the lowest first; none at first.
    """

    def __init__(self, m: Module, step: Value, valid: Value, now: Any, lanes: int) -> None:
        self.valid, self.now = valid, now
        self.found: list[Value] = [Cat() for _ in range(lanes)]
        self._m, self._step = m, step

    def _later(self, value: Value, name: str, *, plain: bool = True) -> Any:
        kept = (Plain if plain else Signal)(value.shape(), name=name)
        with self._m.If(self._step):
            self._m.d.sync += kept.eq(value)
        return kept

    def move(self, name: str, kept: Sequence[Value] = (), called: str = "limit") -> list[Value]:
        """Add a cycle; return ``kept``, a value of each lane, after it."""
        self.valid = self._later(self.valid, f"valid{name}", plain=False)
        self.now = self._later(self.now, f"word{name}")
        self.found = [
            self._later(bits, f"code{name}_{lane}") if len(bits) else bits
            for lane, bits in enumerate(self.found)
        ]
        return [self._later(value, f"{called}{name}_{lane}") for lane, value in enumerate(kept)]

    def compare(
        self, name: str, limits: list[Value], cycles: int, more_than: int | None = None
    ) -> None:
        """Add a stage: a >= t is the next bit.

        Parameters
        ----------
        name : str
            Of the stage.
        limits : list of Value
            Thresholds of each lane, from memories: there a cycle after this one.
        cycles : int
            1, or more: thresholds then go through registers, too.
        more_than : int, optional
            Bits of the longest codes for which nothing is looked for here.
        """
        for cycle in range(cycles):
            moved = self.move(f"{name}_{cycle}", limits if cycle else ())
            limits = moved or limits
        active = None if more_than is None else self.now.bits > more_than
        for lane, limit in enumerate(limits):
            reached = Signal(name=f"reached{name}_{lane}")
            self._m.d.comb += reached.eq(self.now.values[lane] >= limit)
            bits = self.found[lane]
            more = Cat(reached, bits)
            self.found[lane] = more if active is None else Mux(active, more, bits)[: len(more)]

    def leave(self, o: Any) -> None:
        """Give what was found, a cycle later, or the values where ``bits`` is 0, to a stream."""
        codes = Plain(o.payload.shape(), name="codes")
        self._m.d.comb += o.payload.eq(codes)
        with self._m.If(self._step):
            self._m.d.sync += o.valid.eq(self.valid)
            for lane, bits in enumerate(self.found):
                value = self.now.values[lane]
                self._m.d.sync += codes[lane].eq(Mux(self.now.bits == 0, value, bits))
