"""Where tensors lie: dense planes, concatenations by address, nothing on top of anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.hw.config import EngineConfig
from shiftwork.model.layout import blocks_of, one_after_another, place_tensors, slots_of
from shiftwork.model.network import Network
from shiftwork.model.program import ALIGN, Place
from tests.networks import NetworkBuilder

START = 0x3000


def branches(*channels: int, size: tuple[int, int] = (3, 5)) -> NetworkBuilder:
    """Convolutions of the input side by side, not yet joined."""
    builder = NetworkBuilder(1, 4, *size)
    for count in channels:
        builder.conv(count, source="input")
    return builder


def outputs(builder: NetworkBuilder) -> list[str]:
    return [layer.output for layer in builder.layers]


def places_of(network: Network, rows: int) -> tuple[dict[str, Place], int]:
    config = EngineConfig(rows=rows)
    blocks = blocks_of(network, network.layers, config)
    addresses, end = one_after_another(blocks, START)
    return place_tensors(network, blocks, config, addresses, {}), end


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=4), st.integers(1, 9), st.integers(1, 6),
    st.integers(1, 6),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_parts_lie_in_the_whole_and_tensors_apart(
    channels: list[int], rows: int, height: int, width: int
) -> None:
    builder = branches(*channels, size=(height, width))
    parts = outputs(builder)
    whole = builder.concat(*parts)
    pooled = builder.max_pool((1, 1), (1, 1))
    network = builder.build()
    places, end = places_of(network, rows)
    assert set(places) == {"input", *parts, whole, pooled}
    joined = np.concatenate([places[name].offsets() for name in parts])
    assert np.array_equal(joined, places[whole].offsets())
    assert np.array_equal(places[whole].slots, places[pooled].slots)
    bytes_of = [places[name].offsets().ravel() for name in ("input", whole, pooled)]
    every = np.concatenate(bytes_of)
    assert len(np.unique(every)) == len(every)
    assert every.min() >= START
    assert every.max() < end
    for name, place in places.items():
        assert place.address % ALIGN == 0 and place.plane_stride % ALIGN == 0
        assert place.plane_stride >= height * width * place.word_bytes
        assert place.slots.max() < place.planes * rows
        assert place.offsets().shape == network.tensors[name].shape
        assert place.address + place.size <= end


def test_a_place_is_the_stated_formula() -> None:
    network = branches(7).build()
    places, _ = places_of(network, 3)
    place = places["conv0.out"]
    assert (place.word_bytes, place.plane_stride, place.planes) == (4, 64, 3)
    assert place.size == 3 * 64
    for (channel, y, x), address in np.ndenumerate(place.offsets()):
        plane, lane = divmod(channel, 3)
        assert address == place.address + plane * 64 + (y * 5 + x) * 4 + lane


def test_holes_of_a_concatenation_in_a_concatenation() -> None:
    builder = branches(3, 5, 2)
    first, second, third = outputs(builder)
    inner = builder.concat(first, second)
    whole = builder.concat(inner, third)
    network = builder.build()
    slots = slots_of(network, network.layers, 4)
    assert slots[inner].tolist() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert slots[whole].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 12, 13]
    places, _ = places_of(network, 4)
    joined = np.concatenate([places[name].offsets() for name in (first, second, third)])
    assert np.array_equal(joined, places[whole].offsets())
    assert np.array_equal(joined[:8], places[inner].offsets())
    assert places[whole].planes == 4


def test_pooling_keeps_the_holes_and_a_convolution_closes_them() -> None:
    builder = branches(3, 2)
    builder.concat(*outputs(builder))
    pooled = builder.max_pool((2, 2), (1, 1))
    average = builder.global_average()
    dense = builder.conv(5, source=pooled)
    network = builder.build()
    slots = slots_of(network, network.layers, 4)
    assert slots[pooled].tolist() == slots[average].tolist() == [0, 1, 2, 4, 5]
    assert slots[dense].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("twice", ["another", "the same", "the input"])
def test_a_tensor_has_one_place(twice: str) -> None:
    builder = branches(3, 4)
    left, right = outputs(builder)
    name = left
    if twice == "another":
        builder.concat(left, right)
        builder.concat(right, left)
        name = right
    elif twice == "the same":
        builder.concat(left, left)
    else:
        builder.concat("input", left)
        name = "input"
    network = builder.build()
    layer = network.layers[-1].name
    message = f"^layer '{layer}': tensor '{name}' already has its place in memory; concatenate a"
    with pytest.raises(ValueError, match=message):
        places_of(network, 4)
