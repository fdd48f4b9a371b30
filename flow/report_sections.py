"""What other commands have measured, as parts of report.html: arrays, and energy per picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import array_page, energy_page
from .report import Section, TableData
from .report.plots import paired_bars, scatter

PLACES = {"arrays": "arrays/arrays.json", "energy": "energy/energy.json"}


def sections_of(build: Path, tell: Callable[[str], object]) -> list[Section]:
    """Return the parts for which a build folder holds figures, none where it holds none.

    Parameters
    ----------
    build : Path
    tell : callable
        Called with a line for each file that is left out: damaged, or of another version.
    """
    makers = {"arrays": (_arrays, "bench-array"), "energy": (_energy, "energy")}
    found: list[Section] = []
    for name, (make, command) in makers.items():
        path = Path(build) / PLACES[name]
        if not path.exists():
            continue
        try:
            found.append(make(json.loads(path.read_bytes())))
        except (ValueError, KeyError, TypeError):
            again = f"run `shiftwork {command}` again"
            tell(f"{path} is left out: damaged or of another version; {again}")
    return found


def _arrays(document: dict[str, Any]) -> Section:
    rows = document["circuits"]
    area = paired_bars(
        "Area per lane", [row["title"] for row in rows],
        {"area": [row["area_total"] for row in rows]}, "square micrometres",
    )  # fmt: skip
    layers = ", ".join(document["layers"])
    return Section(
        "Array circuits: area and energy per product",
        f"{document['library']}, {1000 / document['period_ns']:.0f} MHz, {layers} of SqueezeNet on "
        f"{document['picture']}: gate-level simulation with delays. See docs/reference/power.md.",
        [
            ("Energy per product in pJ: power of the array, by what each beat costs.",
             array_page.plot(document)),
            ("Area without memories.", area),
        ],
        [TableData("", array_page.COLUMNS, array_page.table_rows(document))],
    )  # fmt: skip


def _energy(document: dict[str, Any]) -> Section:
    plots: list[tuple[str, str]] = []
    tables: list[TableData] = []
    for name, rows in energy_page.by_network(document).items():
        title, cells = energy_page.title_of(name), energy_page.cells_of(rows)
        tables.append(TableData(title, energy_page.COLUMNS, cells))
        plots.append(("Parts of one picture's energy.", energy_page.plot(rows)))
        points = {
            row["design"]: (row["total"], points)
            for row in rows if (points := energy_page.top1(row)) is not None
        }  # fmt: skip
        if len(points) > 1:
            plots.append((
                "Left and up is better; only engines whose accuracy was measured.",
                scatter(f"Accuracy and energy, {title}", points, "uJ per picture", "top-1, %"),
            ))  # fmt: skip
    note = (
        "The array as measured; memories by counted accesses times pJ per bit; control is not "
        "included. See docs/reference/energy.md. Top-1 in percent, - where it was not measured."
    )
    return Section("Energy per picture", note, plots, tables)
