"""What memory holds before and after a program, and which of its bytes are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .files import Bytes, runs_of
from .turns import Turns, turns_of


@dataclass(frozen=True)
class Expected:
    """Images of the whole memory, one entry a byte."""

    word_bytes: int
    image: Bytes  # first content
    want: Bytes  # right content where `check` is set
    check: NDArray[np.bool_]  # compared bytes
    allow: NDArray[np.bool_]  # bytes the engine may write
    names: tuple[str, ...]  # tensors compared after the run
    runs: list[tuple[int, int]]  # (first word, last word) that hold every byte of theirs
    turns: Turns | None = None  # where tensors share memory: every write that must come

    @property
    def words(self) -> int:
        """Bus words of the memory."""
        return len(self.image) // self.word_bytes


def _array(name: str, tensor: Any) -> NDArray[np.uint8]:
    array = np.asarray(tensor)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or array.dtype != np.uint8:
        raise ValueError(
            f"tensor {name!r} must be (C, H, W) uint8, not {array.shape} {array.dtype}"
        )
    return np.ascontiguousarray(array)


def _read_back(place: Any, tensor: Any) -> NDArray[np.uint8]:
    """Return the values that a copy is made of."""
    array = _array("copied", tensor)
    code = getattr(place, "code", None)
    return array if code is None else code(torch.from_numpy(array)[None])[0].numpy()


def _joined(program: Any) -> set[str]:
    """Return the coded tensors that no layer writes: concatenations, compared by their parts.

    Of equal levels a copy's code may be another than its original's.
    """
    outputs = {plan.output for plan in program.layers}
    coded = {n for n, place in program.places.items() if getattr(place, "code", None) is not None}
    return coded - outputs


def _mark_writable(program: Any, mask: Bytes, name: str) -> None:
    """Mark the bytes of a tensor, and the lanes a concatenation leaves open between them."""
    program.mask_tensor(mask[program.base :], name)
    contents = getattr(program.places[name], "contents", None)
    if contents is not None:
        mask[contents(None)[0]] = 0xFF


def expect(
    program: Any,
    inputs: Mapping[str, Any],
    expected: Mapping[str, Any],
    *,
    seed: int,
    word_bytes: int,
) -> Expected:
    """Lay out a program, its inputs and the golden tensors in memory from address 0 on.

    Coded tensors are given as layers write them, see `golden.run`.

    Where tensors share memory, only those that are whole after the run are compared in place; all
    are by their writes, see `turns`. Bytes that are compared in place start with a wrong value,
    all others that the program leaves open with a random one.

    Raises
    ------
    ValueError
        If a tensor is not in the program or has another shape, or if two compared tensors want
        different values in the same byte.
    """
    base = int(program.base)
    size = -(-(base + int(program.size)) // word_bytes) * word_bytes
    unknown = [name for name in (*inputs, *expected) if name not in program.places]
    if unknown:
        raise ValueError(
            f"tensor {unknown[0]!r} is not in the program; it has {', '.join(program.places)}"
        )
    given = {**inputs, **expected}
    copies = {
        copy: _read_back(program.places[of], given[of])
        for copy, of in getattr(program, "copies", {}).items()
        if of in given
    }
    expected = {**expected, **copies}
    arrays = {name: _array(name, value) for name, value in expected.items() if name not in inputs}
    kept = getattr(program, "kept", program.places)
    shared = any(name not in kept for name in program.places)
    names = tuple(name for name in arrays if name in kept and name not in _joined(program))
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, size, dtype=np.uint8)
    image[base : base + len(program.image)] = np.frombuffer(program.image, np.uint8)
    want = np.zeros(size, np.uint8)
    check = np.zeros(size, bool)
    for name in names:
        mine, mask = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        program.write_tensor(mine[base:], name, arrays[name])
        program.mask_tensor(mask[base:], name, arrays[name])
        marked = mask != 0
        clash = np.flatnonzero(marked & check & (mine != want))
        if len(clash):
            raise ValueError(
                f"tensor {name!r} shares byte {clash[0]:#x} with another compared tensor: "
                "compare fewer tensors, or compile without reuse of memory"
            )
        want[marked] = mine[marked]
        check |= marked
    mask = np.zeros(size, np.uint8)
    for name in program.places:
        if name not in inputs:
            _mark_writable(program, mask, name)
    # A compared byte starts wrong, so one that is never written shows.
    image[check] = want[check] ^ rng.integers(1, 256, int(check.sum()), dtype=np.uint8)
    for name, tensor in inputs.items():
        program.write_tensor(image[base:], name, _array(name, tensor))
    return Expected(
        word_bytes, image, want, check, mask != 0, names, runs_of(check, word_bytes),
        turns_of(program, arrays) if shared else None,
    )  # fmt: skip
