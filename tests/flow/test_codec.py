"""The command ``codec``: its page and plot of given rows, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shiftwork.flow.cli import main
from shiftwork.flow.codec_report import to_markdown, write
from shiftwork.model.codec.bench import Row

ROWS = [
    Row("SQ2", "raw", 8.0, True, 30, 38, 0, 0, 40, 0.0, 40),
    Row("SQ2", "table", 4.0, True, 29, 38, 2, 1, 36, 0.031, 40, 992),
    Row("SQ2", "table", 3.0, True, 27, 36, 4, 1, 33, 0.12, 40, 480),
    Row("ALL", "raw", 8.0, True, 30, 38, 0, 0, 40, 0.0, 40),
    Row("ALL", "chosen per map, price 1e-07", 2.5, False, 31, 38, 1, 2, 38, 0.05, 40, 9000),
    Row("ALL", "table, tuned", 4.0, True, 30, 38, 1, 1, 38, 0.02, 40, 9000, 20),
]


def test_rows_become_tables_json_plot_and_page(tmp_path: Path) -> None:
    document = write(ROWS, "squeezenet1_1", tmp_path, tmp_path / "page", crops=240, steps=40)
    assert json.loads((tmp_path / "codec.json").read_text()) == document
    assert document["rows"][1]["divergence"] == 0.031
    table = to_markdown(ROWS)
    assert "| table | 4 | 2.00 | 29 (-2.5) | 2 | 1 | 38 | 90.0 | 0.0310 | 1.0 |" in table
    assert "| raw | 8 | 1.00 | 30 (+0.0) | 0 | 0 | 38 | 100.0 | 0.0000 |  |" in table
    page = (tmp_path / "page" / "codec.md").read_text()
    assert "40 labelled pictures" in page and "30 right" in page and "(40 steps)" in page
    assert table in page
    picture = (tmp_path / "page" / "codec_squeezenet1_1.svg").read_text()
    assert "chosen per map<" in picture and "table, tuned<" in picture
    assert picture == (tmp_path / "codec_squeezenet1_1.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet8"], "codec knows squeezenet1_1, not 'resnet8'"),
        (["--limit", "0"], "--limit must be at least 1, not 0"),
        (["--crops", "3"], "--crops must be at least 12, not 3"),
        (["--steps", "-1"], "--steps must not be negative, not -1"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["codec", *arguments]) == 1
    assert message in capsys.readouterr().err
