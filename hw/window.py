"""The activation buffer and the window: what the array's rows are in each beat."""

from __future__ import annotations

from itertools import pairwise
from math import gcd
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .array import beat_layout
from .config import EngineConfig
from .copies import MAX_COPIES, copies, later
from .descriptor import Mode
from .geometry import spreads_words, take_stages, turn_stages
from .plain import Plain
from .ram import NO_COLLISIONS

WRITE_STAGES = 3  # of a word's way to its memory; nothing waits for it


def control_layout(config: EngineConfig) -> data.StructLayout:
    """Return what travels with a beat's words."""
    return data.StructLayout({
        "beat": beat_layout(config), "padding": config.window,
        "pad_value": config.act_bits, "mode": Mode,
    })  # fmt: skip


class Window(wiring.Component):
    """Read ``window`` neighbouring words of the buffer and form the rows of a beat.

    Words of neighbouring addresses lie in different banks, so any ``window`` of them are read in
    one cycle. Padding takes the place of words that are not real. A beat's address comes in stage
    A, its control in B; ``beat`` goes on to the array a cycle later, or 1 +
    ``geometry.window_stages``, its rows a cycle after that. One beat per cycle, no back-pressure.
    With several banks in a deep engine a word is written three cycles after it came.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    w_addr, w_data, w_en              the loader's writes
    address : In                      first word of the beat in stage A
    i_beat : In(beat_layout)          control of the beat in stage B
    padding : In(window)              words that are padding (stage B)
    pad_value : In(8), mode : In(2)   stage B
    taking : Out(1)                   pulse: in the next cycle a beat takes the next block of codes
    beat : Out(beat_layout)           control for the array's stage B
    acts : Out(rows x act_bits)       rows shared by all columns, in the array's stage C
    separate : Out(1)                 each column takes its own lane of ``taps`` instead
    taps : Out(window x rows x act_bits)   the words, in the array's stage C
    """

    w_addr: Signal
    w_data: Signal
    w_en: Signal
    address: Signal
    i_beat: data.View
    padding: Signal
    pad_value: Signal
    mode: Signal
    taking: Signal
    beat: data.View
    acts: data.View
    separate: Signal
    taps: data.View

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        word = data.ArrayLayout(config.act_bits, config.rows)
        super().__init__({
            "w_addr": In(range(config.buffer_words)),
            "w_data": In(config.rows * config.act_bits),
            "w_en": In(1),
            "address": In(range(config.buffer_words)),
            "i_beat": In(beat_layout(config)),
            "padding": In(config.window),
            "pad_value": In(8),
            "mode": In(Mode),
            "taking": Out(1),
            "beat": Out(beat_layout(config)),
            "acts": Out(word),
            "separate": Out(1),
            "taps": Out(data.ArrayLayout(word, config.window)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        staged = spreads_words(config)
        # Stage B ends: words as they were read, and with more than one, then turned into order.
        control = Signal(control_layout(config), name="control_b")
        words = self._read(m, control)
        m.d.comb += [
            control.beat.eq(self.i_beat),
            control.padding.eq(self.padding),
            control.pad_value.eq(self.pad_value),
            control.mode.eq(self.mode),
        ]
        turned = control
        for stage in range(turn_stages(config)):
            if stage == take_stages(config) - 1:
                m.d.comb += self.taking.eq(control.beat.valid & control.beat.load)
            control_later = Signal(control_layout(config), name=f"control_{stage}")
            m.d.sync += control_later.eq(control)
            turned, control = control, control_later

        # Then padding, and what the mode makes of them.
        padded = []
        for index, word in enumerate(words):
            held = Plain(len(word), name=f"word{index}")
            real = Plain(data.ArrayLayout(config.act_bits, config.rows), name=f"padded{index}")
            value = Mux(control.padding[index], control.pad_value.replicate(config.rows), held)
            # What no beat takes stays as it is, here and below.
            with m.If(_takes(turned.beat, turned.mode, index)):
                m.d.sync += held.eq(word)
            if staged:
                with m.If(_takes(control.beat, control.mode, index)):
                    m.d.sync += real.as_value().eq(value)
            else:
                m.d.comb += real.as_value().eq(value)
            padded.append(real)
        acts = Plain(self.acts.shape(), name="rows")
        m.d.comb += self.acts.eq(acts)
        if not staged:
            m.d.comb += self.beat.eq(control.beat)
        if config.window == 1:
            with m.If(control.beat.valid):
                m.d.sync += acts.eq(padded[0])
            return m

        # For a maximum, the larger of two words; then what the mode makes of them.
        mode: Any = control.mode
        larger = [
            [_larger(a[lane], b[lane]) for lane in range(config.rows)]
            for a, b in zip(padded[::2], padded[1::2], strict=True)
        ]
        if staged:
            padded, larger, mode = self._register(m, padded, larger, control)
        with m.If(self.beat.valid), m.Switch(mode):
            with m.Case(Mode.PACKED):
                lanes = config.rows // config.window
                packed = Cat(word[lane] for word in padded for lane in range(lanes))
                m.d.sync += acts.as_value().eq(packed)
            with m.Case(Mode.MERGED):
                for lane in range(config.rows):
                    pairs = [pair[lane] for pair in larger]
                    m.d.sync += acts[lane].eq(_larger(*pairs) if len(pairs) > 1 else pairs[0])
            with m.Default():
                m.d.sync += acts.eq(padded[0])
        m.d.sync += self.separate.eq(mode == Mode.SEPARATE)
        taps = Plain(self.taps.shape(), name="neighbours")
        m.d.comb += self.taps.eq(taps)
        with m.If(self.beat.valid & (mode == Mode.SEPARATE)):
            m.d.sync += [taps[index].eq(word) for index, word in enumerate(padded)]
        return m

    def _register(
        self, m: Module, padded: list[Any], larger: list[list[Value]], control: data.View
    ) -> tuple[list[Any], list[Any], Value]:
        """Return words, the larger ones of two and the mode a stage later; ``beat`` is one more."""
        mode, beside = Signal(Mode), Signal(Mode)
        beat = Signal(beat_layout(self.config), name="beat_pairs")
        m.d.sync += [beat.eq(control.beat), self.beat.eq(beat)]
        m.d.sync += [beside.eq(control.mode), mode.eq(beside)]
        words, pairs = [], []
        for index, word in enumerate(padded):
            held = Plain(word.shape(), name=f"later{index}")
            with m.If(_takes(beat, beside, index)):
                m.d.sync += held.eq(word)
            words.append(held)
        for index, values in enumerate(larger):
            pair = Plain(padded[0].shape(), name=f"larger{index}")
            with m.If(beat.valid & (beside == Mode.MERGED)):
                m.d.sync += [pair[lane].eq(value) for lane, value in enumerate(values)]
            pairs.append(pair)
        return words, pairs, mode

    def _read(self, m: Module, control: data.View) -> list[Value]:
        """Return the words of the beat: in stage B, or where there are several some cycles later.

        Bank b holds the addresses b modulo window. A bank whose word the beat does not take is not
        read. ``control`` is that of stage B.

        In a deep engine the memories are spread over the whole die, so addresses are registered
        where they are worked out and again, in copies, for groups of memories; and what the
        memories give is registered twice before it is turned: it comes late in a cycle, and from
        everywhere.
        """
        config = self.config
        low_bits = config.window.bit_length() - 1
        if config.window == 1:
            memory = self._memory(m, "bank0", config.rows)
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(self.w_addr), write.data.eq(self.w_data), write.en.eq(self.w_en),
                read.addr.eq(self.address),
            ]  # fmt: skip
            return [read.data]

        high, low = self.address[low_bits:], self.address[:low_bits]
        turns: list[Value] = [low]
        for stage in range(turn_stages(config)):
            turns.append(Signal(low_bits, name=f"turn{stage}"))
            m.d.sync += turns[-1].eq(turns[-2])
        takes = Cat(  # banks whose words the beat takes
            control.beat.valid & ((control.mode != Mode.PLANE) | (turns[1] == bank))
            for bank in range(config.window)
        )
        addresses = [Plain(len(high), name=f"address{bank}") for bank in range(config.window)]
        m.d.sync += [each.eq(high + (low > bank)) for bank, each in enumerate(addresses)]
        banks = self._spread if spreads_words(config) else self._at_once
        raw = banks(m, takes, addresses)
        words: list[Value] = []
        for index in range(config.window):
            word = Signal(config.rows * config.act_bits, name=f"turned{index}")
            with m.Switch(turns[-1]):
                for first in range(config.window):
                    with m.Case(first):
                        m.d.comb += word.eq(raw[(first + index) % config.window])
            words.append(word)
        return words

    def _at_once(self, m: Module, takes: Value, addresses: list[Signal]) -> list[Value]:
        """Add the banks' memories; return what those that ``takes`` named a cycle ago gave."""
        config = self.config
        low_bits = config.window.bit_length() - 1
        raw: list[Value] = []
        for bank, address in enumerate(addresses):
            memory = self._memory(m, f"bank{bank}", config.rows)
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(self.w_addr[low_bits:]), write.data.eq(self.w_data),
                write.en.eq(self.w_en & (self.w_addr[:low_bits] == bank)),
                read.addr.eq(address), read.en.eq(takes[bank]),
            ]  # fmt: skip
            raw.append(read.data)
        return raw

    def _spread(self, m: Module, takes: Value, addresses: list[Signal]) -> list[Value]:
        """Add the banks' memories, all over the die; return their words four cycles later."""
        config = self.config
        low_bits = config.window.bit_length() - 1
        groups = gcd(MAX_COPIES, config.rows)
        lanes = config.rows // groups
        # The band being loaded is never the one being read, and not read at once.
        written: Value = self.w_data
        for stage in range(WRITE_STAGES):
            w_data = Plain(len(self.w_data), name=f"write_data{stage}")
            m.d.sync += w_data.eq(written)
            written = w_data
        taking = [Signal(config.window, name=f"takes{stage}") for stage in range(4)]
        m.d.comb += taking[0].eq(takes)
        m.d.sync += [after.eq(before) for before, after in pairwise(taking)]
        raw: list[Value] = []
        for bank, address in enumerate(addresses):
            w_high = Plain(len(address), name=f"write_high{bank}")
            w_en = Signal(name=f"write{bank}")
            here = self.w_en & (self.w_addr[:low_bits] == bank)
            m.d.sync += w_en.eq(here)
            with m.If(here):  # so that banks differ
                m.d.sync += w_high.eq(self.w_addr[low_bits:])
            reads = copies(m, f"read{bank}", taking[0][bank], groups)
            with m.If(taking[0][bank]):
                r_addresses = copies(m, f"read_address{bank}", address, groups)
            w_addresses, w_enables = (
                [later(m, each) for each in copies(m, f"{name}{bank}", value, groups)]
                for name, value in (("write_address", w_high), ("write_enable", w_en))
            )
            read_out = []
            for group in range(groups):
                part = slice(group * lanes * config.act_bits, (group + 1) * lanes * config.act_bits)
                memory = self._memory(m, f"bank{bank}_{group}", lanes)
                write, read = memory.write_port(), memory.read_port()
                # Inverted where the copy is: a memory does not mind, if all its addresses are.
                m.d.comb += [
                    write.addr.eq(w_addresses[group].stored),
                    write.data.eq(written[part]),
                    write.en.eq(w_enables[group].value),
                    read.addr.eq(r_addresses[group].stored),
                    read.en.eq(reads[group].value),
                ]
                read_out.append(read.data)
            near, word = (
                Plain(config.rows * config.act_bits, name=f"{name}{bank}")
                for name in ("raw", "far")
            )
            with m.If(taking[2][bank]):
                m.d.sync += near.eq(Cat(*read_out))
            with m.If(taking[3][bank]):
                m.d.sync += word.eq(near)
            raw.append(word)
        return raw

    def _memory(self, m: Module, name: str, lanes: int) -> Memory:
        """Add a bank's memory for some lanes of its words."""
        memory = Memory(
            shape=lanes * self.config.act_bits,
            depth=self.config.buffer_words // self.config.window,
            init=[],
            attrs=NO_COLLISIONS,
        )
        m.submodules[name] = memory
        return memory


def _takes(beat: data.View, mode: Value, index: int) -> Value:
    """Return whether a beat takes its word ``index``: by its mode all of them or the first."""
    return beat.valid & (mode != Mode.PLANE) if index else beat.valid


def _larger(a: Value, b: Value) -> Value:
    return Mux(a > b, a, b)
