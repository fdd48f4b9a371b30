"""Writes against the tensors whose turn it is: values, order, writes too many and too few."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.program import LayerPlan, Place, Program
from shiftwork.sim.scoreboard import simulate
from shiftwork.sim.turns import ANY, Writes, compare, judge_turns, read_writes, turns_of
from tests.networks import NetworkBuilder


def place(address: int, channels: list[int], rows: int = 2, pixels: int = 2) -> Place:
    planes = max(channels) // rows + 1
    return Place(address, 64, planes, np.array(channels), 1, pixels, rows, 2)


@dataclass
class Fake:
    """A program of two layers that write a then b; b has a hole in lane 1, and lies on a."""

    layers: list[LayerPlan] = field(
        default_factory=lambda: [LayerPlan(n, "conv", n, i, 0, 1, 0, 1) for i, n in enumerate("ab")]
    )
    places: dict[str, Place] = field(
        default_factory=lambda: {"a": place(64, [0, 1]), "b": place(64, [0, 2])}
    )
    kept = ("b",)
    locate = Program.locate


A = np.array([[[10, 11]], [[20, 21]]], np.uint8)
B = np.array([[[30, 31]], [[40, 41]]], np.uint8)
RIGHT = [(64, 10), (65, 20), (66, 11), (67, 21),
         (64, 30), (65, 0), (66, 31), (67, 0), (128, 40), (130, 41)]  # fmt: skip


def writes(entries: list[tuple[int, int]]) -> Writes:
    address, value = np.array(entries, np.int64).reshape(-1, 2).T
    return Writes(np.arange(len(entries)) + 100, address, value.astype(np.int16))


def judge(entries: list[tuple[int, int]]):
    turns = turns_of(Fake(), {"a": A, "b": B})
    allow = np.zeros(256, bool)
    allow[[64, 65, 66, 67, 128, 130]] = True
    return judge_turns(Fake(), turns, writes(entries), allow, np.zeros(256, bool),
                       np.zeros(256, np.uint8))  # fmt: skip


def test_turns_are_the_tensors_in_order_with_their_holes() -> None:
    turns = turns_of(Fake(), {"a": A, "b": B})
    got = list(zip(turns.address.tolist(), turns.value.tolist(), turns.layer.tolist(), strict=True))
    assert got == [(64, 10, 0), (64, 30, 1), (65, 20, 0), (65, ANY, 1), (66, 11, 0), (66, 31, 1),
                   (67, 21, 0), (67, ANY, 1), (128, 40, 1), (130, 41, 1)]  # fmt: skip
    assert turns.checked == 8
    assert turns_of(Fake(), {"b": B}).checked == 4


def test_right_writes_in_any_order_of_addresses_pass() -> None:
    judged = judge(RIGHT)
    assert (judged.wrong_bytes, judged.found, judged.extra_beats) == (0, [], 0)
    assert (judged.checked_bytes, judged.first_cycle) == (8, None)
    first, second = RIGHT[:4], RIGHT[4:]
    Random(1).shuffle(first)
    Random(2).shuffle(second)
    assert judge(first + second).wrong_bytes == 0


def test_a_wrong_value_is_named_and_timed() -> None:
    entries = [*RIGHT]
    entries[2], entries[9] = (66, 99), (130, -1)
    judged = judge(entries)
    assert (judged.wrong_bytes, judged.wrong_beats, judged.first_cycle) == (2, 2, 102)
    assert [str(m).split(" (")[0] for m in judged.found] == [
        "layer a, tensor a, channel 0, y 0, x 1: got 99, want 11 in cycle 102",
        "layer b, tensor b, channel 1, y 0, x 1: got undefined bits, want 41 in cycle 109",
    ]


def test_the_turns_of_two_tensors_do_not_mix() -> None:
    """All bytes end right, but b was there before a was written."""
    swapped = [RIGHT[4], *RIGHT[1:4], RIGHT[0], *RIGHT[5:]]
    assert judge(swapped).wrong_bytes == 2


def test_a_write_too_few_or_too_many_is_found() -> None:
    few = judge(RIGHT[:-1])
    (lost,) = few.found
    assert (few.wrong_bytes, lost.cycle, lost.got, lost.want) == (1, None, None, 41)
    assert "never written" in str(lost)
    many = judge([*RIGHT, (130, 41)])
    assert (many.wrong_bytes, many.extra_beats, many.first_cycle) == (0, 1, 110)
    assert many.extra[0].address == 130
    outside = judge([*RIGHT, (200, 1), (1 << 31, 1)])  # found by the memory itself
    assert outside.extra_beats == 0


def test_bytes_spoiled_after_their_last_write_count_once() -> None:
    turns = turns_of(Fake(), {"a": A, "b": B})
    later, want = np.zeros(256, bool), np.zeros(256, np.uint8)
    later[[128, 130]], want[128] = True, 40
    entries = [*RIGHT]
    entries[9] = (130, 7)
    judged = judge_turns(Fake(), turns, writes(entries), np.ones(256, bool), later, want)
    assert judged.wrong_bytes == 2
    assert [(m.address, m.got) for m in judged.found] == [(130, 7), (128, None)]


@pytest.mark.parametrize("size", [8, 16])
def test_the_memorys_file_is_read(size: int, tmp_path: Path) -> None:
    rng = Random(size)
    text, want = "", []
    for _ in range(50):
        cycle, word = rng.getrandbits(32), rng.getrandbits(32 - 4)
        data, strobes = rng.randbytes(size), rng.getrandbits(size)
        text += (
            f"{cycle:08x} {word * size % 2**32:08x} {data[::-1].hex()} {strobes:0{size // 4}x}\n"
        )
        want += [(cycle, word * size % 2**32 + lane, data[lane]) for lane in range(size)
                 if strobes >> lane & 1]  # fmt: skip
    path = tmp_path / "writes.log"
    path.write_text(text)
    found = read_writes(path, size)
    got = zip(found.cycle.tolist(), found.address.tolist(), found.value.tolist(), strict=True)
    assert list(got) == want
    path.write_text(text.replace("\n", "\n ", 1))
    with pytest.raises(ValueError, match=f"does not hold beats of {size} bytes"):
        read_writes(path, size)


def test_undefined_bits_are_no_value(tmp_path: Path) -> None:
    path = tmp_path / "writes.log"
    path.write_text("00000001 00000040 00000000000000x1 03\n")
    assert read_writes(path, 8).value.tolist() == [-1, 0]


def test_nothing_written_is_all_wrong() -> None:
    turns = turns_of(Fake(), {"a": A, "b": B})
    assert len(compare(turns, writes([])).turn) == 8


def test_a_wrong_weight_under_another_tensor_is_found(tmp_path: Path) -> None:
    """The first layer's map is gone at the end; its wrong bytes are found all the same."""
    config = EngineConfig(name="turns", rows=4, cols=4, hold=16, buffer_words=512)
    builder = NetworkBuilder(9, 4, 6, 6)
    for _ in range(4):
        builder.conv(4, (3, 3), padding=(1, 1, 1, 1))
    network, x = builder.build(), builder.picture()
    program = compile_network(network, config)
    assert program.kept == (network.output,)
    want = golden.run(network, x, exact="integer")
    verilog = emit(config, tmp_path).verilog
    inputs = {network.input: x[0]}
    good = simulate(program, config, verilog, inputs, want, "icarus")
    assert good.ok, good.summary()
    assert good.checked_bytes == 4 * 4 * 36
    assert set(good.outputs) == {network.output}
    wrong = dict(want)
    wrong["conv0.out"] = want["conv0.out"] ^ 1
    bad = simulate(program, config, verilog, inputs, wrong, "icarus", work=tmp_path / "run")
    assert not bad.bit_exact and bad.wrong_bytes == 4 * 36
    assert {m.layer for m in bad.mismatches} == {"conv0"}
    assert all(m.got == m.want ^ 1 for m in bad.mismatches)
    assert bad.waveform is not None and bad.mismatches[0].cycle is not None
