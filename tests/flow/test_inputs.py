"""Engines by name, by file and by --set: what is refused, and that nothing given is ignored."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftwork.flow.inputs import changed, open_config
from shiftwork.hw.config import EngineConfig, preset


def written(folder: Path, data: Any) -> str:
    path = folder / "mine.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: {"config": data, "ports": []}])
def test_a_file_gives_the_engine_it_was_written_from(wrap: Any, tmp_path: Path) -> None:
    config = preset("small").replace(arithmetic="int4", name="mine")
    path = written(tmp_path, wrap(config.to_dict()))
    assert open_config(path) == config
    assert open_config(path, ["rows=16", "leaky=true"]) == config.replace(rows=16, leaky=True)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"row": 8}, "no parameter 'row' (did you mean rows?); there are name, rows, cols, "),
        ({"config": {"lane_term": 1}}, "no parameter 'lane_term' (did you mean lane_terms"),
        ({"zzz": 8}, "no parameter 'zzz'; there are name, rows"),
        ({"rows": 0}, "rows must be an integer in 1..64, not 0"),
        ({"arithmetic": []}, "arithmetic must be one of 'shift', 'int8', 'int4', not []"),
        ([8], "not the parameters of an engine"),
        ({"config": 8}, "not the parameters of an engine"),
        ('{"rows": 8,\n', "not JSON: line 2: "),
        ('{"rows": 8, "rows": 16}', "rows is given twice"),
        (
            {"arithmetic": "int8", "max_terms": 3},
            "with arithmetic int8 max_terms is 1, not 3: leave it out",
        ),
    ],
)
def test_a_file_that_is_no_engine_is_refused_by_name(data: Any, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, data)
    with pytest.raises(ValueError) as caught:
        open_config(path)
    assert str(caught.value).startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    ("arithmetic", "given", "says"),
    [
        ("int8", "lane_terms=2", "lane_terms is 1, not 2"),
        ("int8", "max_terms=3", "max_terms is 1, not 3"),
        ("int4", "code_bits=8", "code_bits is 4, not 8"),
        ("int4", "max_terms=0", "max_terms is 1, not 0"),
    ],
)
def test_what_integers_overrule_is_refused_where_it_is_given(
    arithmetic: str, given: str, says: str
) -> None:
    small, sets = preset("small"), [f"arithmetic={arithmetic}"]
    integers = changed(small, sets)
    assert (integers.max_terms, integers.lane_terms) == (1, 1)  # the preset's 3 was nobody's wish
    message = f"^--set {given}: with arithmetic {arithmetic} {says}: leave it out$"
    for config, words in ((small, [*sets, given]), (small, [given, *sets]), (integers, [given])):
        with pytest.raises(ValueError, match=message):
            changed(config, words)
    agreeing = [*sets, f"code_bits={integers.code_bits}", "max_terms=1", "lane_terms=1"]
    assert changed(small, agreeing) == integers


def test_a_parameter_is_given_once() -> None:
    config = EngineConfig()
    assert changed(config, ["rows=4", "rows=4"]).rows == 4
    with pytest.raises(ValueError, match=r"^--set rows=8: rows is 4 already: give it once$"):
        changed(config, ["rows=4", "rows=8"])
