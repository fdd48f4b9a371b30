"""What other commands have measured, as parts of report.html: arrays, and energy per picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import array_page, asic_page, energy_page, pareto
from .report import Section, TableData
from .report.plots import paired_bars, scatter, stacked_bars

PLACES = {
    "arrays": "arrays/arrays.json", "engines": "asic/asic.json", "energy": "energy/energy.json",
}  # fmt: skip


def sections_of(build: Path, tell: Callable[[str], object]) -> list[Section]:
    """Return the parts for which a build folder holds figures, none where it holds none.

    Parameters
    ----------
    build : Path
    tell : callable
        Called with a line for each file that is left out: damaged, or of another version.
    """
    makers = {
        "arrays": (_arrays, "bench-array"), "engines": (_engines, "bench-asic"),
        "energy": (_energy, "energy"),
    }  # fmt: skip
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


def _engines(document: dict[str, Any]) -> Section:
    rows = document["engines"]
    names = [f"{row['engine']}, {row['arithmetic']}" for row in rows]
    area = {
        "array": [row["area_array"] / 1e6 for row in rows],
        "all else": [(row["area_total"] - row["area_array"]) / 1e6 for row in rows],
    }
    plots = [("Area without memories.", stacked_bars("Area of engines", names, area, "mm2"))]
    tables = [TableData("Area and timing", asic_page.COLUMNS, asic_page.table_rows(document))]
    run = [row for row in rows if "power" in row]
    if run:
        blocks = {
            block: [1e3 * document["period_ns"] * sum(row["power"].get(block, {}).values())
                    for row in run]
            for block in asic_page.largest_blocks(run)
        }  # fmt: skip
        blocks["all else"] = [
            row["pj_per_cycle"] - sum(part[i] for part in blocks.values())
            for i, row in enumerate(run)
        ]
        shown = [asic_page.title_of(row) for row in run]
        svg = stacked_bars("Energy of a cycle", shown, blocks, "pJ")
        plots.append(("Energy by block while a real layer runs, memories apart.", svg))
        tables.append(TableData("Power", asic_page.POWER_COLUMNS, asic_page.power_rows(document)))
    note = (
        f"{document['library']}, {1000 / document['period_ns']:.0f} MHz, memories apart. "
        "See docs/reference/asic.md."
    )
    return Section("Whole engines in standard cells", note, plots, tables)


def _energy(document: dict[str, Any]) -> Section:
    plots: list[tuple[str, str]] = []
    tables: list[TableData] = []
    for name, rows in energy_page.by_network(document).items():
        title, cells = energy_page.title_of(name), energy_page.cells_of(rows)
        tables.append(TableData(title, energy_page.COLUMNS, cells))
        plots.append(("Parts of one picture's energy.", energy_page.plot(rows)))
        compared = pareto.pareto_rows(rows)
        if len(compared) < 2:
            continue
        tables.append(TableData(f"{title}: which none beats", pareto.COLUMNS, compared))
        for axis in pareto.AXES:
            svg = scatter(f"{title}: accuracy, {axis}", pareto.points(rows, axis), axis, "top-1, %")
            plots.append(("Left and up is better; only engines of known accuracy.", svg))
    control = document["control"]
    said = f"as measured on engine {control['engine']}" if control else "as given, or left out"
    area = "the engine without memories" if document["area_of_all_else"] else "the array alone"
    note = (
        f"The array as measured; control {said}; memories by counted accesses times pJ per bit. "
        f"mm2: {area}. See docs/reference/energy.md. Top-1 in percent, - where not measured."
    )
    return Section("Energy per picture", note, plots, tables)
