"""The board's end of the link in plain Python: what the gateware must do, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ...hw.registers import ADDR_BITS, REGISTER
from .handler import BLOCKED, BUSY, START
from .protocol import (
    COUNTS,
    INFO,
    MAGIC,
    MAX_DATA,
    ONCE,
    REPLY,
    VERSION,
    WORD_BYTES,
    Command,
    Deframer,
    Frame,
    Status,
)


@dataclass
class Registers:
    """Registers that keep what is written; those from `limit` on answer with an error."""

    limit: int = 0x6C
    values: dict[int, int] = field(default_factory=dict)

    def read(self, address: int) -> int | None:
        """Return a register's value, None for an error."""
        return self.values.get(address, 0) if address < self.limit else None

    def write(self, address: int, value: int) -> bool:
        """Write a register; return whether there is one."""
        if address < self.limit:
            self.values[address] = value
        return address < self.limit


class Model:
    """A board that answers each frame at once.

    Parameters
    ----------
    words : int
        Words of 8 bytes in the memory.
    clock_hz, board : int
        What HELLO tells.
    registers : Registers, optional
        The engine's.

    Attributes
    ----------
    memory : bytearray
    log : list of tuple
        ("mem", word, 8 bytes) and ("reg", address, value), as they are written.
    """

    def __init__(
        self, words: int, clock_hz: int, board: int, registers: Registers | None = None
    ) -> None:
        self.words, self.clock_hz, self.board = words, clock_hz, board
        self.memory = bytearray(WORD_BYTES * words)
        self.registers = registers or Registers()
        self.log: list[tuple[str, int, bytes | int]] = []
        self._deframer = Deframer()
        self._last: tuple[int, int] | None = None
        self._answer = (Status.OK, 0)
        self._damaged = self._taken = 0

    def feed(self, data: Iterable[int]) -> list[Frame]:
        """Take bytes that come while nothing is being answered, and return the replies."""
        replies: list[Frame] = []
        for byte in data:
            body = self._deframer.take(byte)
            if body is not None:
                replies.append(self.answer(Frame.decode(body)))
        return replies

    def answer(self, frame: Frame | None) -> Frame:
        """Carry out a frame (None for a damaged one) and return the reply."""
        if frame is None:
            self._damaged += 1
            return Frame(0, Command.DAMAGED | REPLY, Status.DAMAGED)
        self._taken += 1
        key = frame.number, frame.command
        data = b""
        if frame.command in ONCE and key == self._last:
            status, value = self._answer
        else:
            status, value, data = self._carry_out(frame)
        self._last = None if frame.command == Command.HELLO else key
        self._answer = status, value
        return Frame(frame.number, frame.command | REPLY, status, value, data)

    def _carry_out(self, frame: Frame) -> tuple[Status, int, bytes]:
        group = frame.command - Command.WRITE
        if 1 <= group <= WORD_BYTES:
            return *self._write(frame, group), b""
        try:
            command = Command(frame.command)
            act: Callable[[Frame], tuple[Status, int, bytes]] = {
                Command.HELLO: self._hello,
                Command.READ: self._read,
                Command.REG_READ: self._reg_read,
                Command.REG_WRITE: self._reg_write,
                Command.START: self._start,
                Command.WAIT: self._wait,
                Command.STATUS: self._status,
            }[command]
        except (ValueError, KeyError):
            return Status.UNKNOWN, 0, b""
        return act(frame)

    def _place(self, frame: Frame, words: int) -> Status:
        first, rest = divmod(frame.argument, WORD_BYTES)
        inside = first < self.words and first + words <= self.words
        return Status.OK if not rest and inside else Status.ADDRESS

    def _write(self, frame: Frame, group: int) -> tuple[Status, int]:
        if not frame.data or len(frame.data) != frame.count:
            return Status.SIZE, 0
        if self._place(frame, 1):
            return Status.ADDRESS, 0
        words, rest = divmod(frame.count, group)
        if self._place(frame, words):
            return Status.ADDRESS, 0
        if rest:
            return Status.SIZE, 0
        first = frame.argument // WORD_BYTES
        for index in range(words):
            word = frame.data[index * group : (index + 1) * group].ljust(WORD_BYTES, b"\0")
            at = (first + index) * WORD_BYTES
            self.memory[at : at + WORD_BYTES] = word
            self.log.append(("mem", first + index, word))
        return Status.OK, words

    def _hello(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data:
            return Status.SIZE, MAGIC, b""
        info = INFO.pack(
            WORD_BYTES * self.words, self.clock_hz, MAX_DATA, WORD_BYTES, VERSION, self.board
        )
        return Status.OK, MAGIC, info

    def _read(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data or not 0 < frame.count <= MAX_DATA:
            return Status.SIZE, 0, b""
        if self._place(frame, 1):
            return Status.ADDRESS, 0, b""
        words, rest = divmod(frame.count, WORD_BYTES)
        if self._place(frame, words):
            return Status.ADDRESS, 0, b""
        if rest:
            return Status.SIZE, 0, b""
        return Status.OK, 0, bytes(self.memory[frame.argument : frame.argument + frame.count])

    def _register(self, frame: Frame) -> bool:
        return frame.argument % 4 == 0 and frame.argument < 1 << ADDR_BITS

    def _reg_read(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data or frame.count != 4:
            return Status.SIZE, 0, b""
        if not self._register(frame):
            return Status.ADDRESS, 0, b""
        value = self.registers.read(frame.argument)
        return (Status.BUS, 0, b"") if value is None else (Status.OK, value, b"")

    def _reg_write(self, frame: Frame) -> tuple[Status, int, bytes]:
        if len(frame.data) != 4 or frame.count != 4:
            return Status.SIZE, 0, b""
        if not self._register(frame):
            return Status.ADDRESS, 0, b""
        value = int.from_bytes(frame.data, "little")
        self.log.append(("reg", frame.argument, value))
        return (Status.OK if self.registers.write(frame.argument, value) else Status.BUS), 0, b""

    def _state(self) -> int:
        return self.registers.read(REGISTER["STATUS"].offset) or 0

    def _start(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data:
            return Status.SIZE, 0, b""
        state = self._state()
        if state & (BUSY | BLOCKED):
            return Status.REFUSED, state, b""
        control = REGISTER["CONTROL"].offset
        self.log.append(("reg", control, START))
        return (Status.OK if self.registers.write(control, START) else Status.BUS), state, b""

    def _wait(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data:
            return Status.SIZE, 0, b""
        return Status.OK, self._state(), b""

    def _status(self, frame: Frame) -> tuple[Status, int, bytes]:
        if frame.data:
            return Status.SIZE, 0, b""
        return Status.OK, self._state(), COUNTS.pack(self._damaged, self._taken)
