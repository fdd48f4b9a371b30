"""Tables of texts."""

from __future__ import annotations

import io

from rich.console import Console

from shiftwork.flow.tables import markdown_table, rich_table, wanted

COLUMNS, ROWS = ("name", "size"), [("a", "1"), ("b", "20")]


def test_the_same_cells_in_both() -> None:
    lines = ["| name | size |", "|---|---:|", "| a | 1 |", "| b | 20 |"]
    assert markdown_table(COLUMNS, ROWS) == lines
    for narrow in (False, True):
        console = Console(file=io.StringIO(), width=40)
        console.print(rich_table(COLUMNS, ROWS, title="sizes", narrow=narrow))
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        assert "sizes" in shown
        assert "20" in shown
        assert ("│" in shown) != narrow


def test_what_is_wanted_is_an_upper_bound() -> None:
    assert wanted(0.28, 0.28) == "wanted at most 0.28: reached"
    assert wanted(0.42, 0.28) == "wanted at most 0.28: missed by 50%"
