"""Small components for the tests of the flow."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out


class Leaf(wiring.Component):
    """Adds one, registered."""

    a: Signal
    o: Signal

    def __init__(self, step: int = 1) -> None:
        self.step = step
        super().__init__({"a": In(8), "o": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.a + self.step)
        return m


class Column(wiring.Component):
    """Two leaves, a small memory and a register with a name of its own."""

    a: Signal
    o: Signal

    def __init__(self, index: int, step: int = 1) -> None:
        self.index, self.step = index, step
        super().__init__({"a": In(8), "o": Out(10)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.left = left = Leaf(self.step)
        m.submodules.right = right = Leaf()
        m.submodules.store = store = memory.Memory(shape=8, depth=16, init=[])
        write, read = store.write_port(), store.read_port()
        held = Signal(9, name=f"held{self.index}")
        m.d.comb += [
            left.a.eq(self.a),
            right.a.eq(self.a ^ 3),
            write.addr.eq(held),
            write.data.eq(self.a),
            write.en.eq(1),
            read.addr.eq(self.a),
            self.o.eq(held + right.o),
        ]
        with m.If(self.a[0]):
            m.d.sync += held.eq(left.o + read.data)
        return m


class Columns(wiring.Component):
    """Columns side by side, the last one different if asked for."""

    a: Signal
    o: Signal

    def __init__(self, count: int = 3, odd: bool = False) -> None:
        self.count, self.odd = count, odd
        super().__init__({"a": In(8), "o": Out(10)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total: Any = 0
        for i in range(self.count):
            column = Column(i, 7 if self.odd and i == self.count - 1 else 1)
            m.submodules[f"column{i}"] = column
            m.d.comb += column.a.eq(self.a ^ (5 * i))
            total = total ^ column.o
        m.d.sync += self.o.eq(total)
        return m


class Multiply(wiring.Component):
    """What the engine must not be: a product, constant-free."""

    a: Signal
    b: Signal
    o: Signal

    def __init__(self, width: int = 16) -> None:
        super().__init__({"a": In(width), "b": In(width), "o": Out(2 * width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.a * self.b)
        return m


class Indexed(wiring.Component):
    """An array indexed by a signal, which Amaranth writes as a product."""

    a: data.View
    i: Signal
    o: Signal

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"a": In(data.ArrayLayout(width, 4)), "i": In(2), "o": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.a[self.i])
        return m


class Inner(wiring.Component):
    """Adds two numbers, registered."""

    low: Signal
    high: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"low": In(4), "high": In(4), "o": Out(5)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total = Signal(5)
        unread = Signal(4)
        m.d.comb += [total.eq(self.low + self.high), unread.eq(self.low)]
        m.d.sync += self.o.eq(total)
        return m


class Named(wiring.Component):
    """Whatever makes Amaranth invent names: fields, aliases, a submodule named as a signal."""

    a: Signal
    sum: Signal
    copy: Signal

    def __init__(self) -> None:
        super().__init__({"a": In(8), "sum": Out(9), "copy": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        halves = data.StructLayout({"low": 4, "high": 4})
        held = Signal(halves)
        inner, other = Signal(5), Signal(5, name="inner")
        m.submodules.inner = adder = Inner()
        m.d.sync += [held.eq(self.a), other.eq(inner)]
        m.d.comb += [
            adder.low.eq(held.low),
            adder.high.eq(held.high),
            inner.eq(adder.o),
            self.sum.eq(inner + other),
            self.copy.eq(held),
        ]
        return m
