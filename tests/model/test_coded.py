"""Coded tensors: what they may be, what is stored, and programs that give the golden bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.coded import codable, with_codes
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Concat, Network
from shiftwork.sim.fuzz_codes import random_code, random_codes
from tests.model.machine import Machine
from tests.networks import NetworkBuilder, dense_net, u_net

ENGINES = {
    "square": EngineConfig(name="square", rows=4, cols=4, hold=32, buffer_words=512, codec_bits=4,
                           codec_planes=16),
    "wide": EngineConfig(name="wide", rows=4, cols=8, hold=9, buffer_words=512, window=2,
                         codec_bits=7, codec_planes=16),
    "window": EngineConfig(name="window", rows=16, cols=16, hold=32, codec_bits=4, window=4,
                           codec_planes=8),
    "odd": EngineConfig(name="odd", rows=5, cols=5, hold=32, codec_bits=3, codec_planes=16),
    "narrow": EngineConfig(name="narrow", rows=4, cols=4, act_bits=5, hold=16, codec_bits=4,
                           codec_planes=16),
}  # fmt: skip


def every_layer(bits: int = 8) -> NetworkBuilder:
    """A network with holes in a concatenation, a sum, and layers that keep channels apart."""
    middle = 1 << (bits - 1)
    b = NetworkBuilder(5, 3, 11, 9, 0, bits)
    b.conv(7, (3, 3), (2, 2), padding=(2, 1, 0, 1), terms=1, zero_point=middle)
    b.max_pool((3, 3), (1, 1), (1, 0, 1, 1))
    squeeze = b.conv(5)
    left = b.conv(4, source=squeeze, bits=3)
    right = b.conv(9, (3, 2), padding=(1, 0, 1, 1), source=squeeze)
    b.concat(left, right)
    b.max_pool((2, 2), (2, 1), (1, 1, 0, 0))
    first = b.conv(6, bits=2)
    b.depthwise((3, 3), padding=(1, 1, 1, 1))
    b.add(first, b.last)
    b.conv(6)
    b.global_average()
    return b


def run(network: Network, x: torch.Tensor, config: EngineConfig) -> None:
    """Compile and run as late and as early as it may be stored; compare every tensor left."""
    want = golden.run(network, x, exact="integer")
    for keep, eager in ((True, False), (False, False), (False, True)):
        program = compile_network(network, config, keep_all=keep)
        memory = np.full(program.size, 0xA5, np.uint8)
        memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        program.write_tensor(memory, network.input, x[0].numpy())
        Machine(config, memory, 0, eager).run(program.first_descriptor)
        for name in program.kept:
            tensor = want[program.copies.get(name, name)][0].numpy()
            assert np.array_equal(program.read_tensor(memory, name), tensor), name


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("name", ENGINES)
def test_programs_give_the_golden_bytes(name: str, share: float) -> None:
    config = ENGINES[name]
    builder = every_layer(config.act_bits)
    network = random_codes(builder.build(), config.codec_bits, 1, share)
    assert network.codes
    run(network, builder.picture(), config)


@pytest.mark.parametrize("draw", [dense_net, u_net])
def test_copies_of_coded_tensors_change_nothing(draw: Callable[[NetworkBuilder], None]) -> None:
    builder = NetworkBuilder(3, 4, 8, 6)
    draw(builder)
    network = random_codes(builder.build(), 3, 2, 1.0)
    assert compile_network(network, ENGINES["square"]).copies
    run(network, builder.picture(), ENGINES["square"])


def test_tables_are_loaded_again_where_they_had_to_make_room() -> None:
    """Five layers of 8 planes in a memory of 8: bands wait until earlier ones are stored."""
    config = EngineConfig(name="few", rows=2, cols=2, hold=16, buffer_words=256, codec_bits=2,
                          codec_planes=8)  # fmt: skip
    builder = NetworkBuilder(6, 3, 9, 9)
    for _ in range(4):
        builder.conv(16, (3, 3), padding=(1, 1, 1, 1), terms=1)
        builder.max_pool((2, 2), (1, 1))
    builder.conv(3)
    network = random_codes(builder.build(), 2, 3, 1.0)
    fields = compile_network(network, config).descriptors()
    loads = [d for d in fields if d["thresholds_planes"]]
    assert len(loads) > 8, "pooling between the bands of a convolution takes turns with it"
    assert any(d["wait"] for d in loads)
    run(network, builder.picture(), config)


def test_half_the_bits_are_half_the_bytes() -> None:
    config = EngineConfig(rows=8, cols=8, codec_bits=4)
    builder = NetworkBuilder(7, 8, 32, 32)
    builder.conv(16, (3, 3), padding=(1, 1, 1, 1))
    builder.conv(16)
    builder.conv(4)
    network = builder.build()
    rng = Random(1)
    names = [layer.output for layer in network.layers[:2]]
    half = with_codes(network, {name: random_code(rng, 16, 4) for name in names})
    plain, small = compile_network(network, config), compile_network(half, config)
    for name in names:
        assert 2 * small.places[name].size == plain.places[name].size
    assert small.peak_map_bytes < plain.peak_map_bytes
    assert plain.table_bytes == 0 and not any(d["load_bits"] for d in plain.descriptors())
    assert small.table_bytes == 2 * 2 * 2 * 16 * 8  # two tensors, two tables, two planes


def test_written_values_are_those_before_the_code() -> None:
    builder = every_layer()
    network, x = random_codes(builder.build(), 4, 4, 1.0), builder.picture()
    read = golden.run(network, x)
    written = golden.run(network, x, written=True)
    for name, tensor in written.items():
        same = torch.equal(tensor, read[name])
        if name in network.codes:
            assert torch.equal(network.codes[name](tensor), read[name])
        else:
            assert same


def test_groups_are_what_lies_in_one_place_or_is_loaded_together() -> None:
    network = every_layer().build()
    groups = codable(network)
    names = [name for group in groups for name in group]
    assert len(names) == len(set(names))
    joined = next(layer for layer in network.layers if isinstance(layer, Concat))
    assert joined.inputs in groups
    assert network.input not in names and not set(network.outputs) & set(names)


def test_a_network_comes_back_with_its_codes(tmp_path: Path) -> None:
    builder = every_layer()
    network = random_codes(builder.build(), 4, 5, 1.0)
    folder = network.save(tmp_path / "net")
    again, x = Network.load(folder), builder.picture()
    assert again.codes.keys() == network.codes.keys()
    got, want = golden.run(again, x), golden.run(network, x)
    assert all(torch.equal(got[name], want[name]) for name in want)
    # Of version 4, without codes.
    plain = replace(network, codes={}).save(tmp_path / "plain")
    document = json.loads((plain / "network.json").read_text())
    del document["codes"], document["sha256"]["codes"]
    (plain / "network.json").write_text(json.dumps(document | {"version": 4}))
    assert Network.load(plain).codes == {}


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load, save

    network = random_codes(every_layer().build(), 4, 5, 1.0)
    folder = network.save(tmp_path / "net")
    path = folder / "weights.safetensors"
    good = load(path.read_bytes())
    name = next(key for key in good if key.endswith(".code.levels"))
    path.write_bytes(save(good | {name: good[name].clone().fill_(7)}))
    with pytest.raises(ValueError, match=f"checksum of array '{name}' is wrong"):
        Network.load(folder)
    path.write_bytes(save({k: v for k, v in good.items() if k != name}))
    with pytest.raises(ValueError, match=f"array '{name}' is missing"):
        Network.load(folder)
    path.write_bytes(save(good))
    document = json.loads((folder / "network.json").read_text())
    next(iter(document["codes"].values()))["bits"] = 9
    (folder / "network.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="field 'codes' does not match its checksum"):
        Network.load(folder)


def test_codes_that_do_not_fit_are_refused() -> None:
    network = every_layer().build()
    rng = Random(0)
    conv, joined = network.layers[0].output, network.layers[3].output
    code = random_code(rng, 7, 4)
    for name, each, message in (
        ("nothing", code, "no such tensor"),
        (network.input, random_code(rng, 3, 4), "read or written by the host"),
        (network.output, random_code(rng, 6, 4), "read or written by the host"),
        (conv, random_code(rng, 5, 4), "must have 7 channels, not 5"),
        (joined, random_code(rng, 4, 4), "code both, they lie in one place"),
    ):
        with pytest.raises(ValueError, match=message):
            with_codes(network, {name: each})
    parts = codable(network)[3]
    assert joined in parts
    mixed = {name: random_code(rng, network.tensors[name].channels, 3 + n)
             for n, name in enumerate(parts)}  # fmt: skip
    with pytest.raises(ValueError, match="code both"):
        with_codes(network, mixed)


def test_engines_that_cannot_run_a_code_say_so() -> None:
    builder = every_layer()
    network = random_codes(builder.build(), 4, 6, 1.0)
    limits = {
        "at most 0 bits on engine 'x'": EngineConfig(name="x", rows=4, cols=4),
        "at most 2 bits": EngineConfig(name="x", rows=4, cols=4, codec_bits=2),
        "need as many tables, but engine 'x' holds 2": EngineConfig(
            name="x", rows=4, cols=4, codec_bits=4, codec_planes=2
        ),
    }
    for message, config in limits.items():
        with pytest.raises(ValueError, match=message):
            compile_network(network, config)
    add = next(layer for layer in network.layers if layer.name.startswith("add"))
    uneven = {n: c for n, c in network.codes.items() if n != add.inputs[0]}
    with pytest.raises(ValueError, match=f"layer '{add.name}': both addends must be stored in"):
        compile_network(replace(network, codes=uneven), ENGINES["square"])
