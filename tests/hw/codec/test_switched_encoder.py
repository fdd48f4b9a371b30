# amaranth: UnusedElaboratable=no
"""SwitchedEncoder: codes are what the definition gives, words in any order, with random stalls."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.switched_encoder import SwitchedEncoder

from ..bench import count_high, receive, simulate, source
from .switched_bench import Channel, Run, encoder_entries, random_channel, simulate_runs

SHAPES = [
    (16, 8, 4, 1, 4), (2, 8, 5, 2, 4), (3, 8, 1, 4, 2), (1, 2, 1, 1, 2), (2, 8, 3, 16, 4),
    (4, 8, 2, 1, 4), (2, 5, 4, 2, 2),
]  # fmt: skip


def value_for(rng: Random, channel: Channel, act_bits: int) -> int:
    """Return any value, an extreme one, or one beside a threshold."""
    top = (1 << act_bits) - 1
    near = rng.choice([t for at in channel.thresholds for t in at]) - rng.randrange(2)
    return rng.choice([rng.randint(0, top), 0, top, max(near, 0), max(near, 0)])


def rows_of(
    rng: Random, dut: SwitchedEncoder, channels: list[Channel], word: int, bits: int
) -> list[list[tuple[Any, Any]]]:
    """Return rows of what is sent and what comes."""
    found = []
    for width in (1, 2, rng.randint(3, 9), rng.randint(1, 9)):
        coded = rng.random() < 0.8
        values = [[value_for(rng, of, dut.act_bits) for _ in range(width)] for of in channels]
        codes = [of.store(row)[0] for of, row in zip(channels, values, strict=True)]
        want = codes if coded else values
        found.append([
            ({"values": [row[x] for row in values], "bits": bits if coded else 0, "word": word,
              "first": x == 0}, [row[x] for row in want])
            for x in range(width)
        ])  # fmt: skip
    return found


def run(rng: Random, dut: SwitchedEncoder, bits: int, order: str) -> Run:
    """Return new tables for every word, then rows of all words, mixed in this order."""
    entries, waiting = [], []
    for word in range(dut.groups):
        channels = [random_channel(rng, dut.tables, bits, dut.act_bits) for _ in range(dut.lanes)]
        entries += encoder_entries(word, channels)
        waiting.append([pair for row in rows_of(rng, dut, channels, word, bits) for pair in row])
    sent: list[tuple[Any, Any]] = []
    turn = 0
    while any(waiting):
        if order != "rows":  # otherwise one word to its end, then the next
            turn = rng.randrange(dut.groups) if order == "any" else (turn + 1) % dut.groups
        while not waiting[turn]:
            turn = (turn + 1) % dut.groups
        sent.append(waiting[turn].pop(0))
    return Run(entries, [word for word, _ in sent], [want for _, want in sent])


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("lanes", "act_bits", "code_bits", "words", "tables"), SHAPES)
def test_codes_of_rows(
    lanes: int, act_bits: int, code_bits: int, words: int, tables: int, stall: float
) -> None:
    rng = Random(lanes * 100 + code_bits)
    dut = SwitchedEncoder(lanes, act_bits, code_bits, words, tables)
    orders = [("turns", code_bits), ("any", rng.randint(1, code_bits)), ("rows", code_bits)]
    runs = [run(rng, dut, bits, order) for order, bits in orders]
    simulate_runs(dut, runs, words, stall)


@pytest.mark.parametrize(("words", "cycles"), [(1, 2 + 4 + 4), (16, 2 + 4 + 4 + 2 + 1 + 4)])
def test_a_word_a_cycle_after_the_latency(words: int, cycles: int) -> None:
    """Of 16 words two stages of edges, next ranges and all thresholds have over 32 entries."""
    dut = SwitchedEncoder(1, 8, 4, words, 4)
    payloads = [{"values": [n], "bits": 0, "word": 0, "first": 0} for n in range(20)]
    seen: list[int] = []
    got: list[Any] = []
    simulate(
        dut,
        source(dut.i, payloads),
        receive(dut.o, len(payloads), got),
        background=[count_high(dut.o.valid & dut.o.ready, seen)],
    )
    assert seen[:20] == list(range(seen[0], seen[0] + 20)) and seen[0] == cycles
    assert [value[0] for value in got] == list(range(20))


def test_what_it_cannot_be() -> None:
    for shape, name in (
        ((4, 8, 8, 1, 2), "code_bits"), ((4, 8, 3, 3, 4), "words"), ((4, 8, 3, 1, 8), "tables"),
        ((4, 7, 3, 1, 4), "act_bits must be 8 or more for 4 tables, not 7"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            SwitchedEncoder(*shape)
