"""The feed: coded words from the storer's staging memory to bus beats."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..geometry import Geometry
from ..stage import line_shape
from .layout import unit_bytes, word_units
from .packer import Packer
from .words import LineWords


def coded_job(config: EngineConfig) -> dict[str, Any]:
    """Return what the storer has to know of a token's coded words, nothing without a codec."""
    if not config.codec_bits:
        return {}
    return {
        "bits": range(config.codec_bits + 1), "pixels": range(config.hold + 1),
        "offset": range(config.bus_bytes // unit_bytes(config)),
    }  # fmt: skip


class Feed(wiring.Component):
    """Read the words of a run line by line, put their planes one behind another, pack them.

    After `begin` it reads as many lines as the run's pixels take, one word per cycle or as fast
    as beats go. Latency 3 cycles from `begin` to the first word in the packer. Reset: idle; a run
    begun is finished.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    begin : In(1)                  pulse while no run is under way; the sizes are taken with it
    pixels, units, offset : In     words of the run, units of each, unit of the first beat
    r_en : Out(1)                  read the next line of the staging memory
    r_data : In(line)              it follows in the next cycle and stays until the next read
    o : Out(stream of {data, strobe, last})   beats; a strobe bit for each unit
    """

    begin: Signal
    pixels: Signal
    units: Signal
    offset: Signal
    r_en: Signal
    r_data: Any
    o: stream.Interface

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        unit = unit_bytes(config)
        most = max(word_units(config, k) for k in range(1, config.codec_bits + 1))
        self.packer = Packer(8 * unit, config.bus_bytes // unit, most)
        super().__init__({
            "begin": In(1),
            "pixels": In(range(config.hold + 1)),
            "units": In(range(most + 1)),
            "offset": In(range(config.bus_bytes // unit)),
            "r_en": Out(1),
            "r_data": In(line_shape(self.geometry)),
            "o": Out(self.packer.o.signature),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.packer = packer = self.packer
        m.submodules.words = words = LineWords(self.config)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        take, filled, first = Signal(), Signal(), Signal()
        units, offset = Signal.like(self.units), Signal.like(self.offset)
        word: Any = Signal(packer.i.payload.shape(), name="coded")
        m.d.comb += [
            words.begin.eq(self.begin),
            words.pixels.eq(self.pixels),
            words.r_data.eq(self.r_data),
            self.r_en.eq(words.r_en),
            words.o.ready.eq(~filled | packer.i.ready),
            take.eq(words.o.valid & words.o.ready),
            packer.i.valid.eq(filled),
            packer.i.payload.eq(word),
        ]
        with m.If(self.begin):
            m.d.sync += [first.eq(1), units.eq(self.units), offset.eq(self.offset)]
        with m.If(take):
            m.d.sync += [
                first.eq(0),
                filled.eq(1),
                word.word.eq(self._planes(words.o.payload.word)),
                word.units.eq(units),
                word.offset.eq(offset),
                word.first.eq(first),
                word.last.eq(words.o.payload.last),
            ]
        with m.Elif(packer.i.ready):
            m.d.sync += filled.eq(0)
        return m

    def _planes(self, values: Any) -> Any:
        """Return the coded word of codes: a code's bit j among all bits j."""
        config = self.config
        planes = Cat(
            values[lane * config.act_bits + plane]
            for plane in range(config.codec_bits)
            for lane in range(config.rows)
        )
        room = len(self.packer.i.payload.word) - len(planes)
        return Cat(planes, Const(0, room)) if room > 0 else planes
