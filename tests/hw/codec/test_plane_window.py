# amaranth: UnusedElaboratable=no
"""Windows of maps and of their mirror: maps of all small sizes, with stalls, at full rate."""

from random import Random
from typing import Any

import pytest

from shiftwork.hw.codec.plane_mirror import PlaneMirror
from shiftwork.hw.codec.plane_window import PlaneWindow

from ..bench import count_high, holds, listen, simulate, sink, source
from .plane_bench import integer

BITS = 5
Map = list[list[int]]
SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (1, 7), (7, 1), (4, 6), (5, 8), (6, 7), (7, 5)]


def at(pixels: Map, y: int, x: int) -> int:
    """Return a pixel, 0 beyond the border."""
    inside = 0 <= y < len(pixels) and 0 <= x < len(pixels[0])
    return pixels[y][x] if inside else 0


def joined(pixels: list[int]) -> int:
    return integer(pixel >> n & 1 for pixel in pixels for n in range(BITS))


def random_map(rng: Random, height: int, width: int) -> Map:
    return [[rng.randrange(1 << BITS) for _ in range(width)] for _ in range(height)]


def windows(pixels: Map) -> list[int]:
    """Return the windows of a map by definition."""
    return [
        joined([at(pixels, y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        for y in range(0, len(pixels), 2)
        for x in range(0, len(pixels[0]), 2)
    ]


def mirrored(pixels: Map, height: int, width: int) -> list[tuple[int, int, int]]:
    """Return (window, bits that count, set) of every pixel of a large map by definition."""
    found = []
    every = (1 << BITS) - 1
    for y in range(height):
        for x in range(width):
            places = [(y // 2 + dy, x // 2 + dx) for dy in (0, 1) for dx in (0, 1)]
            window = joined([at(pixels, *place) for place in places])
            counts = joined([every, every * (x % 2), every * (y % 2), every * (x % 2 * (y % 2))])
            found.append((window & counts, counts, y % 2 * 2 + x % 2))
    return found


def sized(height: int, width: int) -> dict[str, int]:
    return {"height": height, "width": width}


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_windows_of_maps(stall: float) -> None:
    rng = Random(3)
    dut = PlaneWindow(BITS, 8, 2)
    sizes = [*SIZES, *rng.choices(SIZES, k=12)]
    given, want = [], []
    for height, width in sizes:
        pixels, chosen = random_map(rng, height, width), rng.randrange(2)
        given += [{"bits": pixel, "set": chosen} for row in pixels for pixel in row]
        want += [dut.o.payload.shape().const({"bits": w, "set": chosen}) for w in windows(pixels)]
    simulate(
        dut,
        source(dut.size, [sized(*size) for size in sizes], rng=Random(4), stall=stall),
        source(dut.i, given, rng=Random(1), stall=stall),
        sink(dut.o, want, rng=Random(2), stall=stall),
        background=[holds(dut.o)],
    )


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_windows_of_the_mirror(stall: float) -> None:
    rng = Random(3)
    dut = PlaneMirror(BITS, 8, 2)
    sizes = [*SIZES, *rng.choices(SIZES, k=12)]
    given, want = [], []
    for height, width in sizes:
        pixels, chosen = random_map(rng, (height + 1) // 2, (width + 1) // 2), rng.randrange(2)
        given += [{"bits": pixel, "set": chosen} for row in pixels for pixel in row]
        want += [(*each, chosen) for each in mirrored(pixels, height, width)]
    got: list[Any] = []

    async def take(ctx: Any) -> None:
        pauses = Random(2)
        while len(got) < len(want):
            ctx.set(dut.o.ready, pauses.random() >= stall)
            *_, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            if valid and ready:
                got.append(payload)

    simulate(
        dut,
        source(dut.size, [sized(*size) for size in sizes], rng=Random(4), stall=stall),
        source(dut.i, given, rng=Random(1), stall=stall),
        take,
        background=[holds(dut.o)],
    )
    for n, (window, (bits, counts, parity, chosen)) in enumerate(zip(got, want, strict=True)):
        assert int(window.bits) & counts == bits, f"window {n}"
        assert int(window.set) == chosen * 4 + parity, f"window {n}"


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7)])
def test_the_rates_are_those_stated(height: int, width: int) -> None:
    pixels = height * width
    moved: list[int] = []
    window = PlaneWindow(BITS, 8)
    went: list[Any] = []

    async def take(ctx: Any) -> None:
        ctx.set(window.o.ready, 1)
        await listen(window.o, 2 * ((height + 1) // 2) * ((width + 1) // 2), went)(ctx)

    simulate(
        window,
        source(window.size, [sized(height, width)] * 2),
        source(window.i, [{"bits": n % 32, "set": 0} for n in range(2 * pixels)]),
        take,
        background=[count_high(window.i.valid & window.i.ready, moved)],
    )
    row = width + width % 2
    first, second = (height + height % 2) * row, (height - 1) * row + width - 1
    assert moved[-1] - moved[0] == first + 1 + second

    mirror = PlaneMirror(BITS, 8)
    came: list[int] = []
    read: list[Any] = []

    async def collect(ctx: Any) -> None:
        ctx.set(mirror.o.ready, 1)
        await listen(mirror.o, pixels, read)(ctx)

    simulate(
        mirror,
        source(mirror.size, [sized(height, width)]),
        source(
            mirror.i, [{"bits": n, "set": 0} for n in range((height + 1) // 2 * ((width + 1) // 2))]
        ),
        collect,
        background=[count_high(mirror.o.valid, came)],
    )
    assert len(came) == pixels
    assert came[-1] - came[0] == pixels - 1 + height - 1


def test_what_they_cannot_be() -> None:
    for block in (PlaneWindow, PlaneMirror):
        with pytest.raises(ValueError, match="max_width must be 1 pixel or more, not 0"):
            block(BITS, 0)
