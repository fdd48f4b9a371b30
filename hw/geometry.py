"""Sizes and depths that decide timing: plain data, for the gateware and the cycle model alike."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from .config import EngineConfig

MIN_BLOCK_BEATS = 4  # a pixel's accumulator is read in stage D1 and written in E
SETTLE = 3  # cycles from a new band until everything derived from it is registered
READS = 16  # read bursts under way at once
WRITES = 15  # write bursts under way at once
DESCRIPTOR_FIFO = 16  # beats of descriptors that may wait
SHALLOW = 16  # entries of a queue: up to here LUT RAM and a cycle, beyond it block RAM
AHEAD = 4  # bands that may be loaded and not yet begun
WORD_STAGES = 4  # of a window's words: as read, on their way, as padded, the larger of two
TOKENS = 4  # the storer's tokens that may wait, so that a pipeline in front need not run empty
JOBS = 4  # the storer's tokens whose addresses may go ahead of their data
DRAIN_READ = 3  # cycles from the drain's address to the value: address, memory and value registers
REQUANTISE_STAGES = 7  # of the requantiser: terms (2), sums (2), bias, right shift (2) and clamp
BEND_STAGES = 5  # more of it, where the engine has leaky ReLU: they end with the clamp


def queue_latency(depth: int) -> int:
    """Return the cycles from a queue's input to its output, when it is empty."""
    return 1 if depth <= SHALLOW else 3


def spreads(config: EngineConfig) -> bool:
    """Whether the array is so wide that a beat's way to its lanes takes stages of its own."""
    return config.pipeline == "deep" and config.lanes > 64


def window_stages(config: EngineConfig) -> int:
    """Return the window's additional stages: addresses, and what is made of the words."""
    return address_stages(config) + (WORD_STAGES if spreads_words(config) else 0)


def spreads_words(config: EngineConfig) -> bool:
    """Whether a window's words come in stages of their own, for they lie all over the die."""
    return config.window > 1 and config.pipeline == "deep"


def address_stages(config: EngineConfig) -> int:
    """Return the stages of a window's addresses: as worked out, and in copies for its memories."""
    if config.window == 1:
        return 0
    return 2 if spreads_words(config) else 1


def turn_stages(config: EngineConfig) -> int:
    """Return the cycles from a beat's stage A until its words, as they were read, are turned.

    From stage B on its control has as many until they are padded.
    """
    return 1 + address_stages(config) + (2 if spreads_words(config) else 0)


def take_stages(config: EngineConfig) -> int:
    """Return the stages a beat has passed in the window when its codes are taken.

    Where that is early they wait for it, no longer than a block lasts: ``MIN_BLOCK_BEATS``.
    """
    return window_stages(config) + (-2 if spreads_words(config) else 1)


def requantise_registers(config: EngineConfig) -> tuple[int, ...]:
    """Return the requantiser's stages that end in registers, counted from 1, the last of all last.

    In a shallow one that is the sum with its bias, and the last.
    """
    last = REQUANTISE_STAGES + (BEND_STAGES if config.leaky else 0)
    if config.pipeline == "deep":
        return tuple(range(1, last + 1))
    return 5, last


def outputs_depth(config: EngineConfig) -> int:
    """Return the depth of the queue behind the requantiser.

    The drain sends no more than it has room for, since nothing on the way can stall; at full rate
    that is the way there and back.
    """
    return 24 if config.leaky else 16


def array_stages(config: EngineConfig) -> int:
    """Return the array's additional stages: activations on their way, and terms.

    -2 where lanes and tree are one stage, and shift and accumulation another.
    """
    if config.pipeline == "shallow":
        return -2
    return 2 if spreads(config) else 0


def takes_early(config: EngineConfig) -> bool:
    """Whether codes are taken where a beat enters the window, and wait for it behind that."""
    return window_stages(config) + array_stages(config) > 0


def burst_block(*limits: int) -> int:
    """Return the largest power of two within every limit: the beats between burst boundaries.

    Raises
    ------
    ValueError
        If a limit is below 1.
    """
    smallest = min(limits)
    if smallest < 1:
        raise ValueError(f"a burst has at least 1 beat, not {smallest}")
    return 1 << (smallest.bit_length() - 1)


def fifo_depths(config: EngineConfig) -> tuple[int, ...]:
    """Return the reader's FIFO depths in beats: of descriptors, of the loader, of the weights.

    With maps without zeros also those of their masks and of their values.
    """
    depths = DESCRIPTOR_FIFO, 2 * config.burst_beats, config.weight_fifo
    return (*depths, depths[1], depths[1]) if config.zero_maps else depths


def loads_outlast(config: EngineConfig) -> bool:
    """Return whether words that came fast may take as long to load as the watchdog waits.

    The loader's FIFO fills at a beat per cycle, and empties at a word per cycle.
    """
    words = fifo_depths(config)[1] * Geometry(config).slots
    return 2 * words > 1 << config.watchdog_bits


@dataclass(frozen=True)
class Geometry:
    """How outputs lie in the staging memory.

    A *line* is as wide as a pixel word or a bus beat, whichever is wider. A *granule* is the
    ``requantise_lanes`` activations that arrive together. A column block may spread over several
    *planes*, each with its own part of the memory.
    """

    config: EngineConfig

    @property
    def slots(self) -> int:
        """Pixel words of one line, a power of two."""
        return max(1, self.config.bus_bytes // self.config.word_bytes)

    @property
    def parts(self) -> int:
        """Bus beats of one line, a power of two."""
        return max(1, self.config.word_bytes // self.config.bus_bytes)

    @property
    def granules(self) -> int:
        """Granules of one pixel word."""
        return self.config.rows // self.config.requantise_lanes

    @property
    def groups(self) -> int:
        """Granules of one pixel of a column block."""
        return self.config.cols // self.config.requantise_lanes

    @property
    def planes(self) -> int:
        """Most planes a column block touches."""
        rows, cols = self.config.rows, self.config.cols
        return -(-(rows - gcd(rows, cols) + cols) // rows)

    @property
    def lines(self) -> int:
        """Lines of the ring, a power of two: about two tokens."""
        most = (self.config.hold + 2 * self.slots - 2) // self.slots
        wanted = max(2 * -(-self.config.hold // self.slots), most + 1)
        return 1 << (wanted - 1).bit_length()

    @property
    def line_bits(self) -> int:
        """Bits that number a line."""
        return (self.lines - 1).bit_length()
