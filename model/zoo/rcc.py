"""Read Qt's compiled resource files (``.rcc``): a tree of names over a block of data."""

from __future__ import annotations

import struct
import zlib

MAGIC = b"qres"
DIRECTORY = 2
COMPRESSED_ZLIB = 1
COMPRESSED_ZSTD = 4


def resources(data: bytes) -> dict[str, bytes]:
    """Return the files in a resource file by their path.

    Raises
    ------
    ValueError
        If it is no resource file, is truncated, or uses a compression other than zlib.
    """
    if data[:4] != MAGIC:
        raise ValueError("not a Qt resource file: it does not start with 'qres'")
    try:
        version, tree, payload, names = struct.unpack_from(">4I", data, 4)
        node_bytes = 14 if version < 2 else 22  # version 2 adds a time stamp
        found: dict[str, bytes] = {}
        todo = [(0, "")]
        while todo:
            index, parent = todo.pop()
            node = tree + index * node_bytes
            name_at, flags = struct.unpack_from(">IH", data, node)
            path = f"{parent}/{_name(data, names + name_at)}" if index else ""
            if flags & DIRECTORY:
                count, first = struct.unpack_from(">2I", data, node + 6)
                if first <= index and count:
                    raise ValueError("Qt resource file has a loop in its tree")
                todo += [(first + child, path) for child in range(count)]
            else:
                (offset,) = struct.unpack_from(">I", data, node + 10)
                found[path.lstrip("/")] = _content(data, payload + offset, flags)
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"Qt resource file is damaged: {error}") from None
    return found


def _name(data: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", data, at)
    start = at + 6  # 2 bytes of length, 4 of hash
    stored = data[start : start + 2 * length]
    if len(stored) != 2 * length:
        raise ValueError("Qt resource file is truncated")
    return stored.decode("utf-16-be")


def _content(data: bytes, at: int, flags: int) -> bytes:
    (size,) = struct.unpack_from(">I", data, at)
    stored = data[at + 4 : at + 4 + size]
    if len(stored) != size:
        raise ValueError("Qt resource file is truncated")
    if flags & COMPRESSED_ZSTD:
        raise ValueError("Qt resource file is compressed with Zstandard; only zlib is read")
    return zlib.decompress(stored[4:]) if flags & COMPRESSED_ZLIB else stored
