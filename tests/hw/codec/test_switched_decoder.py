# amaranth: UnusedElaboratable=no
"""SwitchedDecoder: rows of codes are what the definition reads back, with random stalls."""

from random import Random

import pytest

from shiftwork.hw.codec.switched_decoder import SwitchedDecoder

from .reference import to_planes
from .switched_bench import Run, decoder_entries, random_channel, simulate_runs

SHAPES = [(16, 8, 4, 1, 4), (2, 8, 5, 2, 4), (3, 8, 1, 4, 2), (1, 5, 4, 1, 2), (2, 4, 2, 2, 4)]


def run(rng: Random, dut: SwitchedDecoder, bits: int) -> Run:
    """Return new tables for every plane, then rows of each, and words that pass behind them."""
    found = Run([], [], [])
    values = dut.o.payload.shape()
    for plane in rng.sample(range(dut.planes), dut.planes):
        channels = [random_channel(rng, dut.tables, bits, dut.act_bits) for _ in range(dut.lanes)]
        found.entries += decoder_entries(plane, channels, dut.act_bits)
        for width in (1, 1, 2, rng.randint(3, 9)):
            rows = [[rng.randrange(1 << bits) for _ in range(width)] for _ in channels]
            read = [of.read(row) for of, row in zip(channels, rows, strict=True)]
            for x in range(width):
                ignored = rng.getrandbits(dut.lanes * (dut.act_bits - bits))
                word = to_planes([row[x] for row in rows], bits) | ignored << dut.lanes * bits
                last = x == width - 1
                found.words.append({"word": word, "bits": bits, "plane": plane, "first": x == 0,
                                    "last": last})  # fmt: skip
                found.want.append(values.const({"values": [of[x] for of in read], "last": last}))
        passing = [rng.getrandbits(dut.act_bits) for _ in range(dut.lanes)]
        word = sum(value << dut.act_bits * lane for lane, value in enumerate(passing))
        found.words.append({"word": word, "bits": 0, "plane": plane, "first": 0, "last": 0})
        found.want.append(values.const({"values": passing, "last": 0}))
    return found


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("lanes", "act_bits", "code_bits", "planes", "tables"), SHAPES)
def test_levels_of_codes(
    lanes: int, act_bits: int, code_bits: int, planes: int, tables: int, stall: float
) -> None:
    rng = Random(lanes * 100 + code_bits)
    dut = SwitchedDecoder(lanes, act_bits, code_bits, planes, tables)
    runs = [run(rng, dut, bits) for bits in (code_bits, rng.randint(1, code_bits), code_bits)]
    simulate_runs(dut, runs, lanes, stall)


def test_what_it_cannot_be() -> None:
    for shape, name in (
        ((4, 8, 8, 1, 2), "code_bits"), ((4, 8, 3, 3, 4), "words"), ((4, 8, 3, 1, 3), "tables"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            SwitchedDecoder(*shape)
