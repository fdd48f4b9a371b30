"""The activation buffer and the window: what the array's rows are in each beat."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .array import beat_layout
from .config import EngineConfig
from .descriptor import Mode
from .plain import Plain
from .ram import NO_COLLISIONS


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
            "beat": Out(beat_layout(config)),
            "acts": Out(word),
            "separate": Out(1),
            "taps": Out(data.ArrayLayout(word, config.window)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        # Stage B ends: words as they were read, and with more than one, then turned into order.
        words = self._read(m)
        control = Signal(control_layout(config), name="control_b")
        m.d.comb += [
            control.beat.eq(self.i_beat),
            control.padding.eq(self.padding),
            control.pad_value.eq(self.pad_value),
            control.mode.eq(self.mode),
        ]
        for stage in range(1 + (config.window > 1)):
            later = Signal(control_layout(config), name=f"control_{stage}")
            m.d.sync += later.eq(control)
            control = later

        # Then padding, and what the mode makes of them.
        padded = []
        for index, word in enumerate(words):
            held = Plain(len(word), name=f"word{index}")
            real = Plain(data.ArrayLayout(config.act_bits, config.rows), name=f"padded{index}")
            m.d.sync += held.eq(word)
            domain = m.d.comb if config.window == 1 else m.d.sync
            domain += real.as_value().eq(
                Mux(control.padding[index], control.pad_value.replicate(config.rows), held)
            )
            padded.append(real)
        acts = Plain(self.acts.shape(), name="rows")
        m.d.comb += self.acts.eq(acts)
        if config.window == 1:
            m.d.comb += self.beat.eq(control.beat)
            m.d.sync += acts.eq(padded[0])
            return m

        mode = Signal(Mode)
        m.d.sync += [self.beat.eq(control.beat), mode.eq(control.mode)]
        with m.Switch(mode):
            with m.Case(Mode.PACKED):
                lanes = config.rows // config.window
                packed = Cat(word[lane] for word in padded for lane in range(lanes))
                m.d.sync += acts.as_value().eq(packed)
            with m.Case(Mode.MERGED):
                for lane in range(config.rows):
                    m.d.sync += acts[lane].eq(_largest(m, [w[lane] for w in padded], lane))
            with m.Default():
                m.d.sync += acts.eq(padded[0])
        m.d.sync += self.separate.eq(mode == Mode.SEPARATE)
        taps = Plain(self.taps.shape(), name="neighbours")
        m.d.comb += self.taps.eq(taps)
        m.d.sync += [taps[index].eq(word) for index, word in enumerate(padded)]
        return m

    def _read(self, m: Module) -> list[Value]:
        """Return the words of the beat: in stage B, or where there are several a cycle later.

        Bank b holds the addresses b modulo window. What the memories give is registered before it
        is turned: they are spread over the whole die.
        """
        config = self.config
        low_bits = config.window.bit_length() - 1
        high, low = self.address[low_bits:], self.address[:low_bits]
        turn, turn_later = Signal(low_bits), Signal(low_bits)
        m.d.sync += [turn.eq(low), turn_later.eq(turn)]
        banks: list[Value] = []
        for bank in range(config.window):
            # The band being loaded is never the one being read.
            memory = Memory(
                shape=config.rows * config.act_bits, depth=config.buffer_words // config.window,
                init=[], attrs=NO_COLLISIONS,
            )  # fmt: skip
            m.submodules[f"bank{bank}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(self.w_addr[low_bits:]),
                write.data.eq(self.w_data),
                write.en.eq(self.w_en & (self.w_addr[:low_bits] == bank)),
                read.addr.eq(high + (low > bank)),
            ]
            banks.append(read.data)
        if config.window == 1:
            return banks
        raw = [Plain(len(value), name=f"raw{bank}") for bank, value in enumerate(banks)]
        m.d.sync += [each.eq(value) for each, value in zip(raw, banks, strict=True)]
        words: list[Value] = []
        for index in range(config.window):
            word = Signal(config.rows * config.act_bits, name=f"turned{index}")
            with m.Switch(turn_later):
                for first in range(config.window):
                    with m.Case(first):
                        m.d.comb += word.eq(raw[(first + index) % config.window])
            words.append(word)
        return words


def _largest(m: Module, values: list[Value], lane: int) -> Value:
    """Return the largest value, by a balanced tree."""
    level = values
    while len(level) > 1:
        pairs = []
        for a, b in zip(level[::2], level[1::2], strict=True):
            larger = Signal(len(a), name=f"larger{lane}_{len(level)}_{len(pairs)}")
            m.d.comb += larger.eq(Mux(a > b, a, b))
            pairs.append(larger)
        level = pairs
    return level[0]
