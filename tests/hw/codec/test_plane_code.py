# amaranth: UnusedElaboratable=no
"""Plane codes: circuits and the model give the same bits and values, of every kind and size."""

from random import Random
from typing import Any

import pytest
import torch

from shiftwork.hw.codec.plane_code import PlaneCoder, PlaneShape
from shiftwork.hw.codec.plane_decoder import PlaneDecoder
from shiftwork.hw.codec.plane_encoder import PlaneEncoder
from shiftwork.model.codec.start import of_table
from shiftwork.model.codec.table import TableCode

from ..bench import Testbench, holds, simulate, sink, source
from .plane_bench import Rows, code_of, integer, pixels, rows_of_layers, write
from .reference import random_table

SHAPES = [
    PlaneShape(lanes=2, bits=3, group=1, cycles=1, words=2),
    PlaneShape(lanes=2, bits=6, depth=2, cycles=4),
    PlaneShape(lanes=2, bits=4, weight_bits=8, group=1, cycles=4),
    PlaneShape(lanes=2, bits=6, cycles=4, spatial=True, max_width=9, words=2),
    PlaneShape(lanes=1, bits=4, spatial=True, depth=2, hidden=4, cycles=4, max_width=9),
    PlaneShape(lanes=1, bits=1, max_width=1),
]
STALLS = [0.4, 0.0, 0.4, 0.3, 0.0, 0.4]
SIZES = [(1, 1), (4, 6), (5, 3), (3, 9)]


def maps(shape: PlaneShape) -> list[torch.Tensor]:
    """Maps uint8 (1, lanes, H, W): of zeros, of the highest value, and of any."""
    numbers = torch.Generator().manual_seed(shape.lanes)
    sizes = [size for size in SIZES if size[1] <= shape.max_width]
    found = [
        torch.randint(0, 256, (1, shape.lanes, *size), generator=numbers).to(torch.uint8)
        for size in sizes
    ]
    ends = [torch.full((1, shape.lanes, 2, min(3, shape.max_width)), v) for v in (0, 255)]
    return [*(end.to(torch.uint8) for end in ends), *found]


@pytest.mark.parametrize(("shape", "stall"), [*zip(SHAPES, STALLS, strict=True)])
def test_circuits_equal_the_model(shape: PlaneShape, stall: float) -> None:
    rng = Random(shape.bits)
    codes = [code_of(shape, seed) for seed in range(shape.words)]
    values, stored, sizes = [], [], []
    read, back = [], []
    for a in maps(shape):
        word = rng.randrange(shape.words)
        size = (a.shape[2], a.shape[3])
        bits = codes[word].encode(a)
        values += [{"values": p.tolist(), "word": word} for p in pixels(a)]
        stored += [integer(p) for p in pixels(bits)]
        read += [{"bits": integer(p), "word": word} for p in pixels(bits)]
        back += [p.tolist() for p in pixels(codes[word].decode(bits, size))]
        sizes.append({"height": size[0], "width": size[1]})

    encoder, decoder = PlaneEncoder(shape), PlaneDecoder(shape)
    run(encoder, rows_of_layers(encoder, codes, inward=True), values, stored, sizes, stall)
    run(decoder, rows_of_layers(decoder, codes, inward=False), read, back, sizes, stall)


def run(
    dut: PlaneCoder, rows: list[Rows], given: list[Any], want: list[Any], sizes: list[Any],
    stall: float,
) -> None:  # fmt: skip
    """Write the rows of each layer, then let words run."""

    async def fill_and_run(ctx: Any) -> None:
        for number, own in enumerate(rows):
            await write(ctx, dut, own, 1 << number)
        await source(dut.i, given, rng=Random(1), stall=stall)(ctx)

    benches: list[Testbench] = [fill_and_run]
    if dut.shape.spatial:
        benches.append(source(dut.size, sizes, rng=Random(3), stall=stall))
    benches.append(sink(dut.o, want, rng=Random(2), stall=stall))
    simulate(dut, *benches, background=[holds(dut.o)])


def test_two_layers_hold_a_table() -> None:
    """Their circuits give the values of a table code."""
    rng = Random(5)
    tables = [random_table(rng, 2, 8) for _ in range(2)]
    thresholds, levels = (
        torch.tensor([table[part] for table in tables], dtype=torch.uint8) for part in (0, 1)
    )
    table = TableCode(2, thresholds, levels)
    shape = PlaneShape(lanes=2, bits=2, group=1, depth=2, hidden=3, weight_bits=8)
    code = of_table(table)
    a = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 2, 16, 16)
    values = [{"values": p.tolist(), "word": 0} for p in pixels(a)]
    stored = [integer(p) for p in pixels(code.encode(a))]
    encoder, decoder = PlaneEncoder(shape), PlaneDecoder(shape)
    run(encoder, rows_of_layers(encoder, [code], inward=True), values, stored, [], 0.0)
    read = [{"bits": bits, "word": 0} for bits in stored]
    back = [p.tolist() for p in pixels(table(a))]
    run(decoder, rows_of_layers(decoder, [code], inward=False), read, back, [], 0.0)


def test_what_they_cannot_be() -> None:
    for arguments, name in (
        ({"lanes": 4, "bits": 4, "group": 3}, "groups of 3 do not divide 4 channels"),
        ({"lanes": 4, "bits": 9}, r"bits must be 1\.\.8, not 9"),
        ({"lanes": 4, "bits": 4, "depth": 3}, "depth must be 1 or 2, not 3"),
        ({"lanes": 4, "bits": 4, "group": 2, "cycles": 16}, "divides the 8 outputs of a group"),
        ({"lanes": 4, "bits": 4, "cycles": 3}, "cycles must be a power of two"),
        ({"lanes": 0, "bits": 4}, r"lanes must be 1\.\.64, not 0"),
        ({"lanes": 8, "bits": 4, "group": -4}, r"group must be 0\.\.8, not -4"),
        ({"lanes": 8, "bits": 4, "hidden": -1}, r"hidden must be 0\.\.256, not -1"),
        ({"lanes": 8, "bits": 4, "weight_bits": 1}, r"weight_bits must be 2\.\.8, not 1"),
        ({"lanes": 8, "bits": 4, "words": 3}, "words must be a power of two, not 3"),
        ({"lanes": 8, "bits": 4, "max_width": 0}, r"max_width must be 1\.\.65536, not 0"),
    ):
        with pytest.raises(ValueError, match=name):
            PlaneShape(**arguments)  # type: ignore[arg-type]
