"""The circuits that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from .lanes import BoothLane, Lane, MagnitudeLane, ShiftLane
from .plain import PlainLane, PlainShiftLane, ProductLane
from .rows import BitRows, DigitRows, ShiftRows

TERM_PRICE = 0.02  # of the circuits whose weights are rounded to few terms
MAX_FAN_IN = 4608  # products per sum that an accumulator has room for, as in the engine's presets


@dataclass(frozen=True)
class Circuit:
    """One way to build an array.

    Parameters
    ----------
    name : str
        Short name; part of the Verilog modules' names.
    title : str
        What it is, in a few words.
    lane : Lane | PlainLane
        What a weight makes of an activation.
    price : float
        Of a non-zero term when its weights are rounded, as `model.rounding` takes it: the gates
        are the same, the weights are not.
    chain : int
        Rows of a running sum, where a lane ends in rows; 0: lanes are added in a balanced tree.
    across : bool
        Whether a chain adds like rows of several lanes, and not all rows of a lane.
    """

    name: str
    title: str
    lane: Lane | PlainLane
    price: float = 0.0
    chain: int = 0
    across: bool = False

    @property
    def act_bits(self) -> int:
        """A, bits of an activation."""
        return self.lane.act_bits

    @property
    def held_bits(self) -> int:
        """Bits of register per weight."""
        return self.lane.held_bits

    @property
    def plain(self) -> bool:
        """Whether the synthesiser chooses every gate."""
        return isinstance(self.lane, PlainLane)

    @property
    def shifts(self) -> bool:
        """Whether weights are codes of powers of two; else integers."""
        return isinstance(self.lane, ShiftLane)

    @property
    def acc_bits(self) -> int:
        """Accumulator width: the largest sum of ``MAX_FAN_IN`` products fits."""
        return (MAX_FAN_IN * self.lane.top).bit_length()


#: For standard cells.
CIRCUITS: dict[str, Circuit] = {
    c.name: c
    for c in (
        Circuit("int8_plain", "int8, plain `*`", ProductLane(8)),
        Circuit("int8_magnitude", "int8, sign and magnitude", MagnitudeLane(8)),
        Circuit("int8_booth", "int8, radix-4 Booth", BoothLane(8)),
        Circuit("int4_magnitude", "int4, sign and magnitude", MagnitudeLane(4)),
        Circuit("int4_booth", "int4, radix-4 Booth", BoothLane(4)),
        Circuit("n1_plain", "N=1, B=4, plain shifter", PlainShiftLane(1, 4)),
        Circuit("n2_plain", "N=2, B=4, plain shifters", PlainShiftLane(2, 4)),
        Circuit("n1", "N=1, B=4", ShiftLane(1, 4)),
        Circuit("n1_a6", "N=1, B=4, 6-bit activations", ShiftLane(1, 4, 6)),
        Circuit("n1_b3", "N=1, B=3", ShiftLane(1, 3)),
        Circuit("n2", "N=2, B=4", ShiftLane(2, 4)),
        Circuit("n2_b3", "N=2, B=3", ShiftLane(2, 3)),
        Circuit("n2_b3_priced", "N=2, B=3, terms priced", ShiftLane(2, 3), TERM_PRICE),
    )
}
#: For FPGAs: what is added in carry chains, and chosen in lookup tables.
FPGA_CIRCUITS: dict[str, Circuit] = {
    c.name: c
    for c in (
        CIRCUITS["int8_plain"],
        Circuit("int8_bits", "int8, a row per bit", BitRows(8), chain=4, across=True),
        Circuit("int8_digits", "int8, radix-4 digits", DigitRows(8), chain=4),
        Circuit("int4_bits", "int4, a row per bit", BitRows(4), chain=4, across=True),
        Circuit("int4_digits", "int4, radix-4 digits", DigitRows(4), chain=2),
        CIRCUITS["n1_plain"],
        Circuit("n1_b3_plain", "N=1, B=3, plain shifter", PlainShiftLane(1, 3)),
        CIRCUITS["n2_plain"],
        Circuit("n2_b3_plain", "N=2, B=3, plain shifters", PlainShiftLane(2, 3)),
        Circuit("n1_pairs", "N=1, B=4, rows in pairs", ShiftRows(1, 4), chain=2),
        Circuit("n1_rows", "N=1, B=4, rows", ShiftRows(1, 4), chain=4),
        Circuit("n1_b3_rows", "N=1, B=3, rows", ShiftRows(1, 3), chain=4),
        Circuit("n2_pairs", "N=2, B=4, rows in pairs", ShiftRows(2, 4), chain=2, across=True),
        Circuit("n2_rows", "N=2, B=4, rows", ShiftRows(2, 4), chain=4, across=True),
        Circuit("n2_b3_rows", "N=2, B=3, rows", ShiftRows(2, 3), chain=4, across=True),
    )
}
