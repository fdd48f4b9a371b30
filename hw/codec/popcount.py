"""Population counts: how many of some bits are 1, by trees of adders that waste nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth.hdl import C, Cat, Module, Signal, Value

from ..plain import Plain

LEVELS = 3  # of adders between registers


def add(m: Module, a: Value, b: Value, carry: Value | None, most: int) -> Value:
    """Return a + b + carry, in as many bits as ``most``, the largest that it can be, takes.

    The carry bit enters an adder below its lowest place, where adders take one anyway: a second
    addition would cost as much again.
    """
    total = Signal(range(most + 1))
    summed = a + b if carry is None else (Cat(C(1, 1), a) + Cat(carry, b)) >> 1
    m.d.comb += total.eq(summed)
    return total


def delay(m: Module, value: Value, cycles: int, step: Value) -> Value:
    """Return a value some cycles later, of cycles in which ``step`` is high."""
    for _ in range(cycles):
        later = Plain(len(value), name="later")
        with m.If(step):
            m.d.sync += later.eq(value)
        value = later
    return value


def count_stages(bits: int) -> int:
    """Return the cycles that `population_count` takes."""
    return (bits.bit_length() - 1) // LEVELS


def population_count(m: Module, bits: Sequence[Value], step: Value) -> Value:
    """Return how many bits are 1, `count_stages` cycles later.

    Each adder adds two counts and one bit more: of n bits n - 1 go into the halves and one into
    the carry, so no partial sum has a bit that is always 0, and of 2^w - 1 bits none is wasted.

    Parameters
    ----------
    m : Module
    bits : sequence of Value
        One or more, of one bit each.
    step : Value
        When the registers move on.

    Raises
    ------
    ValueError
        If there is nothing to count.
    """
    if not bits:
        raise ValueError("population_count needs at least one bit")
    height = len(bits).bit_length() - 1  # adders on the longest way
    return _count(m, bits, height, lambda value, cycles: delay(m, value, cycles, step))


def _count(
    m: Module, bits: Sequence[Value], height: int, delayed: Callable[[Value, int], Value]
) -> Value:
    """Count at a height of the tree; registers are at every third, above the bits themselves."""
    if len(bits) == 1:
        return delayed(bits[0], height // LEVELS)
    half = len(bits) // 2
    one, *others = bits
    if len(bits) == 2:
        a, b = (_count(m, [bit], height - 1, delayed) for bit in bits)
        total: Value = Cat(a ^ b, a & b)
    else:
        carry = _count(m, [one], height - 1, delayed)
        a = _count(m, others[:half], height - 1, delayed)
        b = _count(m, others[half:], height - 1, delayed)
        if len(bits) == 3:
            total = Cat(a ^ b ^ carry, (a & b) | (carry & (a ^ b)))
        else:
            total = add(m, a, b, carry, len(bits))
    return delayed(total, int(height % LEVELS == 0))
