"""The ways to round a network that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from .codebook import Scale
from .integers import IntegerBook


@dataclass(frozen=True)
class Variant:
    """One way to round a network.

    Attributes
    ----------
    method : str
        Of ``rounding.METHODS``.
    terms : int or float
        N of all layers, or, where it is a float, the budget of mean terms per weight.
    bits : int
        B.
    scale : "layer" | "channel"
    integer : bool
        Integers of B bits, one per weight, in place of powers of two: a baseline.
    cycles : bool
        Whether the budget is of an engine's cycles, in parts of those of N = 1, and not of terms.
    price : float
        Of a non-zero term, see `rounding.problem.Problem`.
    act_bits : int
        A, bits of a stored activation but for the input's.
    """

    method: str
    terms: int | float
    bits: int = 4
    scale: Scale = "channel"
    integer: bool = False
    cycles: bool = False
    price: float = 0.0
    act_bits: int = 8

    @property
    def name(self) -> str:
        """What the row is called."""
        scale = ", layer scale" if self.scale == "layer" else ""
        if self.integer:
            how = "nearest" if self.method == "greedy" else self.method
            return f"int{self.bits}, {how}{scale}"
        what = f"N={self.terms}" if isinstance(self.terms, int) else f"mixed {self.terms:g}"
        if self.cycles:
            what = f"mixed, {self.terms:g} x the cycles"
        price = f", price {self.price:g}" if self.price else ""
        acts = f", {self.act_bits}-bit activations" if self.act_bits != 8 else ""
        return f"{what}, B={self.bits}, {self.method}{scale}{price}{acts}"

    @property
    def book(self) -> IntegerBook | None:
        """The codebook of integers; None for powers of two, whose terms decide."""
        return IntegerBook(self.bits) if self.integer else None


VARIANTS = (
    Variant("greedy", 1, scale="layer"),
    Variant("greedy", 2, scale="layer"),
    Variant("greedy", 3, scale="layer"),
    Variant("greedy", 2),
    Variant("compensated", 1),
    Variant("compensated", 1.25),
    Variant("compensated", 1.5),
    Variant("compensated", 2, 3),
    Variant("compensated", 2),
    Variant("compensated", 3),
    Variant("greedy", 1, 8, integer=True),
    Variant("greedy", 1, 4, integer=True),
    Variant("compensated", 1, 4, integer=True),
)
#: What engines of less energy run, `shiftwork energy` measures.
FRUGAL = (
    Variant("compensated", 1.1, cycles=True),
    Variant("compensated", 2, 3, price=0.02),
    Variant("compensated", 1, act_bits=6),
)
