"""What maps without zeros move: runs of beats whose length the values decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..hw.codec.layout import mask_bytes
from ..hw.config import EngineConfig
from .places import Place
from .program import Program


@dataclass(frozen=True)
class Piece:
    """Words of one segment: how many, of how many masks, and where their values lie, in bytes."""

    words: int
    masks: int  # with those of words before that are not loaded
    address: int
    bytes: int


@dataclass(frozen=True)
class Run:
    """Words of one plane."""

    masks: int  # address of the first mask
    mask_bytes: int
    pieces: tuple[Piece, ...]


class ZeroTraffic:
    """The runs that a program's descriptors move of maps without zeros.

    Parameters
    ----------
    program : Program
    config : EngineConfig
    tensors : Mapping[str, array]
        Values (C, H, W) or (1, C, H, W) of such maps; one that is missing has no zeros at all.
        That is the most traffic there can be, but for one beat of every run that starts within a
        segment: where its values lie in their first beat is for the values before them to say.
    """

    def __init__(self, program: Program, config: EngineConfig, tensors: Mapping[str, Any]) -> None:
        self._places = program.places
        self._plans = {plan.index: plan for plan in program.layers}
        self._config = config
        self._before: dict[str, np.ndarray] = {}  # values of pixels before, (planes, pixels + 1)
        for name, place in program.places.items():
            if place.segment:
                x = tensors.get(program.copies.get(name, name))
                self._before[name] = _before(place, None if x is None else np.asarray(x))

    def loads(self, d: Mapping[str, int]) -> list[Run]:
        """Return the runs that a descriptor loads, in order."""
        runs: list[Run] = []
        for group in range(d["load_groups"]):
            for plane in range(d["load_planes"]):
                step = group * d["load_group_stride"] + plane * d["load_plane_stride"]
                masks = (d["load_masks"] + step) & 0xFFFFFFFF
                names = self._plans[d["layer"]].inputs
                runs.append(self._run(names, masks, d["load_words"], d["load_skip"]))
        return runs

    def stores(
        self, d: Mapping[str, int], tile: int, pixels: int, plane: int, end: int
    ) -> tuple[Run, ...]:
        """Return the runs that a token of a descriptor stores, plane by plane.

        Parameters
        ----------
        d : Mapping[str, int]
            The descriptor's fields.
        tile, pixels : int
            The token's tile, and its pixels.
        plane, end : int
            Its first plane, and the lane after its last channel counted from there.
        """
        if not d["store_segment"]:
            return ()
        output = (self._plans[d["layer"]].output,)
        masks = d["store_masks"] + tile * d["tile"] * mask_bytes(self._config)
        planes = range(plane, plane - (-end // self._config.rows))
        return tuple(
            self._run(output, masks + each * d["out_plane_stride"], pixels, 0) for each in planes
        )

    def _run(self, names: Iterable[str], masks: int, words: int, skip: int) -> Run:
        for name in names:
            place = self._places[name]
            plane, rest = divmod(masks - place.masks, place.plane_stride)
            pixel = rest // place.mask_bytes
            if place.segment and 0 <= plane < place.planes and pixel < place.height * place.width:
                pieces = tuple(self._pieces(place, self._before[name][plane], plane,
                                            pixel + skip, words))  # fmt: skip
                return Run(masks, (words + skip) * place.mask_bytes, pieces)
        raise ValueError(f"no map of {', '.join(names)} has masks at {masks:#x}")

    def _pieces(
        self, place: Place, before: np.ndarray, plane: int, first: int, words: int
    ) -> Iterable[Piece]:
        end = first + words
        while first < end:
            start = first // place.segment * place.segment
            stop = min(start + place.segment, end)
            address = place.address + plane * place.plane_stride + start * place.word_bytes
            address += int(before[first] - before[start])
            yield Piece(stop - first, stop - start, address, int(before[stop] - before[first]))
            first = stop


def _before(place: Place, x: np.ndarray | None) -> np.ndarray:
    shape = len(place.slots), place.height, place.width
    full = np.ones(shape, np.uint8) if x is None else x.reshape(shape)
    counts = (place.words(full) != 0).sum(2)
    return np.pad(counts.cumsum(1), ((0, 0), (1, 0)))
