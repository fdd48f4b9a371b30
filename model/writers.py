"""Who wrote each word of memory last, in the order of descriptors."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from .program import Place


class Writers:
    """The last writer of every unit of the feature maps.

    Parameters
    ----------
    base, size : int
        First byte, and bytes, of all feature maps.
    unit : int
        Bytes of which all addresses and words are multiples.
    """

    def __init__(self, base: int, size: int, unit: int) -> None:
        self._base, self._unit = base, unit
        # Descriptors count from 1 here, so that memory nobody has touched costs nothing.
        self._last = np.zeros(size // unit, np.int16)
        self._layers: list[int] = [-1]  # of each descriptor, -1 for what the host wrote

    def load(
        self, places: Sequence[Place], first: int, words: int, planes: range,
        producers: Sequence[Collection[int]],
    ) -> int:  # fmt: skip
        """Return how many descriptors must be stored before these words may be loaded.

        Parameters
        ----------
        places : sequence of Place
            Tensors.
        first, words : int
            Run of words in each plane.
        planes : range
        producers : sequence of collections of int
            For each tensor the layers that write it, -1 for the host.
        """
        wait = 0
        for place, layers in zip(places, producers, strict=True):
            for plane in planes:
                for found in self._runs(place, plane, first, words):
                    wait = max(wait, int(found.max(initial=0)))
                    self._check(found, layers)
        return wait

    def store(self, place: Place, first: int, words: int, planes: range, layer: int) -> None:
        """Take note of what the next descriptor writes: a run of words in some planes."""
        self._layers.append(layer)
        for plane in planes:
            for run in self._runs(place, plane, first, words):
                run[:] = len(self._layers) - 1

    def check(self, place: Place, layers: Collection[int]) -> None:
        """Check that a tensor is still whole."""
        for plane in range(place.planes):
            for run in self._runs(place, plane, 0, place.height * place.width):
                self._check(run, layers)

    def _runs(self, place: Place, plane: int, first: int, words: int) -> list[np.ndarray]:
        found = []
        for address, size in place.spans(plane, first, words):
            at = (address - self._base) // self._unit
            found.append(self._last[at : at + size // self._unit])
        return found

    def _check(self, found: np.ndarray, layers: Collection[int]) -> None:
        """Stop where a word is another tensor's: then the allocation is wrong."""
        writers = {self._layers[number] for number in np.unique(found)}
        assert writers <= set(layers), f"memory of layers {layers} was written by {writers}"
