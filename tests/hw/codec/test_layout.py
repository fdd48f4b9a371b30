"""Sizes of coded words, and what they are made of."""

from random import Random

import pytest

from shiftwork.hw.codec.layout import pack_word, unit_bytes, word_bytes, word_units
from shiftwork.hw.config import EngineConfig

from .reference import to_planes


@pytest.mark.parametrize(
    ("rows", "bus_bits", "unit", "sizes"),
    [
        (16, 64, 2, [16, 2, 4, 6, 8, 10, 12, 14]),
        (8, 64, 1, [8, 1, 2, 3, 4, 5, 6, 7]),
        (32, 128, 4, [32, 4, 8, 12, 16, 20, 24, 28]),
        (4, 64, 1, [4, 1, 1, 2, 2, 3, 3, 4]),
        (5, 64, 1, [8, 1, 2, 2, 3, 4, 4, 5]),
        (24, 64, 1, [32, 3, 6, 9, 12, 15, 18, 21]),
        (48, 64, 2, [64, 6, 12, 18, 24, 30, 36, 42]),
        (64, 64, 8, [64, 8, 16, 24, 32, 40, 48, 56]),
    ],
)
def test_words_are_whole_units(rows: int, bus_bits: int, unit: int, sizes: list[int]) -> None:
    config = EngineConfig(rows=rows, cols=rows, bus_bits=bus_bits, codec_bits=7)
    assert unit_bytes(config) == unit
    assert [word_bytes(config, k) for k in range(8)] == sizes
    assert [word_units(config, k) * unit for k in range(8)] == sizes
    assert config.bus_bytes % unit == 0


def test_without_a_codec_the_unit_is_the_word() -> None:
    config = EngineConfig(rows=5, cols=5)
    assert unit_bytes(config) == word_bytes(config, 0) == 8
    assert word_units(config, 0) == 1


@pytest.mark.parametrize("bits", range(1, 8))
def test_a_word_is_plane_after_plane(bits: int) -> None:
    codes = [Random(bits).randrange(1 << bits) for _ in range(5)]
    assert pack_word(codes, bits) == to_planes(codes, bits)
    lowest = pack_word([1, 0, 0, 0, 0], bits)
    assert lowest == 1
    assert pack_word([0, 0, 0, 0, (1 << bits) - 1], bits) >> (5 * bits - 1) == 1
