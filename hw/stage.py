"""The storer's staging memory: collects the outputs of a column block, pixel by pixel."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .geometry import TOKENS, Geometry
from .plain import Plain
from .queue import Queue
from .ram import NO_COLLISIONS


def line_shape(geometry: Geometry) -> data.ArrayLayout:
    """Return a line's granules, lowest lane of the first pixel first."""
    config = geometry.config
    bits = config.requantise_lanes * config.act_bits
    return data.ArrayLayout(bits, geometry.slots * geometry.granules)


def store_token_layout(config: EngineConfig, *, coded: bool = True) -> data.StructLayout:
    """Return the token of a storer: where one column block of one tile goes.

    In an engine with a codec, or maps without zeros, `codec.tokens.Tokens` adds the last fields;
    without ``coded`` they are left out.
    """
    more: dict[str, Any] = {}
    if config.codec_bits or config.zero_maps:
        more["bytes"] = range(config.hold * config.word_bytes + 1)
    if config.codec_bits:
        more["bits"] = range(config.codec_bits + 1)
    if config.zero_maps:
        more |= {"masks": 32, "segment": range(config.hold + 1)}
    return data.StructLayout({
        "addr": 32,  # byte address of the word of the first channel, first pixel
        "plane_stride": 32,  # bytes
        "pixels": range(config.hold + 1),  # 1..hold
        "lane": range(config.rows),  # of the first channel, a multiple of gcd(rows, cols)
        "channels": range(config.cols + 1),  # real ones, 1..cols
        "last": 1,
        # Bytes of a plane's run of coded words or of masks, bits of a value's code (0 if it is
        # stored as it is), byte address of the masks, pixels of a segment (0 if zeros are stored).
        **(more if coded else {}),
    })  # fmt: skip


class Stage(wiring.Component):
    """Collect a token's groups into a ring of lines; offer the token when all of it is there.

    Every token starts a new line; for words narrower than the bus its first pixel lies in the
    slot that its address has in a bus beat. Lines are used in turn, those from `free_line` on are
    still wanted by the reader of the memory. Codes, and words of maps without zeros, start in slot
    0: they are packed later.

    Latency 2 cycles from the last group to the token on `job`, and to its data in the memory.
    Throughput one group per cycle, with a gap of 2 cycles between tokens; up to 4 tokens wait.
    `i.ready` falls while no token is at hand, and while the ring is full. Reset: empty.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    token : In(stream.Signature(store_token_layout(config)))
    i : In(stream.Signature(ArrayLayout(act_bits, requantise_lanes)))
        Per token pixels x cols / requantise_lanes groups, pixel-major, then channel.
    job : Out(stream.Signature(store_token_layout(config)))
        Collected tokens.
    free_line : In(line_bits + 1)
        First line in use, counted on without wrapping at the ring's end.
    r_line, r_plane, r_en : In; r_data : Out(line)
        Synchronous read port: data follow in the next cycle and stay until the next read.
    halt : In(1)
        Drop everything that comes and is at hand.
    idle : Out(1)
        No token at hand.
    """

    token: Any
    i: Any
    job: Any
    free_line: Signal
    r_line: Signal
    r_plane: Signal
    r_en: Signal
    r_data: Any
    halt: Signal
    idle: Signal

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.geometry = Geometry(config)
        token = store_token_layout(config)
        group = data.ArrayLayout(config.act_bits, config.requantise_lanes)
        super().__init__({
            "token": In(stream.Signature(token)),
            "i": In(stream.Signature(group)),
            "job": Out(stream.Signature(token)),
            "free_line": In(self.geometry.line_bits + 1),
            "r_line": In(self.geometry.line_bits),
            "r_plane": In(range(self.geometry.planes)),
            "r_en": In(1),
            "r_data": Out(line_shape(self.geometry)),
            "halt": In(1),
            "idle": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        """Build the stage."""
        m = Module()
        config, geometry = self.config, self.geometry
        byte_bits = (config.word_bytes - 1).bit_length()
        slot_bits = (geometry.slots - 1).bit_length()

        m.submodules.tokens = tokens = Queue(store_token_layout(config), TOKENS)
        wiring.connect(m, wiring.flipped(self.token), tokens.i)
        m.d.comb += self.job.payload.eq(tokens.o.payload)
        head = tokens.o.p

        depth = geometry.lines << (geometry.planes - 1).bit_length()
        m.submodules.memory = memory = Memory(
            shape=line_shape(geometry), depth=depth, init=[], attrs=NO_COLLISIONS
        )
        read, write = memory.read_port(), memory.write_port(granularity=1)
        m.d.comb += [
            read.addr.eq(Cat(self.r_line, self.r_plane)),
            read.en.eq(self.r_en),
            self.r_data.eq(read.data),
        ]

        # Where the next group goes.
        first = Signal(range(geometry.granules))
        granule = Signal(range(geometry.granules))
        group = Signal(range(geometry.groups))
        plane = Signal(range(geometry.planes))
        slot = Signal(slot_bits)
        line = Signal(geometry.line_bits + 1)
        left = Signal(range(config.hold + 1))  # pixels
        pixel_last = Signal()
        full = Signal()  # or nearly so: a cycle late, hence one line early
        used = Signal(geometry.line_bits + 1)
        collect, take = Signal(), Signal()
        m.d.comb += [
            used.eq(line - self.free_line),
            self.i.ready.eq((collect & ~full) | self.halt),
            take.eq(self.i.valid & collect & ~full),
        ]
        m.d.sync += full.eq(used >= geometry.lines - 1)
        with m.Switch(head.lane):  # lane / requantise_lanes
            for index in range(geometry.granules):
                with m.Case(index * config.requantise_lanes):
                    m.d.comb += first.eq(index)

        # Written one cycle later, from registers.
        values = Plain(config.requantise_lanes * config.act_bits, name="values")
        m.d.comb += [write.data[index].eq(values) for index in range(len(write.en))]
        m.d.sync += [values.eq(self.i.payload), write.addr.eq(Cat(line[:-1], plane))]
        for index in range(len(write.en)):
            s, g = divmod(index, geometry.granules)
            m.d.sync += write.en[index].eq(take & (slot == s) & (granule == g))

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(~tokens.o.valid)
                m.d.sync += [
                    granule.eq(first),
                    group.eq(0),
                    plane.eq(0),
                    slot.eq(head.addr >> byte_bits),
                    left.eq(head.pixels),
                    pixel_last.eq(head.pixels == 1),
                ]
                if config.codec_bits:
                    with m.If(head.bits != 0):
                        m.d.sync += slot.eq(0)
                if config.zero_maps:
                    with m.If(head.segment != 0):
                        m.d.sync += slot.eq(0)
                with m.If(tokens.o.valid & ~self.halt):
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                m.d.comb += collect.eq(~self.halt)
                with m.If(take):
                    m.d.sync += [group.eq(group + 1), granule.eq(granule + 1)]
                    with m.If(granule == geometry.granules - 1):
                        m.d.sync += [granule.eq(0), plane.eq(plane + 1)]
                    with m.If(group == geometry.groups - 1):
                        m.d.sync += [
                            group.eq(0),
                            granule.eq(first),
                            plane.eq(0),
                            slot.eq(slot + 1),
                            left.eq(left - 1),
                            pixel_last.eq(left == 2),
                        ]
                        with m.If(pixel_last | (slot == geometry.slots - 1)):
                            m.d.sync += line.eq(line + 1)
                        with m.If(pixel_last):
                            m.next = "OFFER"
                with m.If(self.halt):
                    m.next = "IDLE"
            with m.State("OFFER"):
                m.d.comb += [
                    self.job.valid.eq(~self.halt),
                    tokens.o.ready.eq(self.job.ready),
                ]
                with m.If(self.job.ready | self.halt):
                    m.next = "IDLE"
        with m.If(self.halt):
            m.d.comb += tokens.o.ready.eq(1)
        return m
