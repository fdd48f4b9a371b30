"""Whose control is taken for an engine's, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork.flow.energy_bench import find_control, why_no_control


def engine(name: str, lanes: int, arithmetic: str = "shift", **more: Any) -> dict[str, Any]:
    return {"engine": name, "lanes": lanes, "arithmetic": arithmetic, "area_total": 9e5,
            "area_array": 2e5, "gates": 9, **more}  # fmt: skip


BLOCK = {"internal": 3e-4, "switching": 1e-4, "leakage": 1e-4}  # W: 20 pJ in 40 ns
MEASURED: dict[str, Any] = {
    "power": {name: BLOCK for name in ("array", "window", "drain", "requantise", "loader")},
    "power_checked": 8, "pj_per_cycle": 1000.0, "pj_per_cycle_array": 100.0, "beats": 7,
    "power_cycles": 10,
}  # fmt: skip
ENGINES: dict[str, Any] = {"period_ns": 40, "engines": [
    engine("tiny", 16, **{**MEASURED, "pj_per_cycle": 500.0}), engine("small", 64, **MEASURED),
    engine("small", 64, "int8", **{**MEASURED, "pj_per_cycle": 2000.0, "beats": 8}),
    engine("base", 256),
    engine("base", 256, gates=0, **MEASURED),
]}  # fmt: skip


def without_split(found: dict[str, Any] | None, split: dict[str, Any]) -> dict[str, Any]:
    """Return what was found, its ``split`` compared and taken out."""
    assert found is not None
    parts = found.pop("split")
    assert parts.keys() == split.keys()
    for name, part in parts.items():
        assert part == pytest.approx(split[name])
    return found


def test_control_is_that_of_the_engine_or_of_the_largest() -> None:
    tiny = {"shift": 400.0, "int8": 400.0, "int4": 400.0, "two-term": 400.0}
    beats = dict.fromkeys(tiny, 0.7)
    array = dict.fromkeys(tiny, 100.0)
    found = {"engine": "tiny", "lanes": 16, "pj": tiny, "array": array, "beats": beats,
             "measured": ["shift"]}  # fmt: skip
    # 10 cycles took 20 pJ each of the window for 7 beats, and 40 of two blocks for 8 outputs.
    split = {"cycle": 340.0, "beat": 200 / 7, "output": 50.0}
    assert without_split(find_control(ENGINES, "tiny"), dict.fromkeys(tiny, split)) == found
    # int8's own, and what has no clock gates or was not run does not count.
    small = {"shift": 900.0, "int8": 1900.0, "int4": 900.0, "two-term": 900.0}
    found |= {"engine": "small", "lanes": 64, "pj": small, "measured": ["shift", "int8"]}
    found["beats"] = beats | {"int8": 0.8}
    split |= {"cycle": 840.0}
    eight = {"cycle": 1840.0, "beat": 25.0, "output": 50.0}
    splits = {name: eight if name == "int8" else split for name in small}
    assert without_split(find_control(ENGINES, "base"), splits) == found
    assert find_control({"engines": [engine("base", 256)]}, "base") is None
    assert find_control(None, "base") is None


def test_why_there_is_no_control_is_told() -> None:
    assert why_no_control(None) == "bench-asic has run no engine"
    plain = {"engines": [engine("base", 256, gates=0, **MEASURED)]}
    assert find_control(plain, "base") is None
    assert why_no_control(plain).startswith("no engine with clock gates was run in bench-asic")
