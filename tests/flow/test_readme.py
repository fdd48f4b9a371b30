"""The README's figures come from the reports, and nothing else in it changes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from shiftwork.flow.readme import BEGIN, END, update
from shiftwork.flow.report import write_report

from .test_report import FULL, layer

README = Path(__file__).parents[2] / "README.md"


def test_figures_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    report, _ = write_report(FULL, tmp_path)
    accuracy = tmp_path / "accuracy.md"
    accuracy.write_text("| net | top-1 |\n|---|---|\n| float | 9 (90.0 %) |\n")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Name\n{BEGIN}\nforgotten\n{END}\nend\n")
    update(readme, report, accuracy)
    text = readme.read_text()
    assert text.startswith(f"# Name\n{BEGIN}\n")
    assert text.endswith(f"{END}\nend\n")
    assert "forgotten" not in text
    for row in (
        "| values compared with the golden model; different | 1 234; 0 |",
        "| ECP5-25F speed 6: lookup tables, flip-flops, block RAMs, DSPs | 1 000, 900, 3, 0 |",
        "| Fmax after place and route | 90.5 MHz |",
        "| float | 9 (90.0 %) |",
    ):
        assert row in text.splitlines()
    update(readme, report, accuracy)
    assert readme.read_text() == text


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    report, _ = write_report(replace(FULL, lut=None, fmax_mhz=None, layers=[layer("a")]), tmp_path)
    (tmp_path / "accuracy.md").write_text("")
    (tmp_path / "README.md").write_text(BEGIN + END)
    update(tmp_path / "README.md", report, tmp_path / "accuracy.md")
    assert (tmp_path / "README.md").read_text().count("not run") == 4


def test_missing_files_and_marks_are_named(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Name")
    with pytest.raises(ValueError, match=r"the marks .* are missing"):
        update(readme, tmp_path / "report.json", tmp_path / "accuracy.md")
    readme.write_text(BEGIN + END)
    with pytest.raises(ValueError, match="make accuracy writes it"):
        update(readme, tmp_path / "report.json", tmp_path / "accuracy.md")
    (tmp_path / "accuracy.md").write_text("")
    with pytest.raises(ValueError, match=r"report\.json: No such file"):
        update(readme, tmp_path / "report.json", tmp_path / "accuracy.md")
    assert readme.read_text() == BEGIN + END


def test_our_readme_has_the_figures_and_real_targets() -> None:
    text = README.read_text()
    figures = text.split(BEGIN)[1].split(END)[0]
    assert "| Fmax after place and route |" in figures
    assert "| N=2, B=4, compensated |" in figures
    targets = set(re.findall(r"^([a-z-]+):", (README.parent / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
