"""Files of earlier commands: what is missing or strange is told by file, key and command."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftwork.flow.measured import ANY, Form, read_measured

FORM: Form = {
    "name": str, "good": bool, "rows": [{"n": int, "x": float}], "parts": {ANY: {"pj": float}},
    "runs": [lambda row: {"watt": float} if "power" in row else dict],
}  # fmt: skip
GOOD: dict[str, Any] = {
    "name": "a", "good": True, "rows": [{"n": 1, "x": 2}, {"n": 2, "x": 0.5, "more": None}],
    "parts": {"lane": {"pj": 1.5}}, "runs": [{}, {"power": 1, "watt": 3.0}], "more": [],
}  # fmt: skip


def test_what_is_needed_is_there(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text(json.dumps(GOOD))
    assert read_measured(path, "bench", FORM) == GOOD
    path.write_text(json.dumps({"anything": 1}))
    assert read_measured(path, "bench") == {"anything": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": 7}, "name must be text, not 7"),
        ({"good": 1}, "good must be true or false, not 1"),
        ({"rows": {}}, "rows must be a list, not {}"),
        ({"rows": [{"n": 1, "x": 1}, []]}, r"rows\[1\] must be an object, not \[\]"),
        ({"rows": [{"x": 1}]}, r"rows\[0\].n is missing"),
        ({"rows": [{"n": True, "x": 1}]}, r"rows\[0\].n must be an integer, not True"),
        ({"rows": [{"n": 1, "x": float("nan")}]}, r"rows\[0\].x must be a number, not nan"),
        ({"parts": {"lane": {}}}, "parts.lane.pj is missing"),
        ({"runs": [{"power": 1}]}, r"runs\[0\].watt is missing"),
    ],
)
def test_what_is_not_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(ValueError, match=rf"^\S+it\.json: {says}: run `shiftwork bench` again$"):
        read_measured(path, "bench", FORM)


def test_a_file_that_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    with pytest.raises(ValueError, match=r"it\.json is missing: run `shiftwork bench` first$"):
        read_measured(path, "bench", FORM)
    with pytest.raises(ValueError, match=r"is a folder: name the file in it$"):
        read_measured(tmp_path, "bench", FORM)
    for text in ("{", "[]", "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"it\.json is damaged: run `shiftwork bench` again$"):
            read_measured(path, "bench", FORM)
