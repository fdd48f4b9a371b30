"""How coded maps and their tables lie in memory: plain data, for gateware and compiler alike.

A coded pixel word has the planes of its lanes' codes one after another: bit j of lane r is bit
j rows + r, lowest plane first. It takes whole bytes, so any run of pixels can be written by byte
strobes alone; where ``rows`` is a multiple of 8 nothing is lost by that.

A plane without zeros is cut into segments of so many pixels. Where the words of a segment would
lie, its values that are not 0 lie one behind another, a byte each, pixel by pixel, lowest lane
first. Behind the room for all words is a mask of each pixel's lanes that are not 0, as if they were
codes of 1 bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from ..config import SEGMENTS, EngineConfig

WORTHWHILE = 16  # pixels of a segment, whose values end with a beat of which half is not its own
SHALLOW = 32  # entries of a memory that is read fast enough to be compared in the next cycle


def word_bytes(config: EngineConfig, bits: int) -> int:
    """Return the bytes of a pixel word of ``bits`` bits a value, 0 for one stored as it is."""
    return -(-config.rows * bits // 8) if bits else config.word_bytes


def unit_bytes(config: EngineConfig) -> int:
    """Return the bytes of which every word and its place are multiples: a power of two."""
    if not config.codec_bits and not config.zero_maps:
        return config.word_bytes
    return gcd(config.rows // 8, config.bus_bytes) if config.rows % 8 == 0 else 1


def word_units(config: EngineConfig, bits: int) -> int:
    """Return the units of a pixel word, see `unit_bytes`."""
    return word_bytes(config, bits) // unit_bytes(config)


def mask_bytes(config: EngineConfig) -> int:
    """Return the bytes of a pixel's mask in a map without zeros."""
    return word_bytes(config, 1)


def mask_units(config: EngineConfig) -> int:
    """Return the units of a pixel's mask, see `unit_bytes`."""
    return word_units(config, 1)


def segment_pixels(config: EngineConfig, width: int) -> int:
    """Return the pixels of a segment of a map that is so wide: they divide it.

    A token is whole segments, `SEGMENTS` at most. Of those that make tokens nearly as long as can
    be, since a token is what a block of weights is held for, the shortest of `WORTHWHILE` pixels:
    a band that starts within a segment has less to skip.
    """
    fits = [n for n in range(1, width + 1) if width % n == 0 and n <= config.hold]
    longest = max(token_pixels(config, n) for n in fits)
    good = [n for n in fits if 8 * token_pixels(config, n) >= 7 * longest]
    return min((n for n in good if n >= WORTHWHILE), default=max(good))


def token_pixels(config: EngineConfig, segment: int) -> int:
    """Return the most pixels of a token of whole segments."""
    return min(config.hold // segment, SEGMENTS) * segment


def encoder_words(config: EngineConfig) -> int:
    """Return the words of ``requantise_lanes`` channels that the encoder holds thresholds of."""
    granules = config.rows // config.requantise_lanes
    return config.codec_planes << (granules - 1).bit_length()


def stage_cycles(words: int, stage: int) -> int:
    """Return the cycles of one stage of the encoder: one more to register a deep memory's data."""
    return 1 + (words << stage > SHALLOW)


def encode_stages(config: EngineConfig) -> int:
    """Return the encoder's cycles from a value to its code."""
    words = encoder_words(config)
    return 1 + sum(stage_cycles(words, stage) for stage in range(config.codec_bits))


def heap_order(bits: int) -> list[int]:
    """Return the indices of sorted thresholds in the order of a binary search's tree.

    Entry h >= 1 of the tree is compared after floor(log2 h) others; its children are 2 h and
    2 h + 1, for values below the threshold and not. Entry 0 of the table is not used; the list
    starts with entry 1.
    """
    order: list[int] = []
    for stage in range(bits):
        half = 1 << (bits - 1 - stage)
        order += [(2 * node + 1) * half - 1 for node in range(1 << stage)]
    return order


def pack_word(codes: Sequence[int], bits: int) -> int:
    """Return the coded word of one pixel as an integer: plane after plane."""
    rows = len(codes)
    return sum(
        (code >> plane & 1) << (plane * rows + lane)
        for plane in range(bits)
        for lane, code in enumerate(codes)
    )
