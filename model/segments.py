"""Bands of layers whose output pixels differ in their requantiser: a run of pixels of one row each.

A descriptor has one weight stream, records included, and writes pixels that follow one another.
So such a layer is cut into rows, and these into runs of pixels of one requantiser. A run loads
the rows under it from its first pixel on: ``in_width`` ends at its last one, and the rows lie a
whole row of the map apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..hw.config import EngineConfig
from .bands import MOST, Band, Window, check_count, input_rows, plane_step, tiles_of
from .means import Counts


def cut_segments(
    name: str, window: Window, columns: int, counts: Counts, variants: Sequence[int],
    config: EngineConfig,
) -> list[Band]:  # fmt: skip
    """Return the bands of a layer in the order of its output pixels.

    Parameters
    ----------
    name : str
        The layer's, for errors.
    window : Window
        Its geometry; every output plane needs its own input plane only.
    columns : int
        Kernel columns in pixels; those of ``window`` are steps.
    counts : Counts
        Of the output pixels.
    variants : sequence of int
        Counts in the order of the layer's weight streams.

    Raises
    ------
    ValueError
        If the input of one run does not fit the buffer, or there would be too many bands.
    """
    step = plane_step(window, config)
    words = min(config.buffer_words, MOST)
    bands: list[Band] = []
    segments = counts.segments()
    check_count(name, len(counts.rows) * len(segments) * -(-window.planes // step))
    for y, x in ((y, x) for y in range(len(counts.rows)) for x in segments):
        first, last, pad_top = input_rows(window, y, 1)
        start = x.start * window.stride[1] - window.padding[1]
        left, right = max(start, 0), (x.stop - 1) * window.stride[1] - window.padding[1]
        right = min(right + columns, window.size[1])  # the first one not under the run
        real = last >= first and right > left
        load = (last - first) * window.size[1] + right - left if real else 0
        if load * step > words:
            raise ValueError(
                f"layer {name!r}: one output row needs {load * step} words of activations, but "
                f"engine {config.name!r} has {words}: raise buffer_words"
            )
        group = min(window.planes, max(words // max(load, 1) // step * step, step))
        variant = variants.index(counts.rows[y] * counts.columns[x.start])
        for plane in range(0, window.planes, group):
            planes = min(group, window.planes - plane)
            bands.append(Band(
                plane, planes, first * window.size[1] + left if real else 0, load,
                right - left if real else 1, last - first + 1 if real else 0,
                pad_top, left - start if real else 0,
                y * window.out[1] + x.start, len(x), len(x), *tiles_of(len(x), config),
                planes * load, window.size[1], variant,
            ))  # fmt: skip
    return bands
