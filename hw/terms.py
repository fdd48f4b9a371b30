"""Terms: what a weight code picks from one activation.

A term is an unsigned, left-shifted activation. A negative term is the inverted activation,
shifted: -x 2^k = (~x) 2^k - (2^A - 1) 2^k, and the compiler folds the constant into the bias
(design contract, "Negative terms for nothing"). So every sum in the array is unsigned.

Two circuits stand behind ``pick``: "shifter" (sign, then a logarithmic shifter per lane, which ends
in a multiplexer where it can, since an ECP5 adder takes that in) and "mux" (a table of every term
per activation, formed once per beat and shared by all columns, and one wide multiplexer per lane).
With integer arithmetic a third does, the array bench's smallest multiplier in plain logic, whose
negative digits invert in just the same way.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from .arrays.plain import DigitLane, PlainShiftLane
from .arrays.rows import ShiftRows
from .config import EngineConfig
from .plain import Plain


def _lane(config: EngineConfig) -> DigitLane | ShiftRows:
    """Return the lane of an integer weight, or of one term."""
    if config.arithmetic != "shift":
        return DigitLane(config.code_bits, config.act_bits)
    return ShiftRows(1, config.code_bits, config.act_bits)


def active_layout(config: EngineConfig) -> data.StructLayout:
    """Return the held, decoded form of one code: what a lane needs every beat."""
    if config.select == "mux":
        return data.StructLayout({"code": config.code_bits})
    return data.StructLayout({"held": _lane(config).held_bits})


def decode(config: EngineConfig, code: Value) -> Value:
    """Return a raw code of B bits in the layout ``active_layout``.

    A code c of magnitude m = |c| means a left shift of M - m: for c > 0 that is the inverse of
    its low bits, for c < 0 the low bits minus one. A code of an integer lacks one bit, see
    `digits`.
    """
    if config.arithmetic != "shift":
        return Cat(code, _minus_two(code))
    if config.select == "mux":
        return code[: config.code_bits]
    some, negative, shift = _shift(config, code)
    if len(shift) < 2:
        return Cat(some & ~negative, negative)
    return Cat(negative, shift[0], some & ~shift[1], some & shift[1], shift[2:])


def _shift(config: EngineConfig, code: Value) -> tuple[Value, Value, Value]:
    """Return whether a code is a term, whether that is negative, and its left shift."""
    low, negative = code[:-1], code[-1]
    stages = max(config.magnitudes - 1, 0).bit_length()
    return code.any(), negative, Mux(negative, low - 1, ~low)[:stages]


def _minus_two(code: Value) -> Value:
    """Return whether a code's highest radix-4 digit is -2, and not 2: those below decide."""
    pairs = [code[i : i + 2] for i in range(0, len(code), 2)]
    negative: Value = Const(0, 1)  # all digits so far
    for pair in pairs[:-1]:
        negative = pair.all() | (~pair.any() & negative)
    return (pairs[-1] == 2) & ~negative


class TermTable:
    """Every term of one activation: index k is x 2^k, index M + k is (~x) 2^k.

    Wires and A inverters; all columns share it. Only the "mux" circuit reads it.
    """

    def __init__(self, config: EngineConfig, x: Value) -> None:
        self.terms = [
            Cat(Const(0, k), value)
            for value in (x, ~x)
            for k in range(config.magnitudes)
        ]  # fmt: skip


def pick(m: Module, config: EngineConfig, x: Value, active: data.View, name: str) -> Signal:
    """Return the term (unsigned, ``config.term_bits``) that a held code picks from x."""
    term = Signal(config.term_bits, name=name)
    if config.select == "shifter":
        m.d.comb += term.eq(_lane(config).value(x, active.held))
        return term
    table = TermTable(config, x).terms
    top = config.magnitudes
    with m.Switch(active.code):
        for magnitude in range(1, top + 1):
            with m.Case(magnitude):
                m.d.comb += term.eq(table[top - magnitude])
            with m.Case((1 << config.code_bits) - magnitude):
                m.d.comb += term.eq(table[2 * top - magnitude])
    return term


def pick_late(m: Module, config: EngineConfig, x: Value, active: data.View, index: int) -> Signal:
    """Return what `pick` does a cycle later, out of a register of its own.

    A shift's last multiplexer comes after that register, where an adder can take it in.
    """
    name, lane = f"term{index}", _lane(config)
    if config.select == "mux" or not isinstance(lane, ShiftRows) or lane.stages < 3:
        picked = Plain(config.term_bits, name=f"picked{index}")
        m.d.sync += picked.eq(pick(m, config, x, active, name))
        return picked
    early = lane.early(x, active.held)
    picked, last = Plain(len(early), name=f"picked{index}"), Plain(name=f"last{index}")
    m.d.sync += [picked.eq(early), last.eq(active.held[-1])]
    term = Signal(config.term_bits, name=name)
    m.d.comb += term.eq(lane.last(picked, last))
    return term


def pick_fresh(m: Module, config: EngineConfig, x: Value, code: Value, index: int) -> Signal:
    """Return the term of a shift's code that is not held but decoded in the cycle that uses it.

    The sign is there first, so that is taken first; whether it is nothing, last. ``config`` has
    shift arithmetic and select "shifter".
    """
    active = Signal(active_layout(config), name=f"active{index}")
    lane = PlainShiftLane(1, config.code_bits, config.act_bits)
    term = Signal(config.term_bits, name=f"term{index}")
    m.d.comb += [
        active.as_value().eq(Cat(_shift(config, code))),
        term.eq(lane.value(x, active.held)),
    ]
    return term
