"""Whose control is taken for an engine's, and what is said where there is none."""

from __future__ import annotations

from typing import Any

from shiftwork.flow.energy_bench import find_control, why_no_control


def engine(name: str, lanes: int, arithmetic: str = "shift", **more: Any) -> dict[str, Any]:
    return {"engine": name, "lanes": lanes, "arithmetic": arithmetic, "area_total": 9e5,
            "area_array": 2e5, "gates": 9, **more}  # fmt: skip


MEASURED: dict[str, Any] = {
    "power": {}, "pj_per_cycle": 1000.0, "pj_per_cycle_array": 100.0, "beats": 7,
    "power_cycles": 10,
}  # fmt: skip
ENGINES: dict[str, Any] = {"engines": [
    engine("tiny", 16, **{**MEASURED, "pj_per_cycle": 500.0}), engine("small", 64, **MEASURED),
    engine("small", 64, "int8", **{**MEASURED, "pj_per_cycle": 2000.0, "beats": 8}),
    engine("base", 256),
    engine("base", 256, gates=0, **MEASURED),
]}  # fmt: skip


def test_control_is_that_of_the_engine_or_of_the_largest() -> None:
    tiny = {"shift": 400.0, "int8": 400.0, "int4": 400.0, "two-term": 400.0}
    beats = dict.fromkeys(tiny, 0.7)
    array = dict.fromkeys(tiny, 100.0)
    found = {"engine": "tiny", "lanes": 16, "pj": tiny, "array": array, "beats": beats,
             "measured": ["shift"]}  # fmt: skip
    assert find_control(ENGINES, "tiny") == found
    # int8's own, and what has no clock gates or was not run does not count.
    small = {"shift": 900.0, "int8": 1900.0, "int4": 900.0, "two-term": 900.0}
    found |= {"engine": "small", "lanes": 64, "pj": small, "measured": ["shift", "int8"]}
    found["beats"] = beats | {"int8": 0.8}
    assert find_control(ENGINES, "base") == found
    assert find_control({"engines": [engine("base", 256)]}, "base") is None
    assert find_control(None, "base") is None


def test_why_there_is_no_control_is_told() -> None:
    assert why_no_control(None) == "bench-asic has run no engine"
    plain = {"engines": [engine("base", 256, gates=0, **MEASURED)]}
    assert find_control(plain, "base") is None
    assert why_no_control(plain).startswith("no engine with clock gates was run in bench-asic")
