"""Bytes that hold one tensor after another: every write compared with whose turn it is.

The engine stores in the order of descriptors, and tensors that share a byte live one after
another, so the n-th write to a byte is the n-th tensor's that lies there. The memory writes down
every beat that lands; this compares them after the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .events import Beat
from .result import Mismatch

Ints = NDArray[np.int64]
ANY = -1  # of a byte that is written but not compared


@dataclass(frozen=True, eq=False)
class Turns:
    """All writes that must come, in the order of their addresses, then of time.

    Attributes
    ----------
    address : ndarray int64 (K,)
    value : ndarray int16 (K,)
        ANY where the byte is not compared.
    layer : ndarray int64 (K,)
        Place of its layer in the program.
    """

    address: Ints
    value: NDArray[np.int16]
    layer: Ints

    @property
    def checked(self) -> int:
        """Bytes compared."""
        return int((self.value != ANY).sum())


@dataclass(frozen=True, eq=False)
class Writes:
    """Bytes written, in the order of time; value -1 where bits are undefined."""

    cycle: Ints
    address: Ints
    value: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Differences:
    """What was wrong.

    Attributes
    ----------
    turn : ndarray int64 (D,)
        Index into the turns, in order of time, those never written last.
    got : ndarray int16 (D,)
        Byte written, -1 where undefined or never written.
    cycle : ndarray int64 (D,)
        When it was written, -1 if never.
    extra : ndarray int64 (E,)
        Index into the writes: those that no turn asks for.
    """

    turn: Ints
    got: NDArray[np.int16]
    cycle: Ints
    extra: Ints


def turns_of(program: Any, expected: Mapping[str, NDArray[np.uint8]]) -> Turns:
    """Return the writes of a program, with the values of the tensors that are compared.

    Lanes that a concatenation leaves open are written too, by layers that keep channels apart.
    """
    addresses: list[Ints] = []
    values: list[NDArray[np.int16]] = []
    layers: list[Ints] = []
    for number, plan in enumerate(program.layers):
        at, value = program.places[plan.output].contents(expected.get(plan.output))
        addresses.append(at)
        values.append(value)
        layers.append(np.full(at.size, number))
    address = np.concatenate(addresses)
    order = np.argsort(address, kind="stable")
    return Turns(address[order], np.concatenate(values)[order], np.concatenate(layers)[order])


_DIGITS = np.full(256, -1, np.int16)
for _digit in range(16):
    _DIGITS[[ord(f"{_digit:x}"), ord(f"{_digit:X}")]] = _digit


def read_writes(path: Path, word_bytes: int) -> Writes:
    """Return the bytes of the beats that ``axi_memory.v`` wrote down.

    Raises
    ------
    ValueError
        If the file does not consist of lines for a bus of `word_bytes` bytes.
    """
    text = np.frombuffer(path.read_bytes(), np.uint8)
    length = 8 + 1 + 8 + 1 + 2 * word_bytes + 1 + word_bytes // 4 + 1
    if len(text) % length:
        raise ValueError(f"{path} does not hold beats of {word_bytes} bytes")
    digits = _DIGITS[text.reshape(-1, length)].astype(np.int64)
    weights = 16 ** np.arange(7, -1, -1)
    cycle, address = digits[:, :8] @ weights, digits[:, 9:17] @ weights
    data = digits[:, 18 : 18 + 2 * word_bytes].reshape(-1, word_bytes, 2)[:, ::-1]
    value = np.where((data < 0).any(2), -1, data @ np.array([16, 1]))
    nibbles = digits[:, -1 - word_bytes // 4 : -1][:, ::-1]
    strobes = (nibbles[:, :, None] >> np.arange(4) & 1).reshape(-1, word_bytes) != 0
    beat, lane = np.nonzero(strobes)
    return Writes(cycle[beat], address[beat] + lane, value[beat, lane].astype(np.int16))


def _keys(address: Ints, most: int) -> Ints:
    """Return address x most + how many equal ones come before, of sorted addresses."""
    first = np.searchsorted(address, address)
    return address * most + np.minimum(np.arange(len(address)) - first, most - 1)


def compare(turns: Turns, writes: Writes) -> Differences:
    """Compare the n-th write to each byte with the n-th turn of it."""
    order = np.argsort(writes.address, kind="stable")
    most = len(turns.address) + len(order) + 1
    want, got = _keys(turns.address, most), _keys(writes.address[order], most)
    at = np.searchsorted(got, want)
    there = at < len(got)
    there[there] = got[at[there]] == want[there]
    value = np.full(len(want), -1, np.int16)
    cycle = np.full(len(want), -1, np.int64)
    value[there] = writes.value[order[at[there]]]
    cycle[there] = writes.cycle[order[at[there]]]
    wrong = np.flatnonzero((turns.value != ANY) & (value != turns.value))
    time = np.where(cycle[wrong] < 0, np.iinfo(np.int64).max, cycle[wrong])
    wrong = wrong[np.argsort(time, kind="stable")]
    extra = np.ones(len(got), bool)
    extra[at[there]] = False
    return Differences(wrong, value[wrong], cycle[wrong], np.sort(order[extra]))


@dataclass(frozen=True, eq=False)
class Judged:
    """What `judge_turns` found; see `result.SimResult` for the names."""

    checked_bytes: int
    wrong_bytes: int
    wrong_beats: int
    found: list[Mismatch]
    extra: list[Beat]
    extra_beats: int
    first_cycle: int | None


def judge_turns(
    program: Any, turns: Turns, writes: Writes, allow: NDArray[np.bool_],
    later: NDArray[np.bool_], want: NDArray[np.uint8], most: int = 16,
) -> Judged:  # fmt: skip
    """Name the wrong writes of a run.

    Parameters
    ----------
    program : Program
    turns, writes : Turns, Writes
    allow : ndarray bool
        Bytes that some tensor has; writes to others have been found already.
    later, want : ndarray bool, ndarray uint8
        Bytes found wrong after the run, and what they should be: they count where every write to
        them was right.
    most : int
        Differences to name.
    """
    found = compare(turns, writes)
    mismatches: list[Mismatch] = []
    for turn, got, cycle in zip(
        found.turn[:most].tolist(), found.got.tolist(), found.cycle.tolist(), strict=False
    ):
        address, plan = int(turns.address[turn]), program.layers[turns.layer[turn]]
        mismatches.append(_mismatch(
            program, address, [plan], None if got < 0 else got, int(turns.value[turn]),
            None if cycle < 0 else cycle,
        ))  # fmt: skip
    broken = later.copy()
    broken[turns.address[found.turn]] = False
    kept = [plan for plan in program.layers if plan.output in program.kept]
    for address in np.flatnonzero(broken)[: max(0, most - len(mismatches))].tolist():
        mismatches.append(_mismatch(program, address, kept, None, int(want[address]), None))
    inside = found.extra[allow[np.minimum(writes.address[found.extra], len(allow) - 1)]]
    extra = [
        Beat(int(writes.cycle[n]), int(writes.address[n]), f"{max(int(writes.value[n]), 0):02x}", 1)
        for n in inside[:most]
    ]
    cycles = [*found.cycle[found.cycle >= 0].tolist(), *writes.cycle[inside].tolist()]
    return Judged(
        turns.checked, len(found.turn) + int(broken.sum()),
        len(np.unique(found.cycle[found.cycle >= 0])), mismatches, extra,
        len(np.unique(writes.cycle[inside])), min(cycles, default=None),
    )  # fmt: skip


def _mismatch(
    program: Any, address: int, layers: list[Any], got: int | None, want: int, cycle: int | None
) -> Mismatch:
    """Name a byte by the tensor of one of some layers."""
    place = program.locate(address, layers) or ("?", "?", -1, -1, -1)
    layer, tensor, channel, y, x = place
    return Mismatch(layer, tensor, channel, y, x, got, want, cycle, address)
