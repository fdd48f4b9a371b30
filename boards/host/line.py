"""Requests over a serial line, sent again until they are answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from ..link.protocol import (
    INFO,
    MAGIC,
    MAX_DATA,
    OVERHEAD,
    REPLY,
    VERSION,
    WORD_BYTES,
    Command,
    Deframer,
    Frame,
    Status,
)

LEAST_DATA = 16  # bytes of data in a frame on a very bad line
GOOD_RUN = 12  # frames without a loss before they get longer again
WAIT_BYTES = 26  # that take as long as one unit of WAIT, 1024 cycles, at 4 cycles a bit
PATIENCE_S = 20.0


class LinkError(RuntimeError):
    """The board does not answer, or answers what it must not. One line."""


class Refused(LinkError):
    """The board refuses a request as it is."""

    def __init__(self, frame: Frame, status: int, value: int) -> None:
        self.status, self.value = status, value
        name = Status(status).name if status in list(Status) else str(status)
        kind = Command.WRITE if frame.command > Command.WRITE else Command(frame.command)
        super().__init__(f"the board refuses {kind.name} at {frame.argument:#x}: {name}")


class Port(Protocol):
    """What is needed of ``serial.Serial``."""

    timeout: float | None

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        ...

    def read(self, size: int = 1) -> bytes:
        """Return up to so many bytes, fewer after the timeout."""
        ...

    def write(self, data: bytes) -> int | None:
        """Send bytes."""
        ...


@dataclass
class Traffic:
    """What went over the line.

    Attributes
    ----------
    requests, retries, timeouts : int
        Frames sent; those of them that were sent again; answers that did not come.
    refused, spoilt : int
        Frames the board found damaged, and replies that the host did.
    sent, received : int
        Bytes.
    """

    requests: int = 0
    retries: int = 0
    timeouts: int = 0
    refused: int = 0
    spoilt: int = 0
    sent: int = 0
    received: int = 0


@dataclass(frozen=True)
class Info:
    """What HELLO tells: memory in bytes, clock in Hz, longest data in bytes, mark of the board."""

    memory_bytes: int
    clock_hz: int
    max_data: int
    board: int


class Link:
    """Requests to a board over a port, one at a time.

    A request without a good answer is sent again; the board does nothing twice that must be done
    once. On a bad line frames become shorter, down to 16 bytes of data, and longer again on a
    good one. How long an answer may take is learnt from the answers.

    Parameters
    ----------
    port : Port
        An open ``serial.Serial``, or something like it.
    patience_s : float
        Seconds without any good answer after which a request fails.
    clock : callable
        Seconds, for tests.
    """

    def __init__(
        self,
        port: Port,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self.traffic = Traffic()
        self.patience_s = patience_s
        self._clock = clock
        self._deframer = Deframer()
        self._number = Random().randrange(256)
        self._pace = 1e-3  # seconds a byte takes, at worst of late
        self._backoff = 1.0
        self._most = MAX_DATA
        self._good_run = 0

    # Frames

    def _attempt(self, frame: Frame, answer_bytes: int, extra_bytes: int = 0) -> Frame | None:
        """Send a frame once; return its good reply, or None if there is none."""
        line = frame.encode()
        expected = len(line) + answer_bytes + OVERHEAD + 32 + extra_bytes
        start = self._clock()
        self.port.write(line)
        self.traffic.requests += 1
        self.traffic.sent += len(line)
        deadline = start + max(0.03, 4 * self._pace * expected) * self._backoff
        while (left := deadline - self._clock()) > 0:
            for body in self._deframer.feed(self._read(left)):
                reply = Frame.decode(body)
                if reply is None:
                    self.traffic.spoilt += 1
                elif reply.command == Command.DAMAGED | REPLY:
                    self.traffic.refused += 1
                elif (reply.number, reply.command) == (frame.number, frame.command | REPLY):
                    measured = (self._clock() - start) / (len(line) + len(body) + 32)
                    if not extra_bytes:
                        self._pace = max(measured, 0.9 * self._pace + 0.1 * measured)
                    self._backoff = 1.0
                    return reply
                else:
                    continue  # of a request that has been answered
                self._drain()
                return None
        self.traffic.timeouts += 1
        self._backoff = min(2 * self._backoff, 16.0)
        return None

    def _read(self, seconds: float) -> bytes:
        self.port.timeout = seconds
        data = self.port.read(1)
        if data and self.port.in_waiting:
            data += self.port.read(self.port.in_waiting)
        self.traffic.received += len(data)
        return data

    def _drain(self) -> None:
        """Let the rest of an answer pass: what is sent meanwhile is lost."""
        while self._read(max(2e-3, 8 * self._pace)):
            pass
        self._deframer.reset()

    def _next(self, command: int, count: int, argument: int, data: bytes = b"") -> Frame:
        self._number = (self._number + 1) & 0xFF
        return Frame(self._number, command, count, argument, data)

    def _adapt(self, good: bool) -> None:
        if not good:
            self.traffic.retries += 1
            self._good_run = 0
            self._most = max(self._most // 2, LEAST_DATA)
        else:
            self._good_run += 1
            if self._good_run >= GOOD_RUN:
                self._good_run = 0
                self._most = min(2 * self._most, MAX_DATA)

    def request(
        self, command: int, count: int = 0, argument: int = 0, data: bytes = b"", *, answer: int = 0
    ) -> Frame:
        """Send a request until it is answered and return the reply.

        Raises
        ------
        LinkError
            If nothing good comes within the patience.
        Refused
            If the board answers with another status than OK.
        """
        frame = self._next(command, count, argument, data)
        extra = WAIT_BYTES * count if command == Command.WAIT else 0
        since = self._clock()
        while True:
            reply = self._attempt(frame, answer, extra)
            self._adapt(reply is not None)
            if reply is not None:
                return _checked(frame, reply)
            self._check_patience(since)

    def _check_patience(self, since: float) -> None:
        if self._clock() - since > self.patience_s:
            raise LinkError(
                f"the board does not answer within {self.patience_s:g} s "
                f"({self.traffic.timeouts} times nothing, {self.traffic.refused} frames damaged "
                f"on their way, {self.traffic.spoilt} replies)"
            )

    # Requests

    def hello(self) -> Info:
        """Begin a session and return what the board is.

        Raises
        ------
        LinkError
            If what answers is no board of this project, or speaks another version.
        """
        reply = self.request(Command.HELLO, answer=INFO.size)
        if reply.argument != MAGIC or len(reply.data) != INFO.size:
            raise LinkError("what answers on this port is not a Shiftwork board")
        memory, clock, most, word, version, board = INFO.unpack(reply.data)
        if version != VERSION or word != WORD_BYTES:
            raise LinkError(
                f"the board speaks version {version} of the link with words of {word} bytes, "
                f"not version {VERSION} with {WORD_BYTES}: build its bitstream again"
            )
        return Info(memory, clock, most, board)

    def write(self, address: int, data: bytes, group: int = WORD_BYTES) -> None:
        """Write words of memory.

        Parameters
        ----------
        address : int
            A multiple of 8.
        data : bytes
            ``group`` bytes for each word; the rest of a word becomes zero.
        group : int
            1..8.
        """
        if not 1 <= group <= WORD_BYTES or len(data) % group:
            raise ValueError(f"{len(data)} bytes are not words of {group} bytes, of 1 to 8")
        done, since = 0, self._clock()
        while done < len(data):
            size = max(min(self._most, len(data) - done) // group, 1) * group
            part = data[done : done + size]
            at = address + done // group * WORD_BYTES
            frame = self._next(Command.WRITE + group, len(part), at, part)
            reply = self._attempt(frame, 0)
            self._adapt(reply is not None)
            if reply is None:
                self._check_patience(since)
                continue
            _checked(frame, reply)
            done, since = done + size, self._clock()

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of memory; address and size are multiples of 8."""
        found, since = b"", self._clock()
        while len(found) < size:
            count = min(self._most, size - len(found))
            frame = self._next(Command.READ, count, address + len(found))
            reply = self._attempt(frame, count)
            self._adapt(reply is not None)
            if reply is None:
                self._check_patience(since)
                continue
            data = _checked(frame, reply).data
            if len(data) != count:
                raise LinkError(f"the board sends {len(data)} bytes where {count} were asked for")
            found, since = found + data, self._clock()
        return found

    def read_register(self, offset: int) -> int:
        """Return a register of the engine."""
        return self.request(Command.REG_READ, 4, offset).argument

    def write_register(self, offset: int, value: int) -> None:
        """Write a register of the engine, once."""
        self.request(Command.REG_WRITE, 4, offset, value.to_bytes(4, "little"))

    def start(self) -> None:
        """Start the engine, once.

        Raises
        ------
        Refused
            If it is busy or blocked.
        """
        self.request(Command.START)

    def wait(self, units: int) -> int:
        """Wait until the engine is done or fails, at most units x 1024 cycles; return STATUS."""
        return self.request(Command.WAIT, units).argument


def _checked(frame: Frame, reply: Frame) -> Frame:
    if reply.count != Status.OK:
        raise Refused(frame, reply.count, reply.argument)
    return reply
