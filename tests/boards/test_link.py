"""The link's gateware against its model."""

from __future__ import annotations

from random import Random

import pytest

from shiftwork.boards.link.protocol import (
    INFO,
    MAGIC,
    MAX_DATA,
    REPLY,
    VERSION,
    Command,
    Frame,
    Status,
)
from shiftwork.hw.registers import REGISTER

from . import link_strings
from .link_bench import BOARD, CLOCK_HZ, WORDS, LinkBench

CONTROL, STATUS = (REGISTER[name].offset for name in ("CONTROL", "STATUS"))


def answers(*frames: Frame, irq: int = 1, state: int = 0) -> tuple[LinkBench, list[Frame]]:
    """Send frames one after the other; check everything against the model."""
    bench, model = LinkBench(), LinkBench.model()
    for registers in (bench.registers, model.registers):
        registers.values[STATUS] = state
    bench.run([frame.encode() for frame in frames], irq=irq)
    wanted = [reply for frame in frames for reply in model.feed(frame.encode())]
    assert bench.replies == wanted
    assert bench.log == model.log
    assert bench.memory == model.memory
    return bench, bench.replies


def test_hello_says_what_the_board_is() -> None:
    _, (reply,) = answers(Frame(7, Command.HELLO))
    assert (reply.number, reply.command, reply.count) == (7, Command.HELLO | REPLY, Status.OK)
    assert reply.argument == MAGIC
    assert INFO.unpack(reply.data) == (WORDS * 8, CLOCK_HZ, MAX_DATA, 8, VERSION, BOARD)


def test_what_is_written_is_read_again() -> None:
    data = bytes(range(0x70, 0x70 + 24))
    bench, replies = answers(
        Frame(1, Command.WRITE + 8, 24, 16, data), Frame(2, Command.READ, 24, 16)
    )
    assert replies[1].data == data == bytes(bench.memory[16:40])


@pytest.mark.parametrize("group", [1, 3, 7])
def test_a_group_of_bytes_becomes_a_word(group: int) -> None:
    data = bytes(range(1, 1 + 2 * group))
    bench, (reply,) = answers(Frame(1, Command.WRITE + group, len(data), 8, data))
    assert reply.argument == 2
    assert bytes(bench.memory[8 : 8 + group]) == data[:group]
    assert bytes(bench.memory[8 + group : 16]) == bytes(8 - group)
    assert bytes(bench.memory[16 : 16 + group]) == data[group:]


def test_registers_are_written_and_read_by_the_engine_s_bus() -> None:
    bench, replies = answers(
        Frame(1, Command.REG_WRITE, 4, 0x18, b"\x44\x33\x22\x11"),
        Frame(2, Command.REG_READ, 4, 0x18),
        Frame(3, Command.REG_READ, 4, 0x800),
        Frame(4, Command.REG_WRITE, 4, 0x800, bytes(4)),
    )
    assert bench.log[0] == ("reg", 0x18, 0x1122_3344)
    assert replies[1].argument == 0x1122_3344
    assert [reply.count for reply in replies] == [Status.OK, Status.OK, Status.BUS, Status.BUS]


def test_a_start_that_comes_twice_starts_once() -> None:
    start = Frame(9, Command.START)
    bench, replies = answers(Frame(8, Command.HELLO), start, start, Frame(10, Command.START))
    assert bench.log == [("reg", CONTROL, 0x101)] * 2
    assert replies[1] == replies[2]


def test_after_hello_a_number_means_something_new() -> None:
    start = Frame(9, Command.START)
    bench, _ = answers(start, Frame(9, Command.HELLO), start)
    assert bench.log == [("reg", CONTROL, 0x101)] * 2


@pytest.mark.parametrize("state", [1, 8])
def test_a_busy_or_blocked_engine_is_not_started(state: int) -> None:
    bench, (reply,) = answers(Frame(1, Command.START), state=state)
    assert bench.log == []
    assert (reply.count, reply.argument) == (Status.REFUSED, state)


def test_wait_ends_without_an_interrupt_too() -> None:
    _, (reply,) = answers(Frame(1, Command.WAIT, 2), irq=0, state=1)
    assert (reply.count, reply.argument) == (Status.OK, 1)


def test_nothing_is_written_beyond_the_memory_or_of_data_that_do_not_fit() -> None:
    last = (WORDS - 1) * 8
    bench, replies = answers(
        Frame(1, Command.WRITE + 8, 16, last, bytes(16)),
        Frame(2, Command.WRITE + 8, 12, 0, bytes(12)),
        Frame(3, Command.WRITE + 8, 8, 0, bytes(16)),
        Frame(4, Command.WRITE + 8, 8, 4, bytes(8)),
        Frame(5, Command.WRITE + 8, 8, 1 << 31, bytes(8)),
        Frame(6, Command.READ, 16, last),
    )
    assert bench.log == []
    names = [Status(reply.count).name for reply in replies]
    assert names == ["ADDRESS", "SIZE", "SIZE", "ADDRESS", "ADDRESS", "ADDRESS"]


def test_a_longest_frame_is_taken_and_a_longer_one_refused() -> None:
    bench, model = LinkBench(), LinkBench.model()
    longest = Frame(1, Command.WRITE + 8, MAX_DATA, 0, bytes(MAX_DATA)).encode()
    longer = Frame(1, Command.WRITE + 8, MAX_DATA, 0, bytes(MAX_DATA + 1)).encode()
    bench.run([longest, longer])
    assert bench.replies == model.feed(longest) + model.feed(longer)
    assert [reply.count for reply in bench.replies] == [Status.ADDRESS, Status.DAMAGED]


def test_mutated_strings_do_what_the_model_does() -> None:
    rng = Random(5)
    strings = [link_strings.string(rng, WORDS) for _ in range(150)]
    bench, model = LinkBench(5), LinkBench.model()
    bench.run(strings, cycles=400_000)
    wanted = [reply for string in strings for reply in model.feed(string)]
    assert bench.replies == wanted
    assert bench.log == model.log
    assert bench.memory == model.memory
