"""The command bench-array: its checks, its table and its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from shiftwork.flow.array_bench import Size, measure
from shiftwork.flow.array_page import COLUMNS, table_rows, verdicts, write
from shiftwork.flow.array_workload import MODES, Recipe, workload
from shiftwork.flow.asic.library import Library
from shiftwork.flow.cli import app
from shiftwork.hw.arrays.circuits import CIRCUITS
from shiftwork.model.codebook import Codebook, ShiftWeights

from .asic.conftest import library, scene

__all__ = ["library"]  # the fixture


def row(name: str, area: float, held: float, shared: float = 0.1) -> dict[str, Any]:
    half = (held - shared) / 2
    energy = {
        "tree": {"internal": half, "switching": half, "leakage": 0.0},
        "activations": {"internal": shared, "switching": 0.0, "leakage": 0.0},
    }
    mode = {"energy": energy, "annotated": 1.0, "beats": 4, "sums": 8}
    return {
        "name": name, "title": CIRCUITS[name].title, "rows": 4, "cols": 2, "beats": 4,
        "area_total": area, "critical_ns": 5.0, "seconds": 30.0,
        "modes": {m: {**mode, "energy_total": held * (1 + i)} for i, m in enumerate(MODES)},
    }  # fmt: skip


DOCUMENT: dict[str, Any] = {
    "picture": "cat.png", "rounded": True, "layers": ["conv"], "library": "OSU", "period_ns": 40.0,
    "rows": 4, "cols": 2, "beats": 4, "command": "shiftwork bench-array --cols 2",
    "circuits": [
        row("int8_plain", 9000.0, 30.0, 15.6), row("int8_booth", 8000.0, 12.0),
        row("int8_magnitude", 9500.0, 10.0), row("n1", 4000.0, 5.1), row("n2_b3", 5000.0, 8.9),
    ],
}  # fmt: skip


def test_parts_are_of_the_best_int8_array_that_is_not_plain() -> None:
    cells = {cells[0]: dict(zip(COLUMNS[1:5], cells[1:5], strict=True)) for cells in
             table_rows(DOCUMENT)}  # fmt: skip
    assert cells["N=1, B=4"]["of best int8"] == "0.50"  # area: of 8000
    assert [table_rows(DOCUMENT)[3][5], table_rows(DOCUMENT)[0][5]] == ["0.51", "3.00"]
    said = verdicts(DOCUMENT)
    assert [line.rpartition(": ")[2] for line in said] == [
        "missed by 2%.", "missed by 4%.", "reached.", "missed by 5%.",
    ]  # fmt: skip
    assert "0.510, wanted at most 0.50" in said[0]


def test_the_page_holds_the_table(tmp_path: Path) -> None:
    written = write(DOCUMENT, tmp_path / "out", tmp_path / "page")
    assert written.name == "arrays.json"
    text = (tmp_path / "page" / "power.md").read_text()
    for line in verdicts(DOCUMENT):
        assert f"- {line}" in text
    assert "| int8, plain `*` | 9,000 |" in text
    assert "\n`shiftwork bench-array --cols 2` writes this page" in text
    assert "`cat.png`" in text
    assert "**Plain circuits** are measured on 2 columns and 4 beats" in text
    svg = (tmp_path / "page" / "power_arrays.svg").read_text()
    assert svg.startswith("<svg")
    assert "weights changing" in svg


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no circuit 'nothing'; choose from int8_plain"),
        (["n2_b3_priced", "--greedy"], "circuit 'n2_b3_priced' is one of rounding"),
        (["--rows", "3"], "--rows must divide 16, not 3"),
        (["--beats", "1"], "--beats must be in 2..96, not 1"),
        (["--cols", "0"], "--cols must be in 1..64, not 0"),
        (["--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["--liberty", "x.lib"], "--liberty needs --cells"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench-array", *arguments, "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_another_picture_gives_another_figure(library: Library, tmp_path: Path) -> None:
    size, circuit = Size(4, 2, 4), CIRCUITS["n1"]
    measured = [
        measure(circuit, [scene(seed, top)], size, library, cache=tmp_path)
        for seed, top in ((1, 255), (1, 40), (1, 255))
    ]
    bright, dark, again = (row["modes"]["held"]["energy_total"] for row in measured)
    assert bright > 1.02 * dark
    assert again == bright
    assert len(list(tmp_path.iterdir())) == 2  # the third came from the cache
    for mode in measured[0]["modes"].values():
        assert mode["annotated"] >= 0.99
        assert mode["sums"] == (4 + 2) * 2
    assert 0.8 < measured[0]["nonzero"] <= 1
    assert measured[0]["area_total"] == pytest.approx(sum(measured[0]["area"].values()))


def test_weights_rounded_for_accuracy_take_the_place_of_greedy_ones() -> None:
    greedy, book = scene(5), Codebook(1, 4)
    twos = ShiftWeights(
        torch.full((1, 4, 8, 3, 3), -2, dtype=torch.int8), torch.ones((), dtype=torch.float64), book
    )
    rounded = replace(greedy, rounded={Recipe(1, 4): twos})
    for name, same in (("n1", False), ("n1_a6", False), ("n1_b3", True), ("int8_booth", True)):
        one, two = (workload(CIRCUITS[name], [s], "held", 4, 4, 4).codes for s in (greedy, rounded))
        assert np.array_equal(one, two) == same
    assert (workload(CIRCUITS["n1"], [rounded], "held", 4, 4, 4).codes == -2).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["n1", "n2_b3", "n1_a6", "int8_booth", "int8_plain"])
def test_a_workload_is_the_golden_models(name: str, mode: str) -> None:
    """A pixel's beats add up to its sum; `workload` itself compares that with the golden model."""
    circuit = CIRCUITS[name]
    shown = workload(circuit, [scene(5)], mode, 18, 4, 4)
    assert shown.beats == 18
    if mode == "changing":  # 18 blocks of 4 channels: one pixel
        assert shown.load.all()
        assert not shown.sums[0].any()
        assert ((shown.sums + shown.products)[:-1] == shown.sums[1:]).all()
    else:
        assert shown.load.sum() == 1
        assert len(shown.codes) == 1
    assert shown.acts.max() < 1 << circuit.act_bits
