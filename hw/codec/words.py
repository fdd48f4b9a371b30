"""Pixel words out of the storer's staging memory, one after another."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..geometry import Geometry
from ..stage import line_shape


class LineWords(wiring.Component):
    """Read as many lines as a run's pixels take, and give their words from the first slot on.

    A word per cycle. Latency 2 cycles from `begin`. Reset: idle; a run begun is finished.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1)      pulse while no run is under way; ``pixels`` are taken with it
    pixels : In        words of the run
    r_en : Out(1)      read the next line of the staging memory
    r_data : In(line)  it follows in the next cycle and stays until the next read
    o : Out(stream of {word, last})   ``rows`` values each; the run's last word is marked
    """

    begin: Signal
    pixels: Signal
    r_en: Signal
    r_data: Any
    o: stream.Interface

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        word = data.StructLayout({"word": config.rows * config.act_bits, "last": 1})
        super().__init__({
            "begin": In(1),
            "pixels": In(range(config.hold + 1)),
            "r_en": Out(1),
            "r_data": In(line_shape(self.geometry)),
            "o": Out(stream.Signature(word)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, geometry = self.config, self.geometry
        to_read = Signal(range(config.hold + 1))  # pixels of lines not yet read
        left = Signal(range(config.hold + 1))  # pixels not yet taken from a line
        slot = Signal(range(geometry.slots))
        there, line_done, take = Signal(), Signal(), Signal()
        size = config.rows * config.act_bits
        m.d.comb += [
            self.o.valid.eq(there),
            self.o.payload.word.eq(self.r_data.as_value().word_select(slot, size)),
            self.o.payload.last.eq(left == 1),
            take.eq(there & self.o.ready),
            line_done.eq(take & ((slot == geometry.slots - 1) | (left == 1))),
            self.r_en.eq((to_read != 0) & (~there | line_done)),
        ]
        with m.If(self.begin):
            m.d.sync += [to_read.eq(self.pixels), left.eq(self.pixels), slot.eq(0)]
        with m.If(self.r_en):
            m.d.sync += [
                there.eq(1),
                to_read.eq(to_read - geometry.slots),
            ]
            with m.If(to_read <= geometry.slots):
                m.d.sync += to_read.eq(0)
        with m.Elif(line_done):
            m.d.sync += there.eq(0)
        with m.If(take):
            m.d.sync += [slot.eq(slot + 1), left.eq(left - 1)]
            with m.If(line_done):
                m.d.sync += slot.eq(0)
        return m
