"""100 000 random and mutated strings of bytes against the link's gateware, in Verilator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from shiftwork.boards.link.link import Link
from shiftwork.boards.link.protocol import WORD_BYTES, Command, Deframer, Frame
from shiftwork.flow.emit import emit_component
from shiftwork.flow.verilate import verilate

from . import link_strings
from .link_bench import BOARD, CLOCK_HZ, WORDS, LinkBench

STRINGS = 100_000
MAIN = Path(__file__).with_name("link_fuzz.cpp")
Log = list[tuple[str, int, bytes | int]]


class Bytes(wiring.Component):
    """The link with a byte and its valid bit in place of a stream that is always ready."""

    def __init__(self) -> None:
        self.link: Any = Link(WORDS, CLOCK_HZ, BOARD)
        members = dict(self.link.signature.members.items())
        del members["i"]
        super().__init__({"byte": In(8), "byte_valid": In(1), **members})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        outer: Any = self
        m.submodules.link = link = self.link
        m.d.comb += [
            link.i.payload.eq(outer.byte),
            link.i.valid.eq(outer.byte_valid),
        ]
        wiring.connect(m, link.o, wiring.flipped(outer.o))
        for name, member in link.signature.members.items():
            if member.is_port:
                here, there = getattr(outer, name), getattr(link, name)
                m.d.comb += here.eq(there) if member.flow is Out else there.eq(here)
        return m


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("link")
    verilog = emit_component(Bytes(), "shiftwork_link", folder).verilog
    return verilate(verilog, "shiftwork_link", MAIN, "link", cache=folder)


def run(program: Path, strings: list[bytes], *, paced: bool) -> list[tuple[Log, list[bytes]]]:
    """Feed the strings; return what was written and which frames were sent, by string."""
    source, result = program.with_name("strings"), program.with_name("result")
    source.write_bytes(b"".join(len(s).to_bytes(2, "little") + s for s in strings))
    subprocess.run([program, source, result, "1", str(int(paced))], check=True, timeout=1800)
    found: list[tuple[Log, list[bytes]]] = []
    deframer = Deframer()
    with result.open() as lines:
        for line in lines:
            kind, *words = line.split()
            if kind == "s":
                found.append(([], []))
            elif kind == "m":
                word = int(words[1], 16).to_bytes(WORD_BYTES, "little")
                found[-1][0].append(("mem", int(words[0], 16), word))
            elif kind == "r":
                found[-1][0].append(("reg", int(words[0], 16), int(words[1], 16)))
            else:
                found[-1][1].extend(deframer.feed(bytes.fromhex(words[0])))
    return found


def draw(seed: int, count: int) -> list[bytes]:
    rng = Random(seed)
    return [link_strings.string(rng, WORDS) for _ in range(count)]


@pytest.mark.slow
def test_every_string_does_what_the_model_does(program: Path) -> None:
    strings = draw(11, STRINGS)
    model = LinkBench.model()
    good = damaged = written = 0
    for string, (log, sent) in zip(strings, run(program, strings, paced=True), strict=True):
        model.log.clear()
        want = model.feed(string)
        assert log == model.log, string.hex(" ")
        assert [Frame.decode(body) for body in sent] == want, string.hex(" ")
        good += sum(reply.command != 0xFF for reply in want)
        damaged += sum(reply.command == 0xFF for reply in want)
        written += len(log)
    print(f"{len(strings)} strings: {good} good frames, {damaged} damaged, {written} writes")
    assert min(good, damaged, written) > STRINGS // 5


@pytest.mark.slow
def test_bytes_that_come_at_any_time_write_only_what_a_good_frame_says(program: Path) -> None:
    strings = draw(12, STRINGS // 5)
    deframer = Deframer()
    asked: set[tuple[str, int, bytes | int]] = set()
    written = 0
    for string, (log, sent) in zip(strings, run(program, strings, paced=False), strict=True):
        for body in deframer.feed(string):
            frame = Frame.decode(body)
            if frame is not None:
                asked.update(writes(frame))
        # A string's frame may still be carried out while the next one comes.
        assert asked.issuperset(log), string.hex(" ")
        assert all(Frame.decode(body) is not None for body in sent)
        written += len(log)
    assert written > len(strings) // 5


def writes(frame: Frame) -> Log:
    """Return all that a frame may write."""
    model = LinkBench.model()
    model.answer(frame)
    if frame.command == Command.START:  # refused or not, by the state of the engine
        return [("reg", 0x0C, 0x101)]
    return model.log
