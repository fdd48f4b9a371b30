"""Gates by what they do: a library's cell where it has one, else plain logic.

A synthesiser finds most gates by itself, but never the library's full adder, and it takes a
multiplexer apart. So the array circuits name those gates, and ``flow.asic`` puts a library's
cells in their place, or the logic of ``flow/asic/gates.v`` where the library has none.
"""

from __future__ import annotations

from amaranth.hdl import Instance, Module, Signal, Value

#: Arrival of each output after the last input, in ns at the usual load of OSU 0.18 um: only the
#: order of additions in a tree depends on it.
DELAY = {"sum": 0.26, "carry": 0.20, "half_sum": 0.18, "half_carry": 0.12}


class Cells:
    """Adds gates to a module.

    Parameters
    ----------
    m : Module
    """

    def __init__(self, m: Module) -> None:
        self._m = m
        self._count = 0

    def _gate(self, kind: str, outputs: tuple[str, ...], **inputs: Value) -> tuple[Signal, ...]:
        index, self._count = self._count, self._count + 1
        out = tuple(Signal(name=f"{kind}{index}_{port}") for port in outputs)
        ports = {f"i_{port}": value for port, value in inputs.items()}
        ports |= {f"o_{port}": signal for port, signal in zip(outputs, out, strict=True)}
        self._m.submodules[f"{kind}_{index}"] = Instance(f"shiftwork_{kind}", **ports)
        return out

    def full_adder(self, a: Value, b: Value, c: Value) -> tuple[Signal, Signal]:
        """Return sum and carry; ``c`` is the lightest load."""
        total, carry = self._gate("full_adder", ("s", "co"), a=a, b=b, c=c)
        return total, carry

    def half_adder(self, a: Value, b: Value) -> tuple[Signal, Signal]:
        """Return sum and carry of two bits."""
        total, carry = self._gate("half_adder", ("s", "co"), a=a, b=b)
        return total, carry

    def mux(self, s: Value, low: Value, high: Value) -> Signal:
        """Return the inverse of ``high`` where s is 1, else of ``low``."""
        return self._gate("mux", ("y",), s=s, low=low, high=high)[0]

    def choose(self, a: Value, b: Value, c: Value, d: Value) -> Signal:
        """Return the inverse of (a and b) or (c and d); b and d change seldom."""
        return self._gate("choose", ("y",), a=a, b=b, c=c, d=d)[0]

    def nor(self, a: Value, b: Value) -> Signal:
        """Return 1 where neither is 1; b changes seldom."""
        return self._gate("nor", ("y",), a=a, b=b)[0]

    def nand(self, a: Value, b: Value) -> Signal:
        """Return 1 where not both are 1; b changes seldom."""
        return self._gate("nand", ("y",), a=a, b=b)[0]

    def drive(self, a: Value) -> Signal:
        """Return a copy of ``a`` that can drive a line across the array."""
        return self._gate("drive", ("y",), a=a)[0]

    def drive_inverse(self, a: Value) -> Signal:
        """Return the inverse of ``a``, for a line across the array."""
        return self._gate("drive_inverse", ("y",), a=a)[0]
