"""Tables of texts for the terminal and for pages of the documentation, and what was wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table


def rich_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None,
    narrow: bool = False,
) -> Table:  # fmt: skip
    """Return a table for the terminal, the first column to the left and the others to the right.

    ``narrow`` leaves out the lines between columns.
    """
    table = Table(title=title, title_justify="left")
    if narrow:
        table.box, table.padding = None, (0, 1)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of the same table in Markdown."""
    return [
        f"| {' | '.join(columns)} |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def wanted(got: float, most: float) -> str:
    """Return what was wanted at most, and whether it is reached."""
    word = "reached" if got <= most else f"missed by {got / most - 1:.0%}"
    return f"wanted at most {most:.2f}: {word}"
