"""The link's frames as plain data: what gateware, host driver and tests have in common.

docs/reference/link.md is the specification. Framing is that of asynchronous HDLC (RFC 1662,
section 4): a flag before and after each frame, flags and escapes inside replaced by two bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
MAGIC = 0x4B4E4C53  # "SLNK", what HELLO answers
FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
HEADER = struct.Struct("<BBHI")  # number, command, count or status, argument or value
CRC_BYTES = 4
OVERHEAD = HEADER.size + CRC_BYTES
WORD_BYTES = 8  # of the board's memory; addresses and lengths are whole words
MAX_DATA = 1024  # bytes of data in a frame
WAIT_CYCLES = 1024  # unit of WAIT's count, in clock cycles
REPLY = 0x80  # set in a reply's command
INFO = struct.Struct("<IIHBBI")  # HELLO: memory, clock, max data, word bytes, version, board
COUNTS = struct.Struct("<II")  # STATUS: frames refused as damaged, frames taken


class Command(IntEnum):
    """What a request asks for. WRITE + k writes k bytes into each word, k in 1..8."""

    HELLO = 0x00
    READ = 0x01
    REG_READ = 0x02
    REG_WRITE = 0x03
    START = 0x04
    WAIT = 0x05
    STATUS = 0x06
    WRITE = 0x10
    DAMAGED = 0x7F  # only in replies: no request could be read


class Status(IntEnum):
    """How it went; anything but OK means that nothing was done."""

    OK = 0
    DAMAGED = 1  # the frame's check or length was wrong
    UNKNOWN = 2  # no such command
    SIZE = 3  # count or data do not fit the command
    ADDRESS = 4  # not aligned, or beyond the memory or the registers
    BUS = 5  # the engine's registers answered with an error
    REFUSED = 6  # START while the engine is busy or blocked


ONCE = (Command.REG_WRITE, Command.START)
"""Commands that are not done again when their number comes a second time."""


@dataclass(frozen=True)
class Frame:
    """One frame, either way.

    Attributes
    ----------
    number : int
        Sequence number, 0..255; a reply has its request's.
    command : int
        Command; replies have bit 7 set.
    count : int
        Request: bytes of data asked for or sent, or how long to wait. Reply: the status.
    argument : int
        Request: an address. Reply: a value. 32 bits.
    data : bytes
        Up to 1024.
    """

    number: int
    command: int
    count: int = 0
    argument: int = 0
    data: bytes = b""

    def body(self) -> bytes:
        """Return header, data and check, as they are before framing."""
        head = HEADER.pack(self.number, self.command, self.count, self.argument)
        return head + self.data + zlib.crc32(head + self.data).to_bytes(CRC_BYTES, "little")

    def encode(self) -> bytes:
        """Return the bytes on the line, both flags included."""
        return enclose(self.body())

    @classmethod
    def decode(cls, body: bytes) -> Frame | None:
        """Return the frame of a body, None if its length or check is wrong."""
        if not OVERHEAD <= len(body) <= OVERHEAD + MAX_DATA:
            return None
        inner, check = body[:-CRC_BYTES], body[-CRC_BYTES:]
        if zlib.crc32(inner) != int.from_bytes(check, "little"):
            return None
        number, command, count, argument = HEADER.unpack_from(inner)
        return cls(number, command, count, argument, inner[HEADER.size :])


def enclose(body: bytes) -> bytes:
    """Return a body between flags, with flags and escapes in it escaped."""
    escaped = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ FLIP]))
    escaped = escaped.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ FLIP]))
    return bytes([FLAG]) + escaped + bytes([FLAG])


class Deframer:
    """Cut a stream of bytes into the bodies between flags.

    Nothing counts before the first flag. A body that an escape cuts short or that is longer than
    the longest frame is given as b"", which no frame has.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Wait for the next flag."""
        self._body: bytearray | None = None
        self._escaped = False
        self._bad = False

    def feed(self, data: Iterable[int]) -> list[bytes]:
        """Take bytes and return the bodies they complete."""
        found = [body for byte in data if (body := self.take(byte)) is not None]
        return found

    def take(self, byte: int) -> bytes | None:
        """Take one byte; return the body it completes, if any."""
        if byte == FLAG:
            body = self._body
            bad = self._bad or self._escaped
            self._body, self._escaped, self._bad = bytearray(), False, False
            if body or (body is not None and bad):
                return b"" if bad else bytes(body)
            return None
        if self._body is None:
            return None
        if byte == ESCAPE and not self._escaped:
            self._escaped = True
            return None
        if len(self._body) == OVERHEAD + MAX_DATA:
            self._bad = True
        else:
            self._body.append(byte ^ FLIP if self._escaped else byte)
        self._escaped = False
        return None
