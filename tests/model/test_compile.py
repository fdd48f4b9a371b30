"""The compiler: programs give the golden model's bytes; limits are named; streams as stated."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from shiftwork.hw.config import EngineConfig, preset
from shiftwork.hw.descriptor import DESCRIPTOR_BYTES, unpack_descriptor
from shiftwork.hw.record import pack_record
from shiftwork.model import golden
from shiftwork.model.codebook import Codebook
from shiftwork.model.compile import compile_network
from shiftwork.model.fixed import Requantiser
from shiftwork.model.network import Conv, Layer, Network, TensorInfo
from shiftwork.model.program import HEADER_BYTES, Program
from tests.networks import NetworkBuilder

from .machine import Machine
from .streams import pack_block

CONFIGS = {
    "one": EngineConfig(name="one", rows=1, cols=1, hold=8, buffer_words=1024),
    "odd": EngineConfig(name="odd", rows=3, cols=5, hold=7, buffer_words=512, burst_beats=4),
    "tall": EngineConfig(name="tall", rows=16, cols=4, hold=16, buffer_words=256),
    "wide": EngineConfig(name="wide", rows=2, cols=6, hold=12, buffer_words=512, bus_bits=128,
                         code_bits=5),
    "window4": EngineConfig(name="window4", rows=8, cols=8, hold=32, buffer_words=512, window=4),
    "window2": EngineConfig(name="window2", rows=4, cols=8, hold=9, buffer_words=512, window=2),
    "small": preset("small"),
    "two": EngineConfig(name="two", rows=4, cols=4, hold=8, buffer_words=512, lane_terms=2),
    "two_odd": EngineConfig(name="two_odd", rows=3, cols=5, hold=8, buffer_words=512,
                            lane_terms=2),
    "two_wide": EngineConfig(name="two_wide", rows=8, cols=8, hold=8, buffer_words=512, window=4,
                             lane_terms=2, bus_bits=128),
}  # fmt: skip


def descriptors(program: Program) -> list[dict[str, int]]:
    """Every descriptor of a program."""
    count = sum(plan.descriptors for plan in program.layers)
    ends = range(HEADER_BYTES, HEADER_BYTES + count * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
    return [unpack_descriptor(program.image[at : at + DESCRIPTOR_BYTES]) for at in ends]


def every_layer(seed: int, zero_point: int = 0, integers: int | None = None) -> NetworkBuilder:
    """A network with every kind of layer, holes in a concatenation, and N = 1, 2 and 3."""
    b = NetworkBuilder(seed, 3, 11, 9, zero_point, integers=integers)
    b.conv(7, (3, 3), (2, 2), padding=(2, 1, 0, 1), terms=1, zero_point=128)
    b.max_pool((3, 3), (1, 1), (1, 0, 1, 1))
    squeeze = b.conv(5, terms=3)
    left = b.conv(4, source=squeeze, bits=3)
    right = b.conv(9, (3, 2), padding=(2, 0, 2, 1), dilation=(2, 1), source=squeeze)
    b.concat(left, right)
    b.max_pool((2, 2), (2, 1), (1, 1, 0, 0))
    b.conv(6, bits=2)
    b.global_average()
    return b


def run(builder: NetworkBuilder, config: EngineConfig, base: int = 0) -> Program:
    """Compile and run a network; check every tensor that is there afterwards.

    With memory of its own for every tensor, and with shared memory on an engine that stores as
    late, and on one that stores as early, as it may. Return the former's program.
    """
    network, x = builder.build(), builder.picture()
    want = golden.run(network, x, exact="integer")
    programs = [compile_network(network, config, base=base, keep_all=k) for k in (True, False)]
    want |= {copy: want[name] for copy, name in programs[0].copies.items()}
    for program, eager in zip([*programs, programs[1]], (False, False, True), strict=True):
        memory = np.full(program.size, 0xA5, np.uint8)
        memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        program.write_tensor(memory, network.input, x[0].numpy())
        Machine(config, memory, base, eager).run(program.first_descriptor)
        assert memory[: len(program.image)].tobytes() == program.image
        assert set(network.outputs) <= set(program.kept)
        for name in program.kept:
            got = program.read_tensor(memory, name)
            assert np.array_equal(got, want[name][0].numpy()), name
    assert set(programs[0].kept) == set(want)
    return programs[0]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_layer_kind_gives_the_golden_bytes(name: str, seed: int) -> None:
    program = run(every_layer(seed, zero_point=0 if seed == 1 else 128), CONFIGS[name])
    every = descriptors(program)
    assert [d["last"] for d in every] == [0] * (len(every) - 1) + [1]
    assert [plan.index for plan in program.layers] == list(range(len(program.layers)))
    layers = list(range(len(program.layers)))
    assert sorted(d["layer"] for d in every if d["layer_last"]) == layers
    for layer in layers:
        assert [d["layer_last"] for d in every if d["layer"] == layer][-1] == 1


INTEGER_CONFIGS = {
    "int8": EngineConfig(name="int8", rows=3, cols=5, hold=7, buffer_words=512, arithmetic="int8"),
    "int4": EngineConfig(name="int4", rows=4, cols=8, hold=9, buffer_words=512, window=2,
                         arithmetic="int4"),
    "int8w": EngineConfig(name="int8w", rows=8, cols=8, hold=32, buffer_words=512, window=4,
                          arithmetic="int8", bus_bits=128),
}  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", INTEGER_CONFIGS)
def test_integer_engines_give_the_golden_bytes(name: str, seed: int) -> None:
    config = INTEGER_CONFIGS[name]
    builder = every_layer(seed, zero_point=0 if seed == 1 else 128, integers=config.code_bits)
    program = run(builder, config)
    assert {plan.passes for plan in program.layers} == {1}
    builder = NetworkBuilder(seed, 5, 7, 6, 128, integers=config.code_bits)
    builder.conv(6, (3, 3), padding=(1, 1, 1, 1), zero_point=128)
    left = builder.depthwise((3, 3), padding=(1, 1, 1, 1))
    right = builder.conv(6, zero_point=128)
    builder.add(left, right, (config.shift_max, 0), zero_point=128)
    builder.average_pool((2, 2), (2, 2))
    builder.upsample()
    builder.depthwise((2, 2), channels=9, groups=3, bits=3)
    run(builder, config)


def test_an_integer_engine_runs_one_term_of_powers_of_two_in_one_pass() -> None:
    """They are integers up to 64; two terms of them are not all below 128."""
    builder = NetworkBuilder(1, 5, 7, 6)
    builder.conv(6, (3, 3), terms=1)
    assert run(builder, INTEGER_CONFIGS["int8"]).layers[0].passes == 1
    builder = NetworkBuilder(1, 5, 7, 6)
    builder.conv(6, (3, 3), terms=2, bits=3)
    assert run(builder, INTEGER_CONFIGS["int8"]).layers[0].passes == 1


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_lanes_of_two_terms_give_the_golden_bytes(terms: int, bits: int) -> None:
    """In half the passes, of dense layers and of those that keep channels apart."""
    config = EngineConfig(name="two", rows=3, cols=5, hold=8, buffer_words=512, lane_terms=2,
                          max_terms=4, code_bits=bits)  # fmt: skip
    builder = NetworkBuilder(terms, 5, 7, 6, 128)
    builder.conv(6, (3, 3), padding=(1, 1, 1, 1), terms=terms, bits=bits, zero_point=128)
    left = builder.depthwise((3, 3), padding=(1, 1, 1, 1), terms=terms, bits=bits)
    right = builder.conv(6, zero_point=128, terms=terms, bits=3)
    builder.add(left, right, (config.shift_max, 0), zero_point=128)
    builder.average_pool((2, 2), (2, 2))
    builder.upsample()
    builder.depthwise((2, 2), channels=9, groups=3, terms=terms, bits=bits)
    passes = [plan.passes for plan in run(builder, config).layers]
    each = (terms + 1) // 2
    assert passes == [each, each, each, 1, 1, 1, each]


def test_a_program_may_lie_anywhere() -> None:
    base = 0x1234_5000
    program = run(every_layer(3), CONFIGS["small"], base)
    assert program.base == base
    assert program.first_descriptor == base + HEADER_BYTES
    with pytest.raises(ValueError, match=r"^base must be a multiple of 4096, not 4095$"):
        compile_network(every_layer(3).build(), CONFIGS["small"], base=4095)


@pytest.mark.parametrize("buffer_words", [64, 128, 256, 1024])
def test_layers_cut_into_bands_give_the_golden_bytes(buffer_words: int) -> None:
    config = EngineConfig(name="cut", rows=4, cols=4, hold=16, buffer_words=buffer_words)
    builder = NetworkBuilder(7, 6, 14, 9)
    builder.conv(6, (3, 3), padding=(1, 1, 1, 1))
    builder.conv(6, padding=(0, 0, 0, 0))
    builder.max_pool((3, 3), (2, 2))
    builder.conv(5, (2, 2))
    program = run(builder, config)
    assert any(plan.descriptors > 1 for plan in program.layers)


def random_network(rng: Random) -> NetworkBuilder:
    """Up to four layers of any kind."""

    def some(low: int, high: int, size: int = 2) -> Any:
        return tuple(rng.randint(low, high) for _ in range(size))

    zeros = [0, 128]
    b = NetworkBuilder(
        rng.getrandbits(30), rng.randint(1, 9), *some(4, 12), zero_point=rng.choice(zeros)
    )
    for _ in range(rng.randint(1, 4)):
        info = b.tensors[b.last]
        kind = rng.choice(["conv", "conv", "conv", "pool", "concat", "average"])
        if kind == "conv":
            b.conv(
                rng.randint(1, 12),
                some(1, min(3, info.height, info.width)),
                rng.choice([(1, 1), some(1, 3)]),
                rng.choice([(0, 0, 0, 0), some(0, 2, 4)]),
                terms=rng.randint(1, 3),
                bits=rng.randint(2, 4),
                zero_point=rng.choice(zeros),
            )
        elif kind == "pool":
            b.max_pool(some(1, min(3, info.height, info.width)), some(1, 2), some(0, 1, 4))
        elif kind == "concat":
            source = b.last
            parts = [b.conv(rng.randint(1, 7), source=source) for _ in range(rng.randint(2, 3))]
            b.concat(*parts)
        else:
            b.global_average()
    return b


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_give_the_golden_bytes(seed: int) -> None:
    rng = Random(seed)
    config = EngineConfig(
        rows=rng.choice([1, 2, 3, 4, 5, 8]), cols=rng.choice([1, 2, 3, 4, 5, 6, 8]),
        hold=rng.choice([4, 7, 16, 64]), buffer_words=rng.choice([512, 1024]),
        bus_bits=rng.choice([64, 128]), code_bits=rng.choice([4, 5]),
    )  # fmt: skip
    if config.rows % 4 == 0:
        config = config.replace(window=rng.choice([1, 2, 4]))
    run(random_network(rng), config)


@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].window == 1])
def test_the_weight_stream_is_as_stated(name: str) -> None:
    """Column blocks of records, then blocks by kernel row, column, plane and pass."""
    config = CONFIGS[name]
    builder = NetworkBuilder(5, 7, 4, 5, zero_point=128)
    builder.conv(8, (2, 3), bits=config.code_bits, terms=3)
    network = builder.build()
    layer = network.layers[0]
    assert isinstance(layer, Conv)
    program = compile_network(network, config)
    codes, rq = layer.weights.codes, layer.requantiser
    terms, outputs, inputs, height, width = codes.shape
    size, top = config.magnitudes, (1 << config.act_bits) - 1
    want = b""
    for column in range(0, outputs, config.cols):
        for c in range(column, column + config.cols):
            if c >= outputs:
                want += bytes(16)
                continue
            excess = 0  # what the accumulator has too much: the zero point, and inversions
            for n, i, y, x in np.ndindex(terms, inputs, height, width):
                code = int(codes[n, c, i, y, x])
                one = (1 << size - abs(code) + terms - 1 - n) if code else 0
                excess += 128 * one if code > 0 else (top - 128) * one
            multiplier = sum(
                int(s) << int(k) for s, k in zip(rq.sign[c], rq.shift[c], strict=True) if s > 0
            ) - sum(1 << int(k) for s, k in zip(rq.sign[c], rq.shift[c], strict=True) if s < 0)
            want += pack_record(
                int(rq.bias[c]) - multiplier * excess, rq.sign[c].tolist(), rq.shift[c].tolist(),
                int(rq.right[c]),
            )  # fmt: skip
        for y, x in np.ndindex(height, width):
            for plane in range(0, inputs, config.rows):
                for n in range(-(terms % config.lane_terms), terms, config.lane_terms):
                    lanes = [
                        int(codes[k, c, i, y, x]) if c < outputs and i < inputs and k >= 0 else 0
                        for k in range(n, n + config.lane_terms)
                        for c in range(column, column + config.cols)
                        for i in range(plane, plane + config.rows)
                    ]
                    want += pack_block(lanes, config)
    first = descriptors(program)[0]
    at = first["weight_addr"]
    assert at % 64 == 0
    assert program.image[at : at + len(want)] == want
    assert first["weight_beats"] * config.bus_bytes == len(want)


def test_until_stops_after_a_layer() -> None:
    builder = every_layer(4)
    network, config = builder.build(), CONFIGS["small"]
    names = [plan.name for plan in compile_network(network, config).layers]
    program = compile_network(network, config, until=names[2])
    assert [plan.name for plan in program.layers] == names[:3]
    assert descriptors(program)[-1]["last"]
    assert program.size < compile_network(network, config).size
    with pytest.raises(
        ValueError, match=r"^the network has no layer 'conv99'; it has conv0, pool1"
    ):
        compile_network(network, config, until="conv99")


@pytest.mark.parametrize("code_bits", [2, 3, 4, 5])
@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_every_codebook_that_fits_runs_with_nearly_dead_channels(bits: int, code_bits: int) -> None:
    """Layers of each B, N and kind, scales per channel from 2^-60 to 1, on each engine from B on.

    Such channels have right shifts of 47 bits and biases of 43: nothing is left for a factor.
    """
    if bits > code_bits:
        with pytest.raises(ValueError, match=f"^layer 'l0': code bits must be at most {code_bits}"):
            compile_network(dying(bits, 0)[0], EngineConfig(code_bits=code_bits))
        return
    for zero_point in (0, 128):
        network, x = dying(bits, zero_point)
        config = EngineConfig(rows=4, cols=4, code_bits=code_bits, buffer_words=512, hold=16)
        program = compile_network(network, config, keep_all=True)
        memory = np.zeros(program.size, np.uint8)
        memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        program.write_tensor(memory, "x", x[0].numpy())
        Machine(config, memory).run(program.first_descriptor)
        for name, want in golden.run(network, x, exact="integer").items():
            assert np.array_equal(program.read_tensor(memory, name), want[0].numpy()), name


def dying(bits: int, zero_point: int) -> tuple[Network, torch.Tensor]:
    """Three convolutions, the second depthwise, of N = 1, 2, 3; weights fall to 2^-60."""
    generator = torch.Generator().manual_seed(bits + zero_point)
    tensors = {"x": TensorInfo("x", 6, 5, 4, 0, zero_point)}
    layers: list[Layer] = []
    last = "x"
    for terms, groups in ((1, 1), (2, 6), (3, 1)):
        w = torch.randn(6, 6 // groups, 2, 2, generator=generator, dtype=torch.float64)
        w *= torch.tensor([1.0, 1e-3, 1e-7, 1e-9, 1e-13, 2.0**-60]).view(6, 1, 1, 1).double()
        weights = Codebook(terms, bits).quantize(w, "channel")
        scale = weights.scale.numpy() * 2.0 ** -(weights.codebook.fraction_bits + 1)
        rq = Requantiser.from_real(scale, np.array([100.0, 3.5, -7.0, 12.25, 90.5, 255.0]))
        name = f"l{len(layers)}"
        before = tensors[last]
        tensors[name] = TensorInfo(name, 6, before.height, before.width, 0, zero_point)
        layers.append(
            Conv(name, last, name, (2, 2), (1, 1), (1, 0, 0, 1), weights, rq, groups=groups)
        )
        last = name
    x = torch.randint(0, 256, (1, 6, 5, 4), generator=generator).to(torch.uint8)
    return Network("dying", "x", last, tensors, layers), x


@pytest.mark.parametrize("layer", ["conv", "max_pool", "average"])
def test_a_kernel_of_one_step_is_wider_than_a_pixel(layer: str) -> None:
    """1 x 2 taps are one step of a window of 2: the output is narrower than the input."""
    b = NetworkBuilder(1, 4, 3, 5)
    if layer == "conv":
        b.conv(3, (1, 2))
    elif layer == "max_pool":
        b.max_pool((1, 2), (1, 1))
    else:
        b.average_pool((1, 2), (1, 1))
    run(b, EngineConfig(rows=8, cols=8, window=2))


def test_layers_beyond_the_stated_kinds_that_fit_give_the_golden_bytes() -> None:
    """Kernel 8, stride 5, dilation 3: nothing in the engine stops there."""
    b = NetworkBuilder(1, 3, 22, 21, zero_point=128)
    b.conv(5, (8, 8), padding=(3, 4, 4, 3), zero_point=128)
    b.conv(4, (3, 3), dilation=(3, 3), padding=(3, 3, 3, 3))
    b.conv(6, (2, 1), (5, 5))
    run(b, CONFIGS["small"])
