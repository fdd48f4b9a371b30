"""Windows of 3 x 3 pixels in steps of 2, out of a map that comes row by row."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from ..plain import Plain
from ..ram import NO_COLLISIONS
from .windowed import HEIGHT_BITS, Windowed


class PlaneWindow(Windowed):
    """Give the 3 x 3 pixels around every second one of every second row, zeros beyond the border.

    Two rows are kept in a line buffer. A map of odd height or width gets a row or column of zeros
    behind it, which takes as many cycles more; else a pixel per cycle, and a window, if there is
    one, in the next. A cycle is lost from map to map. Stalls with its output. Reset: idle.

    Parameters
    ----------
    bits : int
        Bits of a pixel.
    max_width : int
        Widest map, in pixels.
    sets : int

    Members
    -------
    size : In(stream of {height, width})
        Of a map, each 1 or more; taken when the one before has come.
    i : In(stream of {bits, set})
        Pixels of a map; all have the same ``set``, which goes along.
    o : Out(stream of {bits, set})
        Pixels of a window, row by row.
    """

    def __init__(self, bits: int, max_width: int, sets: int = 1) -> None:
        super().__init__(bits, max_width, sets, 9)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size: Any = self.size.payload
        running, step, go, beyond = (Signal(name=n) for n in ("running", "step", "go", "beyond"))
        map_size: Any = Plain(self.size.payload.shape(), name="map_size")
        row, col = Signal(HEIGHT_BITS), Signal(range(self.max_width + 1))
        m.d.comb += [
            self.size.ready.eq(~running),
            beyond.eq((row == map_size.height) | (col == map_size.width)),
            self.i.ready.eq(running & step & ~beyond),
            go.eq(running & step & (self.i.valid | beyond)),
        ]
        last_row, last_col = (
            row == Cat(1, (map_size.height - 1)[1:HEIGHT_BITS]),
            col == Cat(1, (map_size.width - 1)[1 : len(col)]),
        )
        with m.If(~running):
            m.d.sync += [running.eq(self.size.valid), map_size.eq(size), row.eq(0), col.eq(0)]
        with m.Elif(go):
            m.d.sync += col.eq(col + 1)
            with m.If(last_col):
                m.d.sync += [col.eq(0), row.eq(row + 1), running.eq(~last_row)]

        # A pixel stands beside those above it.
        there, ends = Signal(), Signal()  # ends: it is the last of a window
        first_row, first_col = Plain(name="first_row"), Plain(name="first_col")
        at = Plain(len(col), name="at")
        pixel, own = Plain(self.bits, name="pixel"), Plain(range(self.sets), name="set")
        with m.If(step):
            m.d.sync += [
                there.eq(go), ends.eq(go & row[0] & col[0]), first_row.eq(row == 1),
                first_col.eq(col == 1), at.eq(col), pixel.eq(Mux(beyond, 0, self.i.payload.bits)),
            ]  # fmt: skip
            with m.If(go & ~beyond):
                m.d.sync += own.eq(self.i.payload.set)
        depth = self.max_width + self.max_width % 2
        above, further = self._lines(m, depth, col, at, step & there, step, pixel)
        column = Cat(Mux(first_row, 0, further), above, pixel)
        before, earlier = Plain(len(column), name="before"), Plain(len(column), name="earlier")
        with m.If(step & there):
            m.d.sync += [before.eq(column), earlier.eq(before)]
        columns = [Mux(first_col, 0, earlier), before, column]
        m.d.comb += [
            step.eq(~ends | self.o.ready),
            self.o.valid.eq(ends),
            self.o.payload.set.eq(own),
            self.o.payload.bits.eq(
                Cat(each.word_select(y, self.bits) for y in range(3) for each in columns)
            ),
        ]
        return m

    def _lines(
        self, m: Module, depth: int, col: Value, at: Value, put: Value, step: Value, pixel: Value
    ) -> tuple[Value, Value]:
        """Keep the last two rows; return the pixels above the one at hand, the nearer first."""
        m.submodules.lines = memory = Memory(
            shape=2 * self.bits, depth=depth, init=[], attrs=NO_COLLISIONS
        )
        write, read = memory.write_port(), memory.read_port()
        above, further = read.data[: self.bits], read.data[self.bits :]
        m.d.comb += [
            read.en.eq(step), read.addr.eq(col),
            write.en.eq(put), write.addr.eq(at), write.data.eq(Cat(pixel, above)),
        ]  # fmt: skip
        return above, further
