"""Tensors share memory only where none is missed; results stay; sums go in place of an addend."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from shiftwork.hw.config import EngineConfig, preset
from shiftwork.model import compile as compiler
from shiftwork.model import golden, sharing
from shiftwork.model.bands import Band
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from shiftwork.model.program import Place, Program
from shiftwork.model.sharing import overwrites
from shiftwork.sim.fuzz_networks import random_network
from tests.networks import NetworkBuilder

from .machine import Machine

CUT = EngineConfig(name="cut", rows=4, cols=4, hold=16, buffer_words=256)


def chain(count: int = 6) -> NetworkBuilder:
    """Convolutions of 3 x 3 one after another."""
    builder = NetworkBuilder(3, 5, 12, 10)
    for _ in range(count):
        builder.conv(5, (3, 3), padding=(1, 1, 1, 1))
    return builder


def spans(program: Program, name: str) -> range:
    place = program.places[name]
    return range(place.address, place.address + place.size)


def meet(program: Program, one: str, other: str) -> bool:
    a, b = spans(program, one), spans(program, other)
    return a.start < b.stop and b.start < a.stop


def check(network: Network, x, config: EngineConfig, program: Program) -> None:
    """Run on the slow engine, storing late and early; compare what must be there after it."""
    want = golden.run(network, x, exact="integer")
    for eager in (False, True):
        memory = np.full(program.size, 0x5A, np.uint8)
        memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        program.write_tensor(memory, network.input, x[0].numpy())
        Machine(config, memory, 0, eager).run(program.first_descriptor)
        for name in program.kept:
            assert np.array_equal(program.read_tensor(memory, name), want[name][0]), name


def test_a_chain_needs_two_maps() -> None:
    builder = chain()
    program = compile_network(builder.build(), CUT)
    one = 2 * 512  # two planes of 12 x 10 words of 4 bytes, a multiple of 64 each
    assert program.places["input"].size == one
    assert program.peak_map_bytes == 2 * one
    assert program.unshared_map_bytes == 7 * one
    assert program.kept == ("conv5.out",)
    apart = compile_network(builder.build(), CUT, keep_all=True)
    assert apart.peak_map_bytes == 2 * one and apart.unshared_map_bytes == 7 * one
    assert apart.size - program.size == 5 * one
    assert set(apart.kept) == set(apart.places)
    check(builder.build(), builder.picture(), CUT, program)


def test_all_results_stay() -> None:
    builder = chain()
    network = replace(builder.build(), extra_outputs=("conv1.out", "conv3.out"))
    program = compile_network(network, CUT)
    assert set(program.kept) == {"conv1.out", "conv3.out", "conv5.out"}
    for one, other in (("conv1.out", "conv3.out"), ("conv1.out", "conv5.out"),
                       ("conv3.out", "conv5.out")):  # fmt: skip
        assert not meet(program, one, other)
    alone = compile_network(builder.build(), CUT)
    assert program.peak_map_bytes > alone.peak_map_bytes
    check(network, builder.picture(), CUT, program)


def test_a_result_in_a_concatenation_and_the_input_as_a_result_stay() -> None:
    b = NetworkBuilder(4, 4, 8, 8)
    left = b.conv(3)
    right = b.conv(6, source="input")
    b.concat(left, right)
    for _ in range(4):
        b.conv(4, (3, 3), padding=(1, 1, 1, 1))
    network = replace(b.build(), extra_outputs=("input", left))
    program = compile_network(network, CUT)
    assert {"input", left, right, "concat2.out", network.output} == set(program.kept)
    check(network, b.picture(), CUT, program)


def test_until_keeps_what_later_layers_read() -> None:
    b = chain(2)
    first = b.last
    for _ in range(3):
        b.conv(5, (3, 3), padding=(1, 1, 1, 1))
    b.add(first, b.last)
    network = b.build()
    program = compile_network(network, CUT, until="conv3")
    assert set(program.kept) == {first, "conv3.out"}


def test_a_sum_lies_on_the_addend_that_dies() -> None:
    b = chain(1)
    first = b.last
    second = b.conv(5, (3, 3), padding=(1, 1, 1, 1))
    total = b.add(first, second)
    b.conv(5, (3, 3), padding=(1, 1, 1, 1))
    network = b.build()
    program = compile_network(network, CUT)
    assert next(p for p in program.layers if p.kind == "add").descriptors > 1
    places = program.places
    assert places[total].address in (places[first].address, places[second].address)
    check(network, b.picture(), CUT, program)


@pytest.mark.parametrize("reader", ["the output", "a later layer"])
def test_a_sum_spares_addends_that_live(reader: str) -> None:
    b = chain(1)
    first = b.last
    second = b.conv(5, (3, 3), padding=(1, 1, 1, 1))
    total = b.add(first, second)
    if reader == "a later layer":
        b.add(b.add(total, first), second)
    network = b.build()
    if reader == "the output":
        network = replace(network, extra_outputs=(first, second))
    program = compile_network(network, CUT)
    assert not meet(program, total, first) and not meet(program, total, second)
    check(network, b.picture(), CUT, program)


def test_pooling_goes_in_place_with_the_stride_of_its_input() -> None:
    b = NetworkBuilder(5, 3, 21, 19)
    b.conv(17, (3, 3), padding=(1, 1, 1, 1))
    source = b.last
    pooled = b.max_pool((3, 3), (2, 2))
    network = b.build()
    program = compile_network(network, CUT)
    assert program.places[pooled].address == program.places[source].address
    assert program.places[pooled].plane_stride == program.places[source].plane_stride
    least = -(-9 * 9 * 4 // 64) * 64
    assert program.places[pooled].plane_stride > least
    assert program.peak_map_bytes == sum(program.places[n].size for n in ("input", source))
    check(network, b.picture(), CUT, program)


def band(load: tuple[int, int], out: tuple[int, int], planes: tuple[int, int] = (0, 1)) -> Band:
    """A band that loads words [a, b) and writes words [c, d) of planes."""
    return Band(*planes, load[0], load[1] - load[0], 1, 1, 0, 0, out[0], 1, out[1] - out[0], 1,
                1, 1)  # fmt: skip


@pytest.mark.parametrize(
    ("bands", "safe"),
    [
        ([band((0, 9), (0, 9))], True),
        ([band((0, 9), (0, 10))], False),  # further than has been loaded
        ([band((0, 4), (0, 4)), band((4, 8), (4, 8))], True),
        ([band((0, 6), (0, 4)), band((2, 8), (4, 8))], False),  # a row above is loaded again
        ([band((0, 6), (0, 2)), band((2, 8), (2, 4))], True),
        ([band((0, 4), (0, 4), (0, 2)), band((0, 4), (0, 4), (2, 2))], True),  # other planes
        ([band((0, 4), (0, 4), (0, 2)), band((0, 4), (0, 4), (1, 2))], False),
        ([band((4, 8), (4, 8)), band((0, 4), (0, 4))], False),  # backwards: over what is to come
    ],
)
def test_which_bands_overwrite_only_what_is_read(bands: list[Band], safe: bool) -> None:
    assert overwrites(bands) is safe


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_share_memory(seed: int) -> None:
    config = Random(seed).choice([
        CUT, CUT.replace(rows=8, cols=8, window=4, buffer_words=512),
        EngineConfig(rows=3, cols=5, hold=7, buffer_words=2048),
    ])  # fmt: skip
    network, x = random_network(seed + 500, config)
    program = compile_network(network, config)
    assert program.peak_map_bytes <= program.unshared_map_bytes
    check(network, x, config, program)


def test_the_presets_share_memory() -> None:
    peaks = 0
    for seed in range(60):
        network, _ = random_network(seed, preset("base"))
        program = compile_network(network, preset("base"))
        peaks += program.peak_map_bytes < program.unshared_map_bytes
    assert peaks > 30


def test_a_wrong_placement_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every load and every result is checked against who wrote its words last."""

    def all_at_once(network, blocks, *_):
        return sharing.Sharing(dict.fromkeys(blocks.wholes, 0), {}, 1 << 16, {})

    monkeypatch.setattr(compiler, "share_memory", all_at_once)
    with pytest.raises(AssertionError, match=r"memory of layers .* was written by"):
        compile_network(chain().build(), CUT)


def test_places_are_of_one_kind() -> None:
    program = compile_network(chain().build(), CUT)
    assert all(isinstance(place, Place) for place in program.places.values())
    assert program.locate(program.places["conv5.out"].address, program.layers[-1:]) == (
        "conv5", "conv5.out", 0, 0, 0,
    )  # fmt: skip
