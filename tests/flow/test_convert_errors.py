"""Malformed and unsupported inputs: one line that names the culprit, and nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from shiftwork.flow.cli import main

from .bad_cases import CASES
from .bad_networks import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_line_names_the_culprit_and_nothing_is_left(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (9, 9), (10, 100, 200)).save(tmp_path / "photos" / "blue.png")
    monkeypatch.chdir(tmp_path)
    source = case.make(tmp_path)
    before = sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts)
    path = list(sys.path)
    arguments = [text.replace("{}", str(tmp_path)) for text in case.arguments]
    assert main(["convert", source, *arguments, "-o", str(tmp_path / "deep" / "net")]) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("shiftwork: error: ")
    for text in case.says:
        assert text in line
    assert len(line) < 600
    after = sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts)
    assert after == before
    assert sys.path == path


def test_there_are_more_than_forty() -> None:
    assert len(CASES) > 40
    assert len({case.name for case in CASES}) == len(CASES)
