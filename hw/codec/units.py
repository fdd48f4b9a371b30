"""Words of whole units in bus beats of whole units: the sizes of circuits that pack and unpack."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from amaranth.lib import data


@dataclass(frozen=True)
class Units:
    """Sizes in units, the piece of which every word and its place are multiples.

    Attributes
    ----------
    bits : int
        Bits of a unit.
    beat : int
        Units of a beat, a power of two.
    most : int
        Units of the longest word.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    bits: int
    beat: int
    most: int

    def __post_init__(self) -> None:
        if self.beat < 1 or self.beat & (self.beat - 1):
            raise ValueError(f"beat_units must be a power of two, not {self.beat}")
        if self.most < 1 or self.bits < 1:
            raise ValueError(
                f"a word has 1 or more units and a unit 1 or more bits, not {self.most}"
            )  # fmt: skip

    @classmethod
    def of_zeros(cls, lanes: int, act_bits: int, beat_bits: int) -> Units:
        """Return the sizes of words behind a mask of zeros, see `zero_encoder.ZeroEncoder`.

        Raises
        ------
        ValueError
            If a beat is not a power of two of units.
        """
        bits = gcd(lanes, act_bits)
        if beat_bits % bits:
            raise ValueError(f"beat_bits must be a multiple of {bits}, not {beat_bits}")
        return cls(bits, beat_bits // bits, (lanes + lanes * act_bits) // bits)

    @property
    def held(self) -> int:
        """Units of a word and what is left of those before."""
        return self.beat - 1 + self.most

    @property
    def spanned(self) -> int:
        """Beats in which a word lies, at most."""
        return (self.beat - 1 + self.most + self.beat - 1) // self.beat

    @property
    def strobed(self) -> data.StructLayout:
        """A beat with a bit for each unit that is part of a word, and whether it ends a run."""
        return data.StructLayout({
            "data": self.beat * self.bits, "strobe": self.beat, "last": 1,
        })  # fmt: skip
