"""What changed between two runs, on the terminal and as compare.html."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console

from .report import compare, load_report, write_comparison
from .tables import rich_table


def show_changes(before: Path, after: Path, folder: Path, out: Console, as_json: bool) -> None:
    """Show what differs between two report.json, and write compare.html.

    Raises
    ------
    ReportError
        If one of them is not a report.
    """
    found = compare(load_report(before), load_report(after))
    page = write_comparison(found, before, after, folder)
    if as_json:
        typer.echo(json.dumps([asdict(table) for table in found], indent=2))
        return
    for data in found:
        out.print(rich_table(data.columns, data.rows))
    if not found:
        out.print("Nothing differs.")
    out.print(str(page), markup=False)
