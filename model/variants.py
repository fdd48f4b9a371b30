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
    """

    method: str
    terms: int | float
    bits: int = 4
    scale: Scale = "channel"
    integer: bool = False

    @property
    def name(self) -> str:
        """What the row is called."""
        scale = ", layer scale" if self.scale == "layer" else ""
        if self.integer:
            how = "nearest" if self.method == "greedy" else self.method
            return f"int{self.bits}, {how}{scale}"
        what = f"N={self.terms}" if isinstance(self.terms, int) else f"mixed {self.terms:g}"
        return f"{what}, B={self.bits}, {self.method}{scale}"

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
