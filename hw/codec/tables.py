"""What encoder and decoder share: tables for each lane, written entry by entry."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..plain import Plain
from ..ram import NO_COLLISIONS


class Tabled(wiring.Component):
    """A circuit from one stream to another that looks values up in tables of each lane.

    Parameters
    ----------
    lanes : int
        Channels of a word.
    act_bits : int
        Bits of a value, 2..8.
    code_bits : int
        Largest bits of a code, 1..7.
    words : int
        Words of channels for which tables are held, a power of two.
    i, o : ShapeLike
        Payloads of the streams.
    more : dict of str to Member
        Other members.

    Members
    -------
    i, o : In(stream), Out(stream)
    w_en, w_word, w_entry, w_values : In
        Write an entry of the tables of all lanes of a word. Not while that word is looked up.
    """

    i: stream.Interface
    o: stream.Interface
    w_en: Signal
    w_word: Signal
    w_entry: Signal
    w_values: data.View

    def __init__(
        self, lanes: int, act_bits: int, code_bits: int, words: int,
        i: data.Layout, o: data.Layout, **more: wiring.Member,
    ) -> None:  # fmt: skip
        if not 1 <= code_bits < act_bits:
            raise ValueError(f"code_bits must be 1..{act_bits - 1}, not {code_bits}")
        if words < 1 or words & (words - 1):
            raise ValueError(f"words must be a power of two, not {words}")
        self.lanes, self.act_bits, self.code_bits = lanes, act_bits, code_bits
        self.words = words
        super().__init__({
            "i": In(stream.Signature(i)),
            "o": Out(stream.Signature(o)),
            "w_en": In(1),
            "w_word": In(range(words)),
            "w_entry": In(code_bits),
            "w_values": In(data.ArrayLayout(act_bits, lanes)),
            **more,
        })  # fmt: skip

    def at(self, bits: int) -> Value:
        """Return where the lowest ``bits`` of ``w_entry`` and ``w_word`` say to write."""
        return Cat(self.w_entry[:bits], self.w_word)

    def table(
        self, m: Module, name: str, lane: int, *, en: Value, at: Value, address: Value,
        step: Value, value: Value | None = None,
    ) -> Value:  # fmt: skip
        """Add a lane's memory; return what it reads.

        Parameters
        ----------
        m : Module
        name : str
            Of the memory.
        lane : int
        en : Value
            Write.
        at, address : Value
            Where to: it has as many bits as the memory's addresses. What is read.
        step : Value
            Read, to the next cycle.
        value : Value, optional
            What is written, if not ``w_values[lane]``.
        """
        value = self.w_values[lane] if value is None else value
        memory = Memory(shape=len(value), depth=1 << len(at), init=[], attrs=NO_COLLISIONS)
        m.submodules[name] = memory
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(en),
            write.addr.eq(at),
            write.data.eq(value),
            read.en.eq(step),
            read.addr.eq(address),
        ]
        return read.data

    def threshold(
        self, m: Module, name: str, lane: int, stage: int, *, en: Value, at: Value,
        address: Value, step: Value,
    ) -> Value:  # fmt: skip
        """Add what one stage of a lane's search has of the tree; return a threshold of it.

        Parameters are those of `table`; entries 2^stage.. of the tree are those of the stage.
        """
        en = en & (self.w_entry >> stage == 1)
        if len(at):
            return self.table(
                m, f"thresholds{name}", lane, en=en, at=at, address=address, step=step
            )  # fmt: skip
        only = Plain(self.act_bits, name=f"threshold{name}")  # no memory has so little
        limit = Plain(self.act_bits, name=f"limit{name}")
        with m.If(en):
            m.d.sync += only.eq(self.w_values[lane])
        with m.If(step):
            m.d.sync += limit.eq(only)
        return limit
