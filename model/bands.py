"""Cutting a layer into bands of output rows whose input fits the activation buffer."""

from __future__ import annotations

from dataclasses import dataclass

from ..hw.config import EngineConfig

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """The geometry of a layer: a window that slides over planes of pixels.

    ``separate`` means that every output plane needs its own input plane only.
    """

    size: Pair  # input (height, width)
    out: Pair  # output (height, width)
    kernel: Pair
    stride: Pair
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    dilation: Pair
    planes: int
    separate: bool

    @property
    def pointwise(self) -> bool:
        """Whether pixels are independent, so that a band may be any run of them."""
        return (self.kernel, self.stride) == ((1, 1), (1, 1)) and not any(self.padding)


@dataclass(frozen=True)
class Band:
    """What one descriptor loads and computes; sizes in pixel words and pixels."""

    first_plane: int
    planes: int
    load_first: int  # pixel in the plane
    load_words: int  # per plane
    in_width: int
    in_height: int
    pad_top: int
    pad_left: int
    out_first: int  # pixel in the output plane
    out_width: int
    pixels: int
    tile: int
    tiles: int
    whole_buffer: bool


def cut_bands(name: str, window: Window, config: EngineConfig) -> list[Band]:
    """Return the bands of a layer, in order of output pixels, planes innermost.

    Half of the buffer is taken, so that the next band loads meanwhile; a layer of which not one
    row fits a half takes all of it.

    Raises
    ------
    ValueError
        If not even one output row fits the buffer; the message names the layer and the limit.
    """
    for whole in (False, True):
        words = config.buffer_words >> (not whole)
        cut = _pointwise if window.pointwise else _rows
        bands = cut(window, config, words, whole)
        if bands is not None:
            return bands
    need = ((window.kernel[0] - 1) * window.dilation[0] + 1) * window.size[1]
    need *= 1 if window.separate else window.planes
    raise ValueError(
        f"layer {name!r}: one output row needs {need} words of activations, but engine "
        f"{config.name!r} has {config.buffer_words}; raise buffer_words"
    )


def _tiles(pixels: int, config: EngineConfig) -> Pair:
    """Return (pixels per tile, tiles), tiles as equal as can be."""
    tiles = -(-pixels // config.hold)
    tile = -(-pixels // tiles)
    return tile, -(-pixels // tile)


def _pointwise(window: Window, config: EngineConfig, words: int, whole: bool) -> list[Band] | None:
    total = window.size[0] * window.size[1]
    step, most = _plane_step(window, config), min(words, 0xFFFF)
    group = min(window.planes, max(most // step * step, step)) if window.separate else window.planes
    longest = most // group
    if longest < 1:
        return None
    count = -(-total // min(longest, total))
    run = -(-total // count)
    bands = []
    for first in range(0, total, run):
        pixels = min(run, total - first)
        for plane in range(0, window.planes, group):
            planes = min(group, window.planes - plane)
            bands.append(Band(plane, planes, first, pixels, pixels, 1, 0, 0, first, pixels,
                              pixels, *_tiles(pixels, config), whole))  # fmt: skip
    return bands


def _rows(window: Window, config: EngineConfig, words: int, whole: bool) -> list[Band] | None:
    height, width = window.size
    out_height, out_width = window.out
    span = (window.kernel[0] - 1) * window.dilation[0] + 1
    step = _plane_step(window, config)
    group = step if window.separate else window.planes
    group = min(group, window.planes)
    rows_in = min(words, 0xFFFF) // (group * width)
    if rows_in >= height:
        rows = out_height
    else:
        rows = (rows_in - span) // window.stride[0] + 1 if rows_in >= span else 0
    rows = min(rows, out_height, 0xFFFF // out_width)
    if rows < 1:
        return None
    if window.separate:  # more planes at a time where rows leave room
        used = min(height, (rows - 1) * window.stride[0] + span) * width
        group = min(window.planes, max(words // used // step * step, step))
    rows = -(-out_height // -(-out_height // rows))
    bands = []
    for top in range(0, out_height, rows):
        count = min(rows, out_height - top)
        first = top * window.stride[0] - window.padding[0]
        last = first + (count - 1) * window.stride[0] + span - 1
        a, b = max(first, 0), min(last, height - 1)
        if a > b:  # nothing but padding
            a, b, pad_top = 0, -1, 0
        else:
            pad_top = a - first
        pixels = count * out_width
        for plane in range(0, window.planes, group):
            planes = min(group, window.planes - plane)
            bands.append(Band(
                plane, planes, a * width, (b - a + 1) * width, width, b - a + 1,
                pad_top, window.padding[1], top * out_width, out_width, pixels,
                *_tiles(pixels, config), whole,
            ))  # fmt: skip
    return bands


def _plane_step(window: Window, config: EngineConfig) -> int:
    """Return the planes that a band of separate planes is a multiple of: whole column blocks."""
    planes = 1
    while planes * config.rows % config.cols:
        planes += 1
    return min(planes, window.planes)
