"""The link's frames as plain data."""

from __future__ import annotations

from random import Random

import pytest

from shiftwork.boards.link.protocol import (
    ESCAPE,
    FLAG,
    MAX_DATA,
    OVERHEAD,
    Deframer,
    Frame,
    enclose,
)


def test_the_bytes_of_a_frame_are_those_of_the_specification() -> None:
    frame = Frame(number=0x7E, command=0x01, count=8, argument=0x7D)
    # 7e 01 08 00 7d 00 00 00, CRC-32 (zlib) 0x0f89ad53 of them, lowest byte first
    assert frame.encode().hex(" ") == "7e 7d 5e 01 08 00 7d 5d 00 00 00 53 ad 89 0f 7e"


@pytest.mark.parametrize("data", [b"", b"\x7e\x7d" * 9, bytes(range(256)) * 4])
def test_a_frame_comes_back_as_it_was(data: bytes) -> None:
    frame = Frame(3, 0x18, len(data), 0x1234_5678, data)
    (body,) = Deframer().feed(frame.encode())
    assert Frame.decode(body) == frame


def test_no_flag_or_escape_is_left_between_the_flags() -> None:
    line = enclose(bytes([FLAG, ESCAPE, 0, ESCAPE, FLAG]))
    assert line[0] == line[-1] == FLAG
    assert FLAG not in line[1:-1]
    assert Deframer().feed(line) == [bytes([FLAG, ESCAPE, 0, ESCAPE, FLAG])]


def test_what_comes_before_the_first_flag_and_empty_frames_are_nothing() -> None:
    assert Deframer().feed(b"noise" + bytes([FLAG] * 3)) == []


def test_an_escape_before_a_flag_or_too_many_bytes_spoil_a_frame() -> None:
    assert Deframer().feed(bytes([FLAG, 1, ESCAPE, FLAG, 2, FLAG])) == [b"", b"\x02"]
    long = enclose(bytes(OVERHEAD + MAX_DATA + 1))
    assert Deframer().feed(long) == [b""]
    assert Deframer().feed(enclose(bytes(OVERHEAD + MAX_DATA)))[0] != b""


def test_every_change_of_a_byte_is_noticed() -> None:
    rng = Random(1)
    body = Frame(9, 0x18, 40, 64, rng.randbytes(40)).body()
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= rng.randrange(1, 256)
        assert Frame.decode(bytes(changed)) is None
        assert Frame.decode(body[:place] + body[place + 1 :]) is None
