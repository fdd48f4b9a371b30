"""The sequencer's judgement of a band: blocks of codes and tiles that do not come out even."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shiftwork.hw.config import EngineConfig
from shiftwork.hw.sequencer import Sequencer
from tests.hw.bench import simulate, source
from tests.hw.test_sequencer import band

CONFIG = EngineConfig(rows=3, cols=5, hold=7, buffer_words=1024)
#: Two column blocks of eight blocks, two tiles of 4 and 3 pixels.
SIZES = {"kernel_h": 2, "kernel_w": 2, "row_blocks": 2, "passes": 1, "col_blocks": 2,
         "out_width": 7, "pixels": 7, "tile": 4, "hold_weights": 0, "depthwise": 0,
         "upsample": 0}  # fmt: skip


def a_band(layer: int = 3, **changes: int) -> dict[str, int]:
    """Return a consistent band, then what is changed in it."""
    b = band(CONFIG, Random(layer), **SIZES | {k: v for k, v in changes.items() if k in SIZES})
    return b | {"layer": layer} | changes


def blocks(b: dict[str, int]) -> list[bool]:
    """Return for every block of codes of a band whether it is the last of its column block."""
    each = 1
    if not b["hold_weights"]:
        each = b["kernel_h"] * b["kernel_w"] * b["row_blocks"] * b["passes"]
    tiles = -(-b["pixels"] // b["tile"])
    return ([False] * (each - 1) + [True]) * b["col_blocks"] * tiles


def run(bands: list[dict[str, int]], lasts: list[bool], *, stop: bool = True) -> list[Any]:
    """Feed bands and codes; return (blocks taken, layer) of every pulse of ``wrong``.

    With ``stop`` only of the first one; else until all bands are done.
    """
    dut = Sequencer(CONFIG)
    found: list[Any] = []
    done = taken = 0

    async def array(ctx: Any) -> None:
        nonlocal done, taken
        while done < len(bands) and not (stop and found):
            ctx.set(dut.weights_ready, taken < len(lasts))
            ctx.set(dut.weights_last, taken < len(lasts) and lasts[taken])
            ctx.set(dut.drain.ready, 1)
            _, _, beat, wrong, layer, computed = await ctx.tick().sample(
                dut.beat, dut.wrong, dut.wrong_layer, dut.computed
            )
            take = bool(beat.valid and beat.load)
            taken += take
            done += computed
            ctx.set(dut.taken, take)
            ctx.set(dut.release, beat.valid & beat.landing)
            if wrong:
                found.append((taken, layer))
        for _ in range(4):  # what the last beat leads to
            _, _, wrong, layer = await ctx.tick().sample(dut.wrong, dut.wrong_layer)
            if wrong and not (stop and found):
                found.append((taken, layer))

    async def feed(ctx: Any) -> None:
        await source(dut.i, bands)(ctx)

    simulate(dut, array, background=[feed], cycles=20_000)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hold_weights": 1},
        {"kernel_h": 1, "kernel_w": 1, "row_blocks": 1, "col_blocks": 1, "pixels": 1, "tile": 1,
         "tiles": 1, "out_width": 1},
        {"passes": 2, "col_blocks": 3},
        {"tile": 7, "tiles": 1},
        {"tile": 1, "tiles": 7},
        {"tile": 6, "tiles": 2},  # a single pixel is left for the last tile
        {"pixels": 6, "tile": 7, "tiles": 1},  # a tile longer than the band
    ],
)  # fmt: skip
def test_a_band_that_comes_out_even_is_right(changes: dict[str, int]) -> None:
    bands = [a_band(1, **changes), a_band(2), a_band(9, **changes)]
    lasts = [last for each in bands for last in blocks(each)]
    assert run(bands, lasts, stop=False) == []


@pytest.mark.parametrize("number", [0, 6, 8, 14, 16, 31])
@pytest.mark.parametrize("hold", [0, 1])
def test_a_column_block_of_another_length_is_wrong(number: int, hold: int) -> None:
    """Any one flag turned round: told after the block it came with, and under its layer."""
    b = a_band(5, hold_weights=hold)
    lasts = blocks(b)
    number = number % len(lasts)
    lasts[number] = not lasts[number]
    ((taken, layer),) = run([b, a_band(6)], lasts)
    assert layer == 5
    assert taken in (number, number + 1)


@pytest.mark.parametrize(("field", "value"), [
    ("kernel_h", 3), ("kernel_h", 255), ("kernel_w", 255), ("row_blocks", 65535), ("passes", 3),
    ("kernel_h", 1), ("kernel_w", 1), ("row_blocks", 1),
])  # fmt: skip
def test_more_or_fewer_blocks_than_the_stream_has_are_wrong(field: str, value: int) -> None:
    """The stream brings eight blocks per column block, the band says otherwise."""
    b = a_band(7)
    ((taken, layer),) = run([b | {field: value}], blocks(b))
    assert layer == 7
    steps = {name: b[name] for name in ("kernel_h", "kernel_w", "row_blocks", "passes")}
    wanted = 1
    for count in (steps | {field: value}).values():
        wanted *= count
    assert taken - 1 <= min(wanted, 8) <= taken + 1


@pytest.mark.parametrize(("tiles", "end"), [(1, 1), (3, 2), (65535, 2)])
def test_more_or_fewer_tiles_than_pixels_fill_are_wrong(tiles: int, end: int) -> None:
    """Seven pixels are two tiles of four: told at the end of the tile that should be the last."""
    b = a_band(8)
    ((taken, layer),) = run([b | {"tiles": tiles}, a_band(2)], blocks(b) * 2)
    assert (taken, layer) == (16 * end, 8)


@pytest.mark.parametrize(("pixels", "end"), [(4, 1), (8, 2), (9, 2), (65535, 2)])
def test_pixels_that_the_tiles_do_not_hold_are_wrong(pixels: int, end: int) -> None:
    """Two tiles of four: five to eight pixels are right."""
    b = a_band(8)
    found = run([b | {"pixels": pixels}], blocks(b) * 2)
    if pixels == 8:
        assert found == []
    else:
        assert found == [(16 * end, 8)]


@pytest.mark.parametrize("late", [False, True])
def test_the_layer_is_that_of_the_band_though_the_next_one_waits(late: bool) -> None:
    """The shortest band there is: one pixel, one block; the next is taken in the next cycle."""
    least = {"kernel_h": 1, "kernel_w": 1, "row_blocks": 1, "col_blocks": 1, "pixels": 1,
             "tile": 1, "tiles": 1, "out_width": 1}  # fmt: skip
    bands = [a_band(1, **least), a_band(2, **least), a_band(4, **least)]
    lasts = [True, True, True]
    if late:
        lasts[1] = False
    else:
        bands[1]["pixels"] = 2
    ((_, layer),) = run(bands, lasts)
    assert layer == 2
