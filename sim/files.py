"""Memory images as text that ``$readmemh`` loads and ``$writememh`` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def _hex(words: bytes, size: int) -> str:
    return words.hex("\n", size) + "\n"


def _reversed(data: Bytes, word_bytes: int) -> bytes:
    """Lowest address last, as Verilog writes a number."""
    return data.reshape(-1, word_bytes)[:, ::-1].tobytes()


def write_words(path: Path, data: Bytes, word_bytes: int) -> None:
    """Write `data` (a whole number of words of `word_bytes` bytes) from word 0 on."""
    path.write_text(_hex(_reversed(data, word_bytes), word_bytes))


def write_runs(path: Path, data: Bytes, word_bytes: int, runs: list[tuple[int, int]]) -> None:
    """Write only the words of `runs`, each a (first word, last word)."""
    with path.open("w") as file:
        for first, last in runs:
            part = data[first * word_bytes : (last + 1) * word_bytes]
            file.write(f"@{first:x}\n{_hex(_reversed(part, word_bytes), word_bytes)}")


def write_lanes(path: Path, marked: NDArray[np.bool_], word_bytes: int) -> None:
    """Write one bit a byte, lane 0 lowest: a word per `word_bytes` bytes."""
    bits = np.packbits(marked.reshape(-1, word_bytes), axis=1, bitorder="little")
    path.write_text(_hex(bits[:, ::-1].tobytes(), word_bytes // 8))


def runs_of(marked: NDArray[np.bool_], word_bytes: int, gap: int = 64) -> list[tuple[int, int]]:
    """Return the (first word, last word) runs with a marked byte; shorter gaps are bridged."""
    words = np.flatnonzero(marked.reshape(-1, word_bytes).any(axis=1))
    if not len(words):
        return []
    breaks = np.flatnonzero(np.diff(words) > gap)
    firsts = words[np.concatenate(([0], breaks + 1))]
    lasts = words[np.concatenate((breaks, [len(words) - 1]))]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


def read_dump(path: Path, word_bytes: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """Return the bytes of a ``$writememh`` file and which of them are undefined (x or z).

    Raises
    ------
    ValueError
        If the file is not made of words of `word_bytes` bytes.
    """
    lines = [line for line in path.read_text().splitlines() if line[:1] not in "/@"]
    digits = 2 * word_bytes
    if any(len(line) != digits for line in lines):
        raise ValueError(f"{path} does not hold words of {word_bytes} bytes")
    text = np.frombuffer("".join(lines).lower().encode(), np.uint8)
    unknown = (text == ord("x")) | (text == ord("z"))
    clean = np.where(unknown, np.uint8(ord("0")), text)
    data = np.frombuffer(bytes.fromhex(clean.tobytes().decode()), np.uint8)
    undefined = unknown.reshape(-1, 2).any(axis=1)
    return (
        data.reshape(-1, word_bytes)[:, ::-1].reshape(-1),
        undefined.reshape(-1, word_bytes)[:, ::-1].reshape(-1),
    )
