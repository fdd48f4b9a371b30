"""Bands: every output pixel once, every input pixel where it is looked for, within the buffer."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shiftwork.hw.config import EngineConfig
from shiftwork.model.bands import Band, Window, Work, cut_bands
from shiftwork.model.network import window_size

CONFIGS = [
    EngineConfig(rows=1, cols=1, hold=4, buffer_words=16),
    EngineConfig(rows=3, cols=5, hold=7, buffer_words=256),
    EngineConfig(rows=8, cols=8, hold=16, buffer_words=64),
    EngineConfig(rows=2, cols=6, hold=100, buffer_words=1024),
    EngineConfig(rows=8, cols=4, hold=4096, buffer_words=1 << 16),
]
WORK = st.builds(Work, st.integers(1, 40), st.integers(1, 9))
SMALL = st.integers(1, 3)
WINDOWS = st.builds(
    lambda size, kernel, stride, padding, dilation, planes, separate, tensors: Window(
        size, window_size(size, kernel, stride, padding, dilation), kernel, stride, padding,
        dilation, planes, separate, tensors if separate else 1,
    ),
    st.tuples(st.integers(1, 14), st.integers(1, 12)),
    st.tuples(SMALL, SMALL) | st.just((1, 1)),
    st.tuples(SMALL, SMALL) | st.just((1, 1)),
    st.tuples(*[st.integers(0, 4)] * 4) | st.just((0, 0, 0, 0)),
    st.tuples(SMALL, SMALL) | st.just((1, 1)),
    st.integers(1, 9),
    st.booleans(),
    st.integers(1, 2),
) | st.builds(
    lambda size, planes: Window(
        size, (2 * size[0], 2 * size[1]), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), planes, True,
        upsample=2,
    ),
    st.tuples(st.integers(1, 14), st.integers(1, 12)),
    st.integers(1, 9),
)  # fmt: skip


def check_band(window: Window, band: Band, config: EngineConfig) -> None:
    """Check one band's sizes, and that every tap finds the pixel it means."""
    assert band.words == band.planes * band.load_words * window.tensors <= config.buffer_words
    assert band.words <= 0xFFFF
    assert band.load_words == band.in_width * band.in_height <= 0xFFFF
    assert band.planes >= 1
    assert 1 <= band.tile <= config.hold
    assert band.tile * (band.tiles - 1) < band.pixels <= band.tile * band.tiles
    assert band.pixels <= 0xFFFF
    assert band.pixels % band.out_width == 0
    height, width = window.size
    assert band.load_first + band.load_words <= height * width
    for pixel in range(band.pixels):
        oy, ox = divmod(band.out_first + pixel, window.out[1])
        by, bx = divmod(pixel, band.out_width)
        if window.upsample > 1:
            oy, ox, by, bx = oy // 2, ox // 2, by // 2, bx // 2
        for ky in range(window.kernel[0]):
            for kx in range(window.kernel[1]):
                y = oy * window.stride[0] + ky * window.dilation[0] - window.padding[0]
                x = ox * window.stride[1] + kx * window.dilation[1] - window.padding[1]
                y_in = by * window.stride[0] + ky * window.dilation[0] - band.pad_top
                x_in = bx * window.stride[1] + kx * window.dilation[1] - band.pad_left
                inside = 0 <= y_in < band.in_height and 0 <= x_in < band.in_width
                assert inside == (0 <= y < height and 0 <= x < width), (oy, ox, ky, kx)
                if inside:
                    found = band.load_first + y_in * band.in_width + x_in
                    assert found == y * width + x, (oy, ox, ky, kx)


@given(WINDOWS, WORK, st.sampled_from(CONFIGS))
@settings(deadline=None, max_examples=250)
def test_bands_cover_every_output_once(window: Window, work: Work, config: EngineConfig) -> None:
    assume(min(window.out) >= 1)
    try:
        bands = cut_bands("layer", window, work, config)
    except ValueError:
        # Not one row fits the whole buffer: as many planes as belong together, span by width.
        together = next(p for p in range(1, 10) if p * config.rows % config.cols == 0)
        planes = min(together, window.planes) if window.separate else window.planes
        span = (window.kernel[0] - 1) * window.dilation[0] + 1
        pixels = 1 if window.pointwise else min(span, window.size[0]) * window.size[1]
        assert planes * pixels * window.tensors > config.buffer_words
        return
    seen = set()
    for band in bands:
        check_band(window, band, config)
        assert window.separate or (band.first_plane, band.planes) == (0, window.planes)
        assert band.first_plane * config.rows % config.cols == 0 or not window.separate
        for plane in range(band.first_plane, band.first_plane + band.planes):
            for pixel in range(band.out_first, band.out_first + band.pixels):
                assert (plane, pixel) not in seen
                seen.add((plane, pixel))
    assert len(seen) == window.planes * window.out[0] * window.out[1]
    assert [b.out_first for b in bands] == sorted(b.out_first for b in bands)


def test_several_bands_are_in_the_buffer_at_once_where_that_is_possible() -> None:
    window = Window((8, 8), (8, 8), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2, False)
    for buffer_words, share in ((1024, 3), (128, 2), (64, 1)):
        config = EngineConfig(buffer_words=buffer_words)
        bands = cut_bands("layer", window, Work(18, 1), config)
        assert max(band.words for band in bands) <= buffer_words // share
        assert len(bands) > 1


def test_tiles_are_as_equal_as_can_be() -> None:
    window = Window((1, 50), (1, 50), (1, 3), (1, 1), (0, 1, 0, 1), (1, 1), 2, False)
    (band,) = cut_bands("layer", window, Work(1, 1), EngineConfig(hold=24))
    assert (band.pixels, band.tile, band.tiles) == (50, 17, 3)


def test_a_row_too_wide_is_refused_by_layer_and_limit() -> None:
    window = Window((5, 40), (3, 38), (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 2, False)
    message = ("layer 'wide': one output row needs 240 words of activations, but engine 'few' has "
               "128: raise buffer_words")  # fmt: skip
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cut_bands("wide", window, Work(1, 1), EngineConfig(name="few", buffer_words=128))
