"""Windows of 2 x 2 pixels of a map for each pixel of one of twice its height and width."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory

from ..plain import Plain
from ..ram import NO_COLLISIONS
from .windowed import HEIGHT_BITS, Windowed


class PlaneMirror(Windowed):
    """Give what the pixels of a large map are made of, by a transposed 3 x 3 kernel in steps of 2.

    Pixel (y, x) takes the small map's pixel (y // 2, x // 2), where x is odd also that to the right
    of it, where y is odd those below; beyond the border they are zeros. A row is kept in a line
    buffer: it is read again for the row between it and the next. A window per cycle, but for one
    cycle a row, and for a row's pixels before the first. Stalls with its output. Reset: idle.

    Parameters
    ----------
    bits : int
        Bits of a pixel of the small map.
    max_width : int
        Widest large map, in pixels.
    sets : int

    Members
    -------
    size : In(stream of {height, width})
        Of a large map, each 1 or more; taken when the one before has come.
    i : In(stream of {bits, set})
        Pixels of a small map; all have the same ``set``.
    o : Out(stream of {bits, set})
        The pixel, those to the right, below, and below to the right. ``set`` has below it whether x
        is odd, then whether y is. Where they are not, what lies that way is undefined.
    """

    def __init__(self, bits: int, max_width: int, sets: int = 1) -> None:
        super().__init__(bits, max_width, sets, 4, 4)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size: Any = self.size.payload
        half_width = (self.max_width + 1) // 2
        running, step, go, needs = (Signal(name=n) for n in ("running", "step", "go", "needs"))
        replay = Signal()  # a row is read again, for the even row; else it comes, for the odd one
        odd_height, odd_width = Plain(name="odd_height"), Plain(name="odd_width")
        height, width = (
            Plain(HEIGHT_BITS, name="height"),
            Plain(range(half_width + 1), name="width"),
        )
        row, col = Signal(HEIGHT_BITS), Signal(range(half_width + 1))
        past_row, past_col = row == height, col == width
        m.d.comb += [
            self.size.ready.eq(~running),
            needs.eq(~replay & ~past_row & ~past_col),
            self.i.ready.eq(running & step & needs),
            go.eq(running & step & (self.i.valid | ~needs)),
        ]
        with m.If(~running):
            m.d.sync += [
                running.eq(self.size.valid), replay.eq(0), row.eq(0), col.eq(0),
                odd_height.eq(size.height[0]), odd_width.eq(size.width[0]),
                height.eq((size.height + 1) >> 1), width.eq((size.width + 1) >> 1),
            ]  # fmt: skip
        with m.Elif(go):
            m.d.sync += col.eq(col + 1)
            with m.If(past_col):
                final = Mux(replay, odd_height & (row + 1 == height), past_row)
                m.d.sync += [col.eq(0), replay.eq(~replay), running.eq(~final)]
                with m.If(replay):
                    m.d.sync += row.eq(row + 1)

        # A pixel and the one above it stand to the right of those that came before.
        there, gives, odd_col = Signal(), Signal(), Signal()
        odd_row, past, put, alone = (Plain(name=n) for n in ("odd_row", "past", "put", "alone"))
        at, own = Plain(len(col), name="at"), Plain(range(self.sets), name="set")
        pixel = Plain(self.bits, name="pixel")
        with m.If(step):
            m.d.sync += [
                there.eq(go), gives.eq(go & (col != 0) & (replay | (row != 0))),
                odd_row.eq(~replay), past.eq(past_col), put.eq(~replay & ~past_col),
                alone.eq(past_col & odd_width), at.eq(col),
                pixel.eq(Mux(needs, self.i.payload.bits, 0)),
            ]  # fmt: skip
            with m.If(go & needs):
                m.d.sync += own.eq(self.i.payload.set)
        m.submodules.line = memory = Memory(
            shape=self.bits, depth=max(half_width, 2), init=[], attrs=NO_COLLISIONS
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.en.eq(step), read.addr.eq(col),
            write.en.eq(step & there & put), write.addr.eq(at), write.data.eq(pixel),
        ]  # fmt: skip
        right = Cat(Mux(past, 0, read.data), pixel)
        left = Plain(len(right), name="left")
        with m.If(step & there):
            m.d.sync += left.eq(right)
        taken = gives & self.o.ready
        m.d.comb += [
            step.eq(~gives | (taken & (odd_col | alone))),
            self.o.valid.eq(gives),
            self.o.payload.bits.eq(
                Cat(each.word_select(y, self.bits) for y in range(2) for each in (left, right))
            ),
            self.o.payload.set.eq(Cat(odd_col, odd_row, own)),
        ]
        with m.If(taken):
            m.d.sync += odd_col.eq(~step)
        return m
