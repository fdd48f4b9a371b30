"""Rows of the bench beyond plain tables: plane codes, and codes that look at the left neighbour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .coded import Lossy
from .frozen import FrozenPlanes
from .levels import best_tables
from .start import of_table, search
from .switched import gathered
from .threshold import PlaneCode
from .tune import Tuning, tune

if TYPE_CHECKING:
    from .bench import Bench, Row

MAPS = "SQ2"  # what plane codes are measured on
LAYERS, SWITCHED = "planes, two layers", "table, {} by left neighbour"
PICTURES = 96  # crops that neighbours are looked at on
SPATIAL_BITS = 8  # planes of 2 x 2 pixels: 2 bits a value


def plane_rows(bench: Bench) -> Iterator[Row]:
    """Yield plane codes, layer by layer and tuned end to end."""
    names = bench.sets.get(MAPS, [])
    jobs: list[tuple[str, dict[str, FrozenPlanes], bool]] = []
    if bench.plan.planes:
        jobs.append(("planes, 3x3 stride 2", _spatial(bench, names), True))
    for k in bench.plan.planes:
        for code, codes in _channel(bench, names, k).items():
            jobs.append((code, codes, k in bench.plan.tuned_planes and code != LAYERS))
    for code, codes, tuned in jobs:
        yield bench.row(MAPS, code, _bits(codes), codes)
        if tuned and bench.steps:
            yield _tuned(bench, code, _bits(codes), codes)


def _tuned(bench: Bench, code: str, bits: float, codes: Mapping[str, Lossy]) -> Row:
    """Return the row of a code with the network tuned around it."""
    recipe = Tuning(steps=bench.steps, every=max(1, bench.steps // 4), seed=bench.seed)
    label = f"{MAPS} {code} {bits:.3g}, tuned"
    found = tune(
        bench.network, codes, bench.crops, bench.held, recipe,
        lambda step, now: bench.tell(label, step, bench.steps),
    )  # fmt: skip
    return bench.row(
        MAPS, f"{code}, tuned", bits, found.codes, network=found.network, step=found.step
    )  # fmt: skip


def _bits(codes: dict[str, FrozenPlanes]) -> float:
    """Return the bits per value of codes of one form."""
    return next(iter(codes.values())).bits_per_value


def _channel(bench: Bench, names: list[str], k: int) -> dict[str, dict[str, FrozenPlanes]]:
    """Return codes of one pixel, each channel by itself."""
    weights = {name: bench.profiles[name].weights for name in names}
    tables = bench.tables(names, k)
    return {
        "planes, ternary": {
            n: search(w, k, "ternary", seed=bench.seed) for n, w in weights.items()
        },
        "planes, int8": {n: search(w, k, "int8", seed=bench.seed) for n, w in weights.items()},
        LAYERS: {n: of_table(tables[n]) for n in names},
    }


def _spatial(bench: Bench, names: list[str]) -> dict[str, FrozenPlanes]:
    """Return codes of 3 x 3 pixels as they start: every second pixel of every second row."""
    return {
        name: PlaneCode(
            len(bench.profiles[name].counts), SPATIAL_BITS, kind="spatial", seed=bench.seed
        ).frozen()
        for name in names
    }  # fmt: skip


def neighbour_rows(bench: Bench, maps: str) -> Iterator[Row]:
    """Yield tables that the left neighbour switches, and differences to it."""
    names, ranges, sizes = (
        bench.sets[maps], bench.plan.ranges.get(maps, ()), bench.plan.switched.get(maps, ())
    )  # fmt: skip
    if not ranges:
        return
    codes: dict[tuple[int, int], dict[str, Lossy]] = {(k, r): {} for k in sizes for r in ranges}
    changes: dict[int, dict[str, Lossy]] = {k: {} for k in sizes}
    label = f"{maps} by left neighbour"
    known = {name: bench.profiles[name] for name in names}
    bench.tell(label, 0, len(names))
    found = gathered(bench.network, bench.crops[:PICTURES], known)
    for done, (name, neighbours) in enumerate(found, start=1):
        before = bench.fitted[name]["weighted"]
        parts = best_tables(known[name].weights, ranges)
        for k, r in codes:
            codes[k, r][name] = neighbours.switched(k, before[k], parts[r])
        if maps == MAPS:
            for k in sizes:
                changes[k][name] = neighbours.difference(k, before[k])
        bench.tell(label, done, len(names))
    for k in sizes:
        for r in ranges:
            yield bench.row(maps, SWITCHED.format(1 << r), k, codes[k, r])
        if maps == MAPS:
            yield bench.row(maps, "difference to left neighbour", k, changes[k])
    if maps == MAPS and bench.steps:
        r = ranges[len(ranges) // 2]
        for k in bench.plan.tuned_planes:
            yield _tuned(bench, SWITCHED.format(1 << r), k, codes[k, r])
