"""The sequencer's block-level loops, and where each column block's output goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from .config import EngineConfig
from .tree import times


class Loops:
    """The block-level loop counters, each with its size and a flag for its last turn.

    The flags are registered: a counter moves at most every 4 cycles.
    """

    def __init__(self, m: Module, d: data.View) -> None:
        sizes = {"tile": d.tiles, "column": d.col_blocks, "ky": d.kernel_h, "kx": d.kernel_w,
                 "plane": d.row_blocks, "term": d.passes}  # fmt: skip
        self.count = {n: Signal(len(size), name=f"{n}_count") for n, size in sizes.items()}
        self.last = {n: Signal(name=f"{n}_last") for n in sizes}
        for name, size in sizes.items():
            m.d.sync += self.last[name].eq(self.count[name] + 1 == size)

    def clear(self, m: Module) -> None:
        """Set every counter to zero."""
        m.d.sync += [count.eq(0) for count in self.count.values()]

    @contextmanager
    def step(self, m: Module, name: str) -> Iterator[None]:
        """Count one turn; the body holds where the loop goes on, a following Else where it ends."""
        m.d.sync += self.count[name].eq(Mux(self.last[name], 0, self.count[name] + 1))
        with m.If(~self.last[name]):
            yield


class Places:
    """Where a column block's output goes, and how far a depthwise one moves in the buffer."""

    def __init__(self, m: Module, config: EngineConfig, d: data.View) -> None:
        self.config = config
        self.quotient, self.remainder = divmod(config.cols, config.rows)
        self.tile_addr, self.addr = Signal(32, name="tile_addr"), Signal(32, name="out_addr")
        self.lane = Signal(range(config.rows), name="out_lane")
        self.left = Signal(16, name="channels_left")
        self.channels = Signal(range(config.cols + 1), name="out_channels")
        self.wraps = Signal(name="lane_wraps")
        m.d.comb += [
            self.channels.eq(Mux(self.left < config.cols, self.left, config.cols)),
            self.wraps.eq(self.lane + self.remainder >= config.rows),
        ]
        planes = times(d.plane_words, self.quotient) + Mux(self.wraps, d.plane_words, 0)
        self.buffer_step = Mux(d.depthwise, planes, 0)

    def start(self, m: Module, addr: Value, channels: Value) -> None:
        """Begin a band."""
        m.d.sync += [self.tile_addr.eq(addr), self.addr.eq(addr)]
        m.d.sync += [self.lane.eq(0), self.left.eq(channels)]

    def advance(self, m: Module, d: data.View, tile_done: Value, tile_pixels: Value) -> None:
        """Move on after a column block; after the last one, to the next tile."""
        config = self.config
        stride = d.out_plane_stride
        with m.If(tile_done):
            following = Signal(32, name="next_tile_addr")
            m.d.comb += following.eq(
                self.tile_addr + (tile_pixels << (config.word_bytes.bit_length() - 1))
            )
            m.d.sync += [self.tile_addr.eq(following), self.addr.eq(following)]
            m.d.sync += [self.lane.eq(0), self.left.eq(d.out_channels)]
        with m.Else():
            lane = self.lane + self.remainder
            m.d.sync += [
                self.addr.eq(self.addr + times(stride, self.quotient) + Mux(self.wraps, stride, 0)),
                self.lane.eq(Mux(self.wraps, lane - config.rows, lane)),
                self.left.eq(self.left - config.cols),
            ]
