from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from shiftwork.model.accuracy import evaluate


def test_table_of_a_few_pictures(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    rows = evaluate(tmp_path / "out", terms=(2,), limit=6, calibration=4, console=console)
    assert [row.variant for row in rows] == ["float", "8-bit activations", "N=2, B=4"]
    assert rows[0].agree == rows[0].pictures == 6
    assert all(row.top1 <= row.top5 <= 6 for row in rows)
    table = (tmp_path / "out" / "accuracy.md").read_text()
    assert "| N=2, B=4 |" in table and "not ImageNet validation accuracy" in table
    document = json.loads((tmp_path / "out" / "accuracy.json").read_text())
    assert document["rows"][2]["top1"] == rows[2].top1
