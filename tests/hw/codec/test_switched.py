"""What circuits of switched tables hold, against the definition, value by value."""

from random import Random

import pytest

from shiftwork.hw.codec.switched import edge_bits, edges, packed_ranges, range_bits

from .reference import encode
from .switched_bench import Channel, random_channel


@pytest.mark.parametrize("bits", [1, 4, 7])
@pytest.mark.parametrize("tables", [2, 4])
def test_the_next_range_of_every_value(tables: int, bits: int) -> None:
    wide = range_bits(tables)
    for seed in range(40):
        channel = random_channel(Random(seed), tables, bits)
        found, following = edges(channel.limits, channel.thresholds, channel.levels)
        assert len(found) == len(following) - 1 == (1 << edge_bits(tables)) - 1
        assert found == sorted(found)
        for value in range(256):
            word = following[encode(value, found)]
            for left in range(tables):
                level = channel.levels[left][encode(value, channel.thresholds[left])]
                assert word >> wide * left & tables - 1 == encode(level, channel.limits)


def test_as_many_edges_as_can_be() -> None:
    thresholds = [[10 * n + r for n in range(1, 4)] for r in range(4)]
    channel = Channel([1, 2, 3], thresholds, [[0, 1, 2, 3]] * 4)
    found, following = edges(channel.limits, channel.thresholds, channel.levels)
    assert found == [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 33, 33, 33]
    assert following[:3] == [0, 0b01, 0b0101] and following[12:] == [0xFF] * 4
    assert edges([255], [[1], [1]], [[0, 1]] * 2) == ([0, 0, 0], [0] * 4)


def test_ranges_are_packed_lowest_first() -> None:
    assert packed_ranges([5, 9, 9], [0, 5, 8, 9, 255]) == [0b11_01_01_00, 0b11]
    assert packed_ranges([5], [9, 0, 5, 4], act_bits=3, ranges=2) == [0b101, 0]


def test_what_they_cannot_be() -> None:
    with pytest.raises(ValueError, match="tables must be 2 or 4, not 8"):
        range_bits(8)
    with pytest.raises(ValueError, match="tables must be 2 or 4, not 1"):
        edges([], [[1]], [[0, 1]])
    with pytest.raises(ValueError, match="levels of left range 1 must not fall: sort them"):
        edges([5], [[3], [3]], [[0, 9], [9, 0]])
