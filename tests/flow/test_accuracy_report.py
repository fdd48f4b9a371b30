"""Tables of several networks stand side by side only where they were measured alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shiftwork.flow.accuracy_report import choose_variants, write
from shiftwork.model.accuracy import Result, Row
from shiftwork.model.calibrate import Calibration, TensorRange
from shiftwork.model.variants import VARIANTS

OPTIONS = {"variants": ["N=2, B=4, greedy"], "limit": None, "crops": 256, "sources": "abc"}

COMMAND = "shiftwork accuracy --limit 5"


def result(network: str, **changes: Any) -> Result:
    ranges = (TensorRange("conv", 0.0, 5.0, 5, 0.0, 7.97, 0.0, 40.0),)
    rows = [Row("float", 6, 8, 10, 10), Row("8-bit activations", 6, 8, 9, 10),
            Row("N=2, B=4, greedy", 5, 8, 8, 10, 0.1, 8.0, 1.8, 0.1, 4000, 1.0)]  # fmt: skip
    seen = Calibration({"conv": 5}, ranges, "error", 48)
    return Result(network, network, rows, seen, crops=256, options=OPTIONS | changes)


def test_an_earlier_network_stays_where_it_was_measured_alike(tmp_path: Path) -> None:
    write([result("efficientnet_lite0")], tmp_path, None, COMMAND)
    document = write([result("squeezenet1_1")], tmp_path, tmp_path / "page", COMMAND)
    names = [entry["network"] for entry in document["networks"]]
    assert names == ["squeezenet1_1", "efficientnet_lite0"]
    page = (tmp_path / "page" / "accuracy.md").read_text()
    assert "| squeezenet1_1 | top-1 |" in page and "| efficientnet_lite0 | top-1 |" in page
    assert "256 random crops" in page and f"`{COMMAND}` writes this page" in page
    assert "| 50.0 (-10.0) | 80.0 | 80.0 | 88.9 | 0.100 | 8 | 1.80 | 10.0 | 4 | 1 |" in page


@pytest.mark.parametrize(
    "other", [{"crops": 64}, {"limit": 40}, {"variants": ["N=1"]}, {"sources": "abd"}]
)
def test_runs_of_other_options_or_sources_are_not_mixed(
    other: dict[str, Any], tmp_path: Path
) -> None:
    write([result("efficientnet_lite0", **other)], tmp_path, None, COMMAND)
    document = write([result("squeezenet1_1")], tmp_path, None, COMMAND)
    assert [entry["network"] for entry in document["networks"]] == ["squeezenet1_1"]
    assert len(json.loads((tmp_path / "accuracy.json").read_text())["networks"]) == 1


def test_a_file_of_an_older_version_is_replaced_and_another_refused(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    path.write_text('{"networks": [{"network": "efficientnet_lite0", "rows": []}]}')
    write([result("squeezenet1_1")], tmp_path, None, COMMAND)
    assert len(json.loads(path.read_text())["networks"]) == 1
    path.write_text("[")
    with pytest.raises(ValueError, match=r"is no accuracy\.json: remove it"):
        write([replace(result("squeezenet1_1"), title="x")], tmp_path, None, COMMAND)


def test_variants_by_method_and_at_another_b() -> None:
    assert choose_variants() == list(VARIANTS)
    assert {v.method for v in choose_variants(methods=["greedy"])} == {"greedy"}
    assert {v.bits for v in choose_variants(3)} == {3}
    with pytest.raises(ValueError, match="--method must be one of compensated, greedy, not 'x'"):
        choose_variants(methods=["x"])
