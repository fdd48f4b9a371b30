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
        config, geometry = self.config, self.geometry
        m.submodules.packer = packer = self.packer
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        to_read = Signal(range(config.hold + 1))  # pixels of lines not yet read
        left = Signal(range(config.hold + 1))  # pixels not yet taken from a line
        slot = Signal(range(geometry.slots))
        there, line_done, take = Signal(), Signal(), Signal()
        units, offset = Signal.like(self.units), Signal.like(self.offset)
        word: Any = Signal(packer.i.payload.shape(), name="coded")
        filled, first = Signal(), Signal()

        m.d.comb += [
            take.eq(there & (~filled | packer.i.ready)),
            line_done.eq(take & ((slot == geometry.slots - 1) | (left == 1))),
            self.r_en.eq((to_read != 0) & (~there | line_done)),
            packer.i.valid.eq(filled),
            packer.i.payload.eq(word),
        ]
        with m.If(self.begin):
            m.d.sync += [
                to_read.eq(self.pixels), left.eq(self.pixels), slot.eq(0), first.eq(1),
                units.eq(self.units), offset.eq(self.offset),
            ]  # fmt: skip
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
            m.d.sync += [slot.eq(slot + 1), left.eq(left - 1), first.eq(0)]
            with m.If(line_done):
                m.d.sync += slot.eq(0)
            m.d.sync += [
                filled.eq(1),
                word.word.eq(self._planes(slot)),
                word.units.eq(units),
                word.offset.eq(offset),
                word.first.eq(first),
                word.last.eq(left == 1),
            ]
        with m.Elif(packer.i.ready):
            m.d.sync += filled.eq(0)
        return m

    def _planes(self, slot: Signal) -> Any:
        """Return the coded word in a slot of the line: a code's bit j among all bits j."""
        config = self.config
        size = config.rows * config.act_bits
        values = self.r_data.as_value().word_select(slot, size)
        planes = Cat(
            values[lane * config.act_bits + plane]
            for plane in range(config.codec_bits)
            for lane in range(config.rows)
        )
        room = len(self.packer.i.payload.word) - len(planes)
        return Cat(planes, Const(0, room)) if room > 0 else planes
