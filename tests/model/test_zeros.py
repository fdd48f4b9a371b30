"""Maps without zeros: which may be so, what is stored, and programs that give the golden bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftwork.hw.codec.layout import segment_pixels, token_pixels
from shiftwork.hw.config import SEGMENTS, EngineConfig
from shiftwork.model import golden
from shiftwork.model.coded import with_zeros_left_out
from shiftwork.model.compile import compile_network
from shiftwork.model.copies import insert_copies
from shiftwork.model.cycles import predict_cycles
from shiftwork.model.network import Network
from shiftwork.model.places import OPEN, Place
from shiftwork.model.zeros import without_zeros, zero_groups
from tests.networks import NetworkBuilder, dense_net, u_net

from .test_coded import every_layer, run

ENGINES = {
    "square": EngineConfig(name="square", rows=4, cols=4, hold=32, buffer_words=512,
                           zero_maps=True),
    "wide": EngineConfig(name="wide", rows=4, cols=8, hold=9, buffer_words=512, window=2,
                         codec_bits=4, zero_maps=True),
    "window": EngineConfig(name="window", rows=16, cols=16, hold=32, window=4, zero_maps=True),
    "odd": EngineConfig(name="odd", rows=5, cols=5, hold=32, zero_maps=True),
    "narrow": EngineConfig(name="narrow", rows=4, cols=4, act_bits=5, hold=16, zero_maps=True),
}  # fmt: skip


def all_without_zeros(network: Network, config: EngineConfig) -> Network:
    names = [name for group in zero_groups(network, config) for name in group]
    assert names
    return with_zeros_left_out(network, names)


@pytest.mark.parametrize("name", ENGINES)
def test_programs_give_the_golden_bytes(name: str) -> None:
    config = ENGINES[name]
    builder = every_layer(config.act_bits)
    network = all_without_zeros(builder.build(), config)
    run(network, builder.picture(), config)


@pytest.mark.parametrize("name", ENGINES)
def test_bands_that_start_within_a_segment(name: str) -> None:
    config = ENGINES[name]
    builder = NetworkBuilder(3, 3, 7, 10, 0, config.act_bits)
    builder.conv(9, bits=3, terms=1)
    builder.conv(6, bits=3, terms=1)  # stored as it is, in any runs of pixels
    network = all_without_zeros(builder.build(), config)
    assert any(d["load_skip"] for d in compile_network(network, config).descriptors())
    run(network, builder.picture(), config)


@pytest.mark.parametrize("draw", [dense_net, u_net])
def test_copies_and_nested_concatenations(draw: Callable[[NetworkBuilder], None]) -> None:
    builder = NetworkBuilder(3, 4, 8, 6)
    draw(builder)
    run(all_without_zeros(builder.build(), ENGINES["square"]), builder.picture(), ENGINES["square"])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_stored_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, planes = int(rng.integers(1, 20)), int(rng.integers(1, 4))
    height, width = map(int, rng.integers(1, 9, 2))
    segment = int(rng.choice([n for n in range(1, width + 1) if width % n == 0]))
    channels = int(rng.integers((planes - 1) * rows + 1, planes * rows + 1))
    slots = np.sort(rng.permutation(planes * rows)[:channels])
    word, pixels = 1 << (rows - 1).bit_length(), height * width
    mask = -(-rows // 8)
    place = Place(64, pixels * (word + mask) + 5, planes, slots, height, width, rows, word, None,
                  segment)  # fmt: skip
    x = rng.integers(1, 256, (channels, height, width), np.uint8)
    x[rng.random(x.shape) < rng.choice([0.0, 0.3, 1.0])] = 0

    addresses, values = place.contents(x)
    assert len(np.unique(addresses)) == len(addresses)
    assert len(addresses) == np.count_nonzero(x) + planes * pixels * mask
    memory = rng.integers(0, 256, 64 + place.size, np.uint8)
    memory[addresses] = values
    assert np.array_equal(place.values(memory), x)
    assert np.isin(addresses, place.contents(None)[0]).all()
    assert (place.contents(None)[1] == OPEN).all()

    # By the definition: one pixel of a segment after the other.
    for plane in range(planes):
        at = 0
        for pixel in range(pixels):
            room = place.address + plane * place.plane_stride + pixel * word
            at = room if pixel % segment == 0 else at
            spot = place.mask_of(room)
            used = int.from_bytes(memory[spot : spot + mask].tobytes(), "little")
            lanes = {int(s) % rows: c for c, s in enumerate(slots) if s // rows == plane}
            for lane in range(rows):
                value = x.reshape(channels, -1)[lanes[lane], pixel] if lane in lanes else 0
                assert used >> lane & 1 == (value != 0)
                if value:
                    assert memory[at] == value
                    at += 1


@pytest.mark.parametrize("hold", [4, 9, 32, 64, 256])
def test_a_segment_divides_the_row_and_tokens_are_long(hold: int) -> None:
    config = EngineConfig(hold=hold, zero_maps=True)
    for width in range(1, 300):
        segment = segment_pixels(config, width)
        assert width % segment == 0 and segment <= hold
        longest = token_pixels(config, segment)
        assert longest % segment == 0 and longest <= min(hold, SEGMENTS * segment)
        fits = [n for n in range(1, width + 1) if width % n == 0 and n <= hold]
        assert 8 * longest >= 7 * max(token_pixels(config, n) for n in fits)


def test_a_run_within_a_segment_may_take_a_beat_more_than_without_zeros() -> None:
    config = ENGINES["square"]
    builder = NetworkBuilder(3, 3, 7, 10, 0, 8)
    builder.conv(9, bits=3, terms=1)
    builder.conv(6, bits=3, terms=1)
    network = all_without_zeros(builder.build(), config)
    program = compile_network(network, config)
    within = sum(d["load_planes"] for d in program.descriptors() if d["load_skip"])
    assert within
    most = predict_cycles(program, config).totals["read"]
    x = np.ones((9, 7, 10), np.uint8)
    x[0, 2, 0] = 0
    rng = np.random.default_rng(1)
    found = [
        predict_cycles(program, config, tensors={network.zeros[0]: each}).totals["read"]
        for each in (x, *(x * (rng.random(x.shape) < share) for share in (0.99, 0.9, 0.5, 0)))
    ]
    assert most < found[0]
    assert max(found) <= most + within


def test_what_is_offered_compiles_with_copies() -> None:
    builder = NetworkBuilder(4, 3, 6, 8)
    a = builder.conv(5)
    c = builder.conv(6, source=a)
    d = builder.conv(5, source=c)
    j = builder.concat(a, c)
    k = builder.concat(j, d)
    e = builder.conv(5, source=k)
    builder.concat(e, j)
    builder.conv(4)
    network = builder.build()
    copied, copies = insert_copies(network, 4)
    assert j in copies.values(), copied.layers
    for name in ("square", "window"):
        config = ENGINES[name]
        groups = zero_groups(network, config)
        assert not any(a in group for group in groups)  # a copy of j would have holes
        picked = with_zeros_left_out(network, [each for group in groups for each in group])
        run(picked, builder.picture(), config)


def test_maps_whose_segment_is_larger_than_the_buffer_are_not_offered() -> None:
    config = EngineConfig(name="shallow", rows=4, cols=4, hold=64, buffer_words=256,
                          zero_maps=True)  # fmt: skip
    builder = NetworkBuilder(3, 4, 2, 53)
    wide, narrow = builder.conv(32), builder.conv(4)
    builder.conv(4, (3, 3), padding=(1, 1, 1, 1))
    builder.conv(3)
    network = builder.build()
    offered = [name for group in zero_groups(network, config) for name in group]
    assert wide in offered and narrow not in offered
    run(with_zeros_left_out(network, offered), builder.picture(), config)
    with pytest.raises(ValueError, match="has 256: raise buffer_words, or keep the zeros of its o"):
        compile_network(with_zeros_left_out(network, [narrow]), config)


def test_bands_and_tiles_are_whole_segments() -> None:
    for config in ENGINES.values():
        network = all_without_zeros(every_layer(config.act_bits).build(), config)
        program = compile_network(network, config)
        for d in program.descriptors():
            if segment := d["store_segment"]:
                first = d["store_masks"] - program.places[program.layers[d["layer"]].output].masks
                first %= d["out_plane_stride"]
                assert first // -(-config.rows // 8) % segment == 0
                assert d["pixels"] % segment == d["tile"] % segment == 0
                assert d["tile"] <= SEGMENTS * segment


def test_only_smaller_maps_are_chosen() -> None:
    builder = NetworkBuilder(3, 3, 8, 16)
    first = builder.conv(8)
    second = builder.conv(8)
    builder.conv(4)
    network = builder.build()
    config = ENGINES["square"]
    assert {n for g in zero_groups(network, config) for n in g} == {first, second}
    pictures = torch.zeros(2, 3, 8, 16, dtype=torch.uint8)
    picked = without_zeros(network, config, pictures)
    tensors = golden.run(network, pictures)
    for name in (first, second):
        share = float((tensors[name] == 0).double().mean())
        assert (name in picked.zeros) == (share > 0.25 + 4 / 16 / 4), (name, share)
    with pytest.raises(ValueError, match="need pictures and an engine with zero_maps, not 0"):
        without_zeros(network, config, pictures[:0])
    with pytest.raises(ValueError, match="add --set zero_maps=true"):
        without_zeros(network, replace(config, zero_maps=False), pictures)


def test_a_network_comes_back_with_its_choice(tmp_path: Path) -> None:
    network = all_without_zeros(every_layer().build(), ENGINES["square"])
    assert Network.load(network.save(tmp_path / "net")).zeros == network.zeros


def test_what_cannot_be_is_refused_by_name() -> None:
    network = every_layer().build()
    config = ENGINES["square"]
    zeros = all_without_zeros(network, config).zeros
    with pytest.raises(ValueError, match="'nothing' is to be stored without zeros, but there is"):
        with_zeros_left_out(network, ["nothing"])
    for name in (network.input, network.output):
        with pytest.raises(ValueError, match=f"tensor '{name}' is read or written by the host"):
            with_zeros_left_out(network, [name])
    with pytest.raises(ValueError, match="one alone is stored without zeros: both or none"):
        with_zeros_left_out(network, ["conv3.out"])
    with pytest.raises(ValueError, match="must be stored without zeros, or none"):
        compile_network(with_zeros_left_out(network, ["conv7.out"]), config)
    with pytest.raises(ValueError, match="has no zero_maps: turn them on or keep its zeros"):
        compile_network(replace(network, zeros=zeros), replace(config, zero_maps=False))
    # With 16 rows the concatenation has holes, and the pool behind it keeps them.
    with pytest.raises(ValueError, match=r"'pool6\.out' has lanes without a channel"):
        compile_network(with_zeros_left_out(network, ["pool6.out"]), ENGINES["window"])
