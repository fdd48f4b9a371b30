"""What ``bench-array`` measures as a table, a plot and a page of the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..hw.arrays.circuits import CIRCUITS, TERM_PRICE
from .array_fpga_page import fpga_markdown
from .files import write_atomic, write_json
from .report.plots import paired_bars
from .tables import markdown_table, rich_table, wanted

COLUMNS = (
    "circuit", "area", "of best int8", "critical ns", "pJ held", "of best int8",
    "pJ changing", "of best int8", "select", "tree", "registers and drivers", "s",
)  # fmt: skip
#: Least that is wanted of a circuit: part of the best int8 array's energy (weights held) and area.
TARGETS: dict[str, tuple[float | None, float | None]] = {
    "n1": (0.50, 0.48),
    "n1_a6": (0.40, None),
    "n2_b3": (0.90, None),
}
PLAIN_TARGET = 0.33  # N=1's energy against the plain int8 array's

PREFACE = """\
# Power and area of the array against 8-bit arithmetic

`{command}` writes this page and measures everything on it, in {library}.

An array of {rows} inputs x {cols} outputs at {mhz:.0f} MHz makes one product per lane and cycle,
whatever the circuit. All have the same activation registers, adder tree, accumulators and weight
registers; only what a lane makes of an activation and a weight differs (`hw/arrays`). Area is per
lane, in square micrometres; energy is in picojoules per product. Neither has wires' capacitance,
memories, the registers at the accumulator memory's output, clock tree or clock gates in it.

- **Netlist**: mapped by Yosys. A library's full adder, 2:1 multiplexer and AOI22 are named by the
  circuits, since the mapper never picks the adder; the `plain` circuits leave every gate to the
  mapper.
- **Workload**: {layers} of SqueezeNet v1.1 on `{picture}`. Activations come from the golden model
  (N=2, B=4, greedy), the same for every circuit, weights from the float network, one scale per
  output channel: integers to the nearest, {rounding}.
  {beats} beats of each layer. *held*: one block of weights stays while pixels pass by; *changing*:
  a block per beat.
- **Simulation**: by Icarus with the delays that OpenSTA writes. Every sum is compared with the
  golden model's; one that differs, or less than 95 % of the pins with toggles from the
  simulation, and the command fails. Here all {sums} sums were equal and {annotated:.1%} of the
  pins had toggles.
- **Power**: by OpenSTA from the toggles. 2.0.17 charges the sum of rise and fall where Liberty
  means either, and charges it for several pins; its energies are corrected
  (`flow/asic/liberty.py`). Weight registers have a clock of their own that runs only for a new
  block; its gate is not counted.
"""

ROUNDED = (
    "powers of two as for the table of [accuracy.md](accuracy.md)\n"
    f"  (compensated); *terms priced*: each non-zero term at a price of {TERM_PRICE:g}, which\n"
    "  [energy.md](energy.md) has the accuracy of"
)
GREEDY = (
    "powers of two rounded greedily, as published, which loses\n"
    "  accuracy with N=1 and B=3 and leaves N=2, B=3 less than one term per weight"
)

PLAIN = """\
- **Plain circuits** are measured on {cols} columns and {beats} beats of each layer: they take long
  to simulate. Their activation registers serve fewer columns, which puts their part *registers
  and drivers* too high; what was wanted of plain `*` is judged without those registers, on both
  sides.
"""


def _best(rows: list[dict[str, Any]], value: Any) -> float | None:
    """Return the least value of the int8 arrays that are not plain."""
    found = [value(row) for row in rows if row["name"].startswith("int8_") and not _plain(row)]
    return min(found, default=None)


def _plain(row: dict[str, Any]) -> bool:
    return CIRCUITS[row["name"]].plain


def _energy(row: dict[str, Any], mode: str) -> float:
    return row["modes"][mode]["energy_total"]


def _part(row: dict[str, Any], *blocks: str) -> float:
    energy = row["modes"]["held"]["energy"]
    return sum(sum(energy[block].values()) for block in blocks if block in energy)


def _own(row: dict[str, Any]) -> float:
    """Return the energy, weights held, without the registers that all columns share."""
    return _energy(row, "held") - _part(row, "activations")


def table_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the table's cells, one row per circuit."""
    rows = document["circuits"]
    area = _best(rows, lambda row: row["area_total"])
    held = _best(rows, lambda row: _energy(row, "held"))
    changing = _best(rows, lambda row: _energy(row, "changing"))

    def of(value: float, best: float | None) -> str:
        return "" if best is None else f"{value / best:.2f}"

    return [
        [
            row["title"], f"{row['area_total']:,.0f}", of(row["area_total"], area),
            f"{row['critical_ns']:.1f}",
            f"{_energy(row, 'held'):.2f}", of(_energy(row, "held"), held),
            f"{_energy(row, 'changing'):.2f}", of(_energy(row, "changing"), changing),
            f"{_part(row, 'select'):.2f}", f"{_part(row, 'tree', 'logic'):.2f}",
            f"{_part(row, 'accumulators', 'weights', 'activations'):.2f}",
            "" if row["seconds"] is None else f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip


def to_table(document: dict[str, Any]) -> Table:
    """Return the table for the terminal."""
    return rich_table(COLUMNS, table_rows(document))


def verdicts(document: dict[str, Any]) -> list[str]:
    """Return what is reached of the targets, a line each."""
    rows = {row["name"]: row for row in document["circuits"]}
    area = _best(document["circuits"], lambda row: row["area_total"])
    held = _best(document["circuits"], lambda row: _energy(row, "held"))
    lines = []

    def say(row: dict[str, Any], what: str, got: float, target: float) -> None:
        lines.append(f"{row['title']}: {what} {got:.3f}, {wanted(got, target)}.")

    for name, (energy, size) in TARGETS.items():
        if name in rows and area is not None and held is not None:
            if energy is not None:
                part = _energy(rows[name], "held") / held
                say(rows[name], "of the best int8 array's energy", part, energy)
            if size is not None:
                part = rows[name]["area_total"] / area
                say(rows[name], "of the smallest int8 array's area", part, size)
    for name in ("n1", "n1_plain"):
        if name in rows and "int8_plain" in rows:
            part = _own(rows[name]) / _own(rows["int8_plain"])
            say(rows[name], "of the energy of plain `*`", part, PLAIN_TARGET)
    return lines


def plot(document: dict[str, Any]) -> str:
    """Return energies as bars."""
    rows = document["circuits"]
    return paired_bars(
        "Energy per product",
        [row["title"] for row in rows],
        {f"weights {mode}": [_energy(row, mode) for row in rows] for mode in ("held", "changing")},
        "pJ",
    )


def to_markdown(document: dict[str, Any], image: str) -> str:
    """Return the page; ``image`` is the plot's file name."""
    rows = document["circuits"]
    modes = [mode for row in rows for mode in row["modes"].values()]
    plain = next((row for row in rows if _plain(row)), None)
    preface = PREFACE.format(
        library=document["library"], rows=document["rows"], cols=document["cols"],
        mhz=1000 / document["period_ns"], layers=", ".join(document["layers"]),
        command=document["command"],
        rounding=ROUNDED if document["rounded"] else GREEDY,
        picture=document["picture"], beats=document["beats"],
        sums=f"{sum(mode['sums'] for mode in modes):,}",
        annotated=min(mode["annotated"] for mode in modes),
    )  # fmt: skip
    if plain:
        preface += PLAIN.format(cols=plain["cols"], beats=plain["beats"])
    lines = [preface, *markdown_table(COLUMNS, table_rows(document))]
    seconds = [row["seconds"] for row in rows if row["seconds"] is not None]
    kept = "" if len(seconds) == len(rows) else ", of those rows that keep it"
    note = (
        f"*s* is the wall time of measuring a circuit, {sum(seconds) / 60:.0f} minutes in "
        f"all{kept}.\n"
        "*select*, *tree* and *registers and drivers* are parts of *pJ held*"
    )
    apart = "; a plain circuit's lanes and tree cannot be told apart." if plain else "."
    lines += ["", note + apart]
    lines += ["", f"![Energy per product]({image})", ""]
    said = verdicts(document)
    if said:
        lines += ["## What was wanted", "", *(f"- {line}" for line in said), ""]
    if document.get("fpga"):
        lines.append(fpga_markdown(document["fpga"]))
    return "\n".join(lines)


def write(document: dict[str, Any], out_dir: Path, page: Path | None) -> Path:
    """Write arrays.json, and with ``page`` power.md and its plot; return the JSON's path."""
    if page is not None:
        write_atomic(page / "power_arrays.svg", plot(document))
        write_atomic(page / "power.md", to_markdown(document, "power_arrays.svg"))
    write_atomic(out_dir / "arrays.svg", plot(document))
    return write_json(out_dir / "arrays.json", document)
