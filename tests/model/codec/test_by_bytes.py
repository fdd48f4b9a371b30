"""Codes by the bytes that cross memory: what is counted, what is chosen, what it then loses."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from shiftwork.hw.codec.switched import MOST, edge_bits, packed_ranges
from shiftwork.hw.config import preset
from shiftwork.model.codec import by_bytes
from shiftwork.model.codec.bench import Bench
from shiftwork.model.codec.by_bytes import MIXED, PLAIN, ByBytes, Way, every_level, least_loss
from shiftwork.model.codec.coded import CodedGraph
from shiftwork.model.codec.crossings import crossings, loaded_bytes, table_words, with_codec
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.options import profiles
from shiftwork.model.codec.place import code_network
from shiftwork.model.codec.plan import Plan
from shiftwork.model.codec.switched import SwitchedTable
from shiftwork.model.codec.table import TableCode
from shiftwork.model.compile import compile_network
from shiftwork.model.cycles import predict_cycles
from shiftwork.model.quantize import quantize
from shiftwork.model.zoo.loader import Labelled

PLAN = Plan(measured=12, bits=(4, 3, 2))
NAMES = ["p", "b", "e"]  # behind pooling, between convolutions, a concatenation


@pytest.fixture(scope="module")
def bench(coded: CodedGraph, pictures: torch.Tensor) -> Bench:
    """Return the bench of a small network, made of what is known of it."""
    bench = object.__new__(Bench)
    bench.network, bench.integer = coded, quantize(coded.graph, coded.frac_bits)
    bench.sets, bench.plan, bench.seed, bench.steps = {"ALL": NAMES}, PLAN, 0, 0
    bench.crops, bench.held = pictures[:48], pictures[48:72]
    best = coded.scores(pictures[72:], {}).argmax(1).tolist()
    bench.pictures = Labelled(pictures[72:], tuple((label,) for label in best))
    bench.profiles = profiles(coded, bench.crops, NAMES)
    bench.reference = coded.scores(bench.pictures.x, {})
    bench.tell = lambda what, done, total: None
    return bench


@pytest.fixture(scope="module")
def by(bench: Bench) -> ByBytes:
    return ByBytes(bench, preset("tiny"))


def switched(tables: int, channels: int, bits: int) -> SwitchedTable:
    counts = torch.ones(channels, 256, dtype=torch.float64)
    ranges = best_tables(counts, [tables.bit_length() - 1])[tables.bit_length() - 1]
    return SwitchedTable(ranges, best_tables(counts.repeat_interleave(tables, 0), [bits])[bits])


def test_crossings_are_what_the_program_moves(bench: Bench) -> None:
    codes = {name: bench.fitted[name]["weighted"][4] for name in NAMES}
    network = code_network(bench.integer, codes)
    config = with_codec(preset("tiny"), network)
    found = crossings(network, config)
    raw = crossings(bench.integer, preset("tiny"))
    predicted, before = (
        predict_cycles(compile_network(n, c), c)
        for n, c in ((network, config), (bench.integer, preset("tiny")))
    )
    tensors = ["a", *NAMES]  # e stands for its parts, c and d
    tables = sum(found[name].table_bytes(network.codes[name]) for name in tensors)
    assert all((found[n].written, found[n].read) == (raw[n].written, raw[n].read) for n in tensors)
    # a beat here and there of what is not wanted
    written = sum(found[name].written for name in tensors) / 2
    assert before.bytes_written - predicted.bytes_written == pytest.approx(written, rel=0.02)
    read = sum(found[name].read for name in tensors) / 2 - tables
    assert before.bytes_read - predicted.bytes_read == pytest.approx(read, rel=0.06)
    assert found["p"].loads == 0  # the levels of what is pooled
    assert raw["a"].table_bytes(codes["b"]) == 0


@pytest.mark.parametrize(
    ("tables", "bits", "words"),
    [(2, 2, (8 + 8, 8 + 2)), (2, 4, (32 + 8, 32 + 4)), (4, 2, (16 + 32, 16 + 4)),
     (4, 3, (32 + 32, 32 + 8)), (8, 4, (128 + 64 * 4, 128 + 64))],
)  # fmt: skip
def test_tables_are_counted_as_circuits_hold_them(
    tables: int, bits: int, words: tuple[int, int]
) -> None:
    code = switched(tables, 3, bits)
    assert table_words(code) == words
    if tables <= MOST:  # what is beside thresholds and levels of as many entries
        levels = code.tables.levels[0].tolist()
        ranges = packed_ranges(code.ranges.thresholds[0].tolist(), levels, ranges=tables)
        beside = 2 << edge_bits(tables), tables * len(ranges)
        assert words == (*(many + (tables << bits) for many in beside),)
    assert loaded_bytes(code) == 3 * sum(words)
    assert loaded_bytes(code.tables) == 3 * tables * (2 << bits)
    assert loaded_bytes(lambda a: a) == 0


def test_the_least_loss_is_that_of_trying_all() -> None:
    generator = torch.Generator().manual_seed(3)
    ways = {}
    for name in NAMES:
        sizes = torch.randint(1, 100, (6,), generator=generator).tolist()
        each = torch.rand(6, generator=generator).tolist()
        ways[name] = [Way({}, 64 * s, 0, loss) for s, loss in zip(sizes, each, strict=True)]
    for most in (3000, 8192, 12000, 30000):
        found = least_loss(ways, most)
        assert list(found) == NAMES
        assert sum(way.map_bytes for way in found.values()) <= most
        best = min(
            sum(way.loss for way in several)
            for several in product(*ways.values())
            if sum(way.map_bytes for way in several) <= most - 3  # each is rounded up
        )
        assert sum(way.loss for way in found.values()) <= best
    with pytest.raises(ValueError, match="cannot be stored in 10 bytes"):
        least_loss(ways, 10)


def test_a_pooled_map_is_switched_in_front_of_the_pooling(
    bench: Bench, by: ByBytes, pictures: torch.Tensor
) -> None:
    code = switched(2, 8, 3)
    way = by.way("p", code)
    assert list(way.codes) == ["a", "p"] and way.ranges == 2
    x = pictures[:4]
    assert torch.equal(
        bench.network.scores(x, way.codes), bench.network.scores(x, {"a": code})
    )  # the maxima keep every level
    crossing = by.crossings
    assert way.map_bytes == (3 * crossing["a"].values + 4 * crossing["p"].values) // 8
    planes = crossing["a"].stores
    assert crossing["a"].loads == planes == crossing["p"].stores
    inward, outward = table_words(code)
    assert way.table_bytes == planes * crossing["a"].rows * (inward + outward + 2 * 16)
    table = bench.fitted["p"]["weighted"][3]
    plain = by.way("p", table)
    assert torch.equal(
        bench.network.scores(x, plain.codes), bench.network.scores(x, {"p": table})
    )  # tables commute with maxima
    assert plain.table_bytes == planes * crossing["a"].rows * 3 * 8  # the levels are there


def test_every_level_of_all_tables_is_kept() -> None:
    code = switched(4, 5, 2)
    held = every_level(code)
    assert held.bits == 4 and isinstance(held, TableCode)
    for channel in range(5):
        levels = code.tables.levels[4 * channel : 4 * channel + 4].flatten()
        a = levels.view(1, 1, -1).repeat(1, 5, 1)[..., None]
        assert torch.equal(held(a)[0, channel], a[0, channel])


def test_more_to_choose_from_costs_no_more_than_there_is(
    bench: Bench, by: ByBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_bytes, "POINTS", (6.5, 5.5))  # tables are large beside such maps
    monkeypatch.setattr(by_bytes, "BITS", (2, 3))
    rows = list(by.chosen_rows())
    values = by.values(NAMES)
    assert values == sum(by.crossings[name].values for name in ("a", *NAMES))
    assert [row.row.code for row in rows] == [PLAIN, MIXED] * 2
    for plain, mixed in zip(rows[::2], rows[1::2], strict=True):
        assert plain.wanted == mixed.wanted and not plain.switched and plain.gain is None
        for row in (plain, mixed):
            assert row.total == row.map_bytes + row.table_bytes
            assert row.wanted is not None and row.total <= values * row.wanted / 8
            assert row.row.bits == pytest.approx(8 * row.total / values)
            assert row.row.top1 == 24 - row.row.lost
        assert mixed.gain == pytest.approx(plain.row.divergence - mixed.row.divergence)
        assert mixed.held_gain == pytest.approx((plain.held or 0) - (mixed.held or 0))
    assert rows[0].row.divergence < rows[-2].row.divergence
    ways = by.switched()
    assert {way.ranges for way in ways["p"]} == {2}  # of 4 tables no map is as large as these
    assert all(way.loss > 0 for several in ways.values() for way in several)
