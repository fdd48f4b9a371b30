"""Cutting a layer into bands of output rows whose input fits the activation buffer."""

from __future__ import annotations

from dataclasses import dataclass

from ..hw.codec.layout import token_pixels
from ..hw.config import EngineConfig
from .program import round_up

Pair = tuple[int, int]
MOST = 0xFFFF  # of a 16-bit descriptor field
MOST_BANDS = 0x7FFF  # so that 16-bit counts of descriptors can be compared
IN_FLIGHT = 3  # bands that should fit the buffer at once, so that loading runs ahead


@dataclass(frozen=True)
class Window:
    """The geometry of a layer: a window that slides over planes of pixels.

    Attributes
    ----------
    size, out : (int, int)
        Input and output (height, width), in pixels.
    kernel, stride, dilation : (int, int)
        Vertical, horizontal; kernel columns in steps of what is read at once.
    padding : (int, int, int, int)
        Top, left, bottom, right.
    planes : int
        Input planes.
    separate : bool
        Every output plane needs its own input plane only.
    tensors : int
        Input tensors of this geometry.
    upsample : int
        Output pixels per input pixel, each way.
    """

    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair
    padding: tuple[int, int, int, int]
    dilation: Pair
    planes: int
    separate: bool
    tensors: int = 1
    upsample: int = 1

    @property
    def pointwise(self) -> bool:
        """Whether pixels are independent, so that a band may be any run of them.

        A kernel of one step may still be several pixels wide: then the output is narrower.
        """
        return (
            self.size == self.out and self.kernel == self.stride == (1, 1) and not any(self.padding)
        )

    @property
    def span(self) -> int:
        """Input rows under one output row."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1

    def rows_in(self, rows: int) -> int:
        """Return how many input rows a run of output rows needs at most."""
        if self.upsample > 1:
            return -(-rows // self.upsample)
        return min(self.size[0], (rows - 1) * self.stride[0] + self.span)


@dataclass(frozen=True)
class Work:
    """What a layer costs beside its input: for choosing the size of its bands.

    Attributes
    ----------
    beats_per_pixel : int
        Beats of one output pixel of one column block.
    columns : int
        Column blocks.
    """

    beats_per_pixel: int
    columns: int


@dataclass(frozen=True)
class Band:
    """What one descriptor loads and computes; sizes in pixel words and pixels."""

    first_plane: int
    planes: int
    load_first: int  # pixel in the plane
    load_words: int  # per plane and tensor
    in_width: int
    in_height: int
    pad_top: int
    pad_left: int
    out_first: int  # pixel in the output plane
    out_width: int
    pixels: int
    tile: int
    tiles: int
    words: int  # of the buffer
    pitch: int = 0  # words from row to row of the buffer, in_width if 0
    variant: int = 0  # weight stream among the layer's, one after another


def cut_bands(
    name: str, window: Window, work: Work, config: EngineConfig, segment: int = 0
) -> list[Band]:
    """Return the bands of a layer, in order of output pixels, planes innermost.

    With a ``segment``, which divides the output's width, bands and tiles start at multiples of so
    many pixels.


    A band is about one tile of ``hold`` pixels, so that the next layer can start on the first
    rows while the last are computed; larger where rows that overlap would cost more loading
    than there is computing to hide it, and never smaller than hides the loading of weights.

    Raises
    ------
    ValueError
        If not even one output row fits the buffer, or there would be more bands than a program
        may have descriptors; the message names the layer and the limit.
    """
    bands = None
    for share in (IN_FLIGHT, 2, 1):
        words = min(config.buffer_words // share, MOST)
        cut = _runs if window.pointwise else _rows
        bands = cut(name, window, work, config, words, segment)
        if bands is not None:
            return bands
    need = least_words(window, config, segment)
    what = ("segment" if segment else "pixel") if window.pointwise else "row"
    remedy = "raise buffer_words" if need <= MOST else f"no engine has more than {MOST}: cut it up"
    if segment and window.pointwise:
        remedy += ", or keep the zeros of its output"
    raise ValueError(
        f"layer {name!r}: one output {what} needs {need} words of activations, but engine "
        f"{config.name!r} has {min(config.buffer_words, MOST)}: {remedy}"
    )


def least_words(window: Window, config: EngineConfig, segment: int = 0) -> int:
    """Return the words of the buffer that the smallest band of a layer takes, see `cut_bands`."""
    planes = plane_step(window, config) if window.separate else window.planes
    words = max(segment, 1) if window.pointwise else window.rows_in(1) * window.size[1]
    return words * planes * window.tensors


def least_pixels(config: EngineConfig) -> int:
    """Return the pixels for which a block must be held so that the next one arrives meanwhile."""
    return 2 * config.block_beats + 8


def tiles_of(pixels: int, config: EngineConfig, segment: int = 0) -> Pair:
    """Return (pixels per tile, tiles), tiles of whole segments and as equal as can be."""
    tiles = -(-pixels // _longest_tile(config, segment))
    tile = round_up(-(-pixels // tiles), max(segment, 1))
    return tile, -(-pixels // tile)


def _longest_tile(config: EngineConfig, segment: int) -> int:
    return token_pixels(config, segment) if segment else config.hold


def _shares(total: int, most: int, config: EngineConfig, unit: int = 1) -> int:
    """Return the size of a share of ``total`` units of ``unit`` pixels: at most ``most``.

    Shares are equal; there are at least three unless they would be too short for the weights.
    """
    count = -(-total // most)
    wanted = min(3, total * unit // least_pixels(config))
    return -(-total // max(count, wanted, 1))


def check_count(name: str, count: int) -> None:
    """Check that a layer's bands are not more than there may be, before they are made."""
    if count > MOST_BANDS:
        raise ValueError(
            f"layer {name!r}: its output takes {count} descriptors, of at most {MOST_BANDS}: "
            "raise hold and buffer_words, or cut the picture"
        )


def _runs(
    name: str, window: Window, _: Work, config: EngineConfig, words: int, segment: int
) -> list[Band] | None:
    total = window.size[0] * window.size[1]
    unit = max(segment, 1)
    group = window.planes
    if window.separate:
        step = plane_step(window, config)
        room = words // (min(total, config.hold) * window.tensors)
        group = min(window.planes, max(room // step * step, step))
    longest = min(words // (group * window.tensors), _longest_tile(config, segment))
    longest = longest // unit * unit
    if longest < 1:
        return None
    run = round_up(_shares(total, min(longest, total), config), unit)
    check_count(name, -(-total // run) * -(-window.planes // group))
    bands = []
    for first in range(0, total, run):
        pixels = min(run, total - first)
        for plane in range(0, window.planes, group):
            planes = min(group, window.planes - plane)
            bands.append(Band(
                plane, planes, first, pixels, pixels, 1, 0, 0, first, pixels, pixels,
                *tiles_of(pixels, config, segment), planes * pixels * window.tensors,
            ))  # fmt: skip
    return bands


def _rows(
    name: str, window: Window, work: Work, config: EngineConfig, words: int, segment: int
) -> list[Band] | None:
    out_height, out_width = window.out
    width = window.size[1]
    step = plane_step(window, config) if window.separate else window.planes
    rows = _rows_that_fit(window, words // (step * width * window.tensors))
    if rows < 1:
        return None
    rows = _good_rows(window, work, config, rows)
    group = window.planes
    if window.separate:
        used = window.rows_in(rows) * width * window.tensors
        group = min(window.planes, max(words // used // step * step, step))
    check_count(name, -(-out_height // rows) * -(-window.planes // group))
    bands = []
    for top in range(0, out_height, rows):
        count = min(rows, out_height - top)
        a, b, pad_top = input_rows(window, top, count)
        pixels = count * out_width
        for plane in range(0, window.planes, group):
            planes = min(group, window.planes - plane)
            load = (b - a + 1) * width
            bands.append(Band(
                plane, planes, a * width, load, width, b - a + 1, pad_top, window.padding[1],
                top * out_width, out_width, pixels, *tiles_of(pixels, config, segment),
                planes * load * window.tensors,
            ))  # fmt: skip
    return bands


def _rows_that_fit(window: Window, rows_in: int) -> int:
    """Return the output rows of which the input fits ``rows_in`` rows, 0 if not even one."""
    out_height, out_width = window.out
    if window.upsample > 1:
        rows = rows_in * window.upsample
    elif rows_in >= window.size[0]:
        rows = out_height
    else:
        rows = (rows_in - window.span) // window.stride[0] + 1 if rows_in >= window.span else 0
    rows = min(rows, out_height, MOST // out_width)
    return rows // window.upsample * window.upsample


def _good_rows(window: Window, work: Work, config: EngineConfig, most: int) -> int:
    """Return the rows of a band: about a tile, more where loading would not be hidden."""
    out_height, out_width = window.out
    rows = min(most, max(1, config.hold // out_width))
    beats = work.beats_per_pixel * out_width * work.columns  # of one row
    while rows < most and _load_beats(window, config, rows) > beats * rows:
        rows += 1
    rows = min(most, _shares(out_height, rows, config, out_width))
    return max(-(-rows // window.upsample) * window.upsample, 1)


def _load_beats(window: Window, config: EngineConfig, rows: int) -> int:
    """Return the bus beats of the input of ``rows`` output rows, all planes."""
    words = window.rows_in(rows) * window.size[1] * window.planes * window.tensors
    return words * config.word_bytes // config.bus_bytes


def input_rows(window: Window, top: int, count: int) -> tuple[int, int, int]:
    """Return the first and last input row under output rows, and the padding rows above."""
    if window.upsample > 1:
        return top // window.upsample, (top + count - 1) // window.upsample, 0
    first = top * window.stride[0] - window.padding[0]
    last = first + (count - 1) * window.stride[0] + window.span - 1
    a, b = max(first, 0), min(last, window.size[0] - 1)
    if a > b:  # nothing but padding
        return 0, -1, 0
    return a, b, a - first


def plane_step(window: Window, config: EngineConfig) -> int:
    """Return the planes that a band of separate planes is a multiple of: whole column blocks."""
    planes = 1
    while planes * config.rows % config.cols:
        planes += 1
    return min(planes, window.planes)
