"""The host's end of the link against a board in plain Python, on good lines and bad ones."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from shiftwork.boards.host import Board, Link, LinkError, Refused
from shiftwork.boards.host.board import input_writes
from shiftwork.boards.link.model import Model
from shiftwork.hw.config import preset
from shiftwork.hw.registers import COUNTERS, REGISTER
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from shiftwork.model.program import Place, Program
from shiftwork.sim.builder import NetworkBuilder

from .fake_board import MEMORY_WORDS, Line, fake_board

CONFIG = preset("small")


def network() -> tuple[Network, np.ndarray, dict[str, np.ndarray]]:
    """Return a small network, an input and what comes out."""
    builder = NetworkBuilder(3, 3, 6, 6)
    builder.conv(12, (3, 3), padding=(1, 1, 1, 1))
    builder.conv(10)
    net = builder.build()
    x = builder.picture()
    stored = golden.run(net, x)
    return net, x[0].numpy(), {net.output: stored[net.output][0].numpy()}


@pytest.fixture(scope="module")
def case() -> tuple[Network, np.ndarray, dict[str, np.ndarray], Program]:
    net, x, want = network()
    return net, x, want, compile_network(net, CONFIG)


def test_memory_is_written_and_read_in_frames() -> None:
    line = Line(Model(MEMORY_WORDS, 1, 2))
    link = Link(line, clock=line.clock)
    data = Random(1).randbytes(5000)
    link.write(64, data)
    assert bytes(line.model.memory[64:5064]) == data
    assert link.read(64, 5000) == data
    assert link.traffic.retries == 0


@pytest.mark.parametrize("damage", [0.002, 0.01, 0.03])
def test_a_bad_line_only_takes_longer(damage: float) -> None:
    line = Line(Model(MEMORY_WORDS, 1, 2), damage=damage)
    link = Link(line, clock=line.clock)
    assert link.hello().memory_bytes == 8 * MEMORY_WORDS
    data = Random(1).randbytes(12_000)
    link.write(0, data)
    assert bytes(line.model.memory[:12_000]) == data
    assert link.read(0, 12_000) == data
    assert link.traffic.refused and link.traffic.spoilt and link.traffic.timeouts
    written = [entry for entry in line.model.log if entry[0] == "mem"]
    assert {entry[1:] for entry in written} == {
        (at // 8, data[at : at + 8]) for at in range(0, 12_000, 8)
    }


def test_a_silent_line_ends_in_an_error() -> None:
    line = Line(Model(MEMORY_WORDS, 1, 2))
    line.silent = True
    with pytest.raises(LinkError, match="does not answer within 20 s"):
        Link(line, clock=line.clock).hello()


def test_something_else_on_the_port_is_told() -> None:
    line = Line(Model(MEMORY_WORDS, 1, 2))
    with pytest.raises(LinkError, match="no Shiftwork engine"):
        Board(Link(line, clock=line.clock))


def test_the_board_s_refusal_is_an_error() -> None:
    line = Line(Model(MEMORY_WORDS, 1, 2))
    link = Link(line, clock=line.clock)
    with pytest.raises(Refused, match="refuses WRITE at 0x20000: ADDRESS"):
        link.write(8 * MEMORY_WORDS, bytes(8))
    with pytest.raises(Refused, match="refuses REG_READ at 0x800: BUS"):
        link.read_register(0x800)


@pytest.mark.parametrize("damage", [0.0, 0.01])
def test_a_network_runs_and_each_start_runs_it_once(case, damage: float) -> None:
    net, x, want, program = case
    model, engine = fake_board(CONFIG, program, net)
    line = Line(model, damage=damage, seed=3)
    board = Board(Link(line, clock=line.clock))
    board.load(program, net)
    for runs in range(1, 6):
        result = board.run(x)
        assert np.array_equal(result.outputs[net.output], want[net.output])
        assert result.cycles == 1234
        assert engine.runs == runs


def test_counters_that_an_engine_does_not_count_are_left_out(case) -> None:
    net, x, _, program = case
    model, engine = fake_board(CONFIG, program, net)
    line = Line(model)
    board = Board(Link(line, clock=line.clock))
    board.load(program, net)
    assert board.run(x).counters == {"busy": 1234}
    engine.values[REGISTER["TOTAL5"].offset] = 7
    counters = board.run(x).counters
    assert counters == {name: {"busy": 1234, "read": 7}.get(name, 0) for name, _ in COUNTERS}
    assert list(board.run(x, counters=False).counters) == ["busy"]


def test_a_program_for_another_engine_or_too_large_is_refused(case) -> None:
    net, _, _, program = case
    other = preset("tiny")
    model, _ = fake_board(other, program, net)
    line = Line(model)
    with pytest.raises(ValueError, match="for another engine"):
        Board(Link(line, clock=line.clock)).load(program, net)
    model, _ = fake_board(CONFIG, program, net)
    model.words = 512
    line = Line(model)
    with pytest.raises(ValueError, match="bytes, the board has 4,096"):
        Board(Link(line, clock=line.clock)).load(program, net)


def test_an_engine_s_error_is_told_and_the_engine_reset(case) -> None:
    net, x, _, program = case
    model, engine = fake_board(CONFIG, program, net)
    line = Line(model)
    board = Board(Link(line, clock=line.clock))
    board.load(program, net)
    engine.fault = lambda: 5 | 2 << 16
    with pytest.raises(LinkError, match="stopped with error 5 in layer 2"):
        board.run(x)
    engine.fault = None
    assert board.run(x).cycles == 1234


@pytest.mark.parametrize("word_bytes", [4, 8, 16])
@pytest.mark.parametrize("slots", [[0], [0, 1, 2], [4, 5, 20, 21]])
def test_input_writes_store_the_tensor(word_bytes: int, slots: list[int]) -> None:
    rows = word_bytes
    height, width = 3, 5
    planes = max(slots) // rows + 1
    place = Place(128, 256, planes, np.array(slots), height, width, rows, word_bytes)
    x = np.random.default_rng(1).integers(0, 256, (len(slots), height, width), np.uint8)
    line = Line(Model(MEMORY_WORDS, 1, 2))
    link = Link(line, clock=line.clock)
    for address, group, data in input_writes(place, x):
        link.write(address, data, group)
    memory = np.frombuffer(line.model.memory, np.uint8)
    assert np.array_equal(memory[place.offsets()], x)
