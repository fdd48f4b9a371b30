"""report.html: one file with tables and plots, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from ..files import write_atomic, write_json
from .data import Report
from .plots import paired_bars, stacked_bars


def _number(value: Any) -> str:
    if value is None:
        return "not run"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(value: float | None) -> str:
    return "not run" if value is None else f"{100 * value:.1f} %"


def utilisation_text(value: float | None) -> str:
    """Return a utilisation; one above 100 % says what that means."""
    return _percent(value) + (" (overlaps)" if value is not None and value > 1 else "")


def summary(report: Report) -> list[tuple[str, str, str]]:
    """Return the figures that matter as (name, value, what it means) rows."""
    rows: list[tuple[str, str, str]] = []
    if report.bit_exact is not None:
        checked = (
            f"{_number(report.layers_checked)} layers ({_number(report.convolutions_checked)} "
            f"convolutions, {_number(report.pools_checked)} pools), "
            f"{_number(report.values_checked)} values"
        )
        rows += [
            ("Bit-exact", _number(report.bit_exact), f"{checked}, in {report.simulator}"),
            ("Mismatches", _number(report.mismatches), "values that differ from the golden model"),
        ]
    if report.label is not None:
        rows.append(("Label", report.label, f"probability {_percent(report.probability)}"))
    if report.cycles is not None:
        rows += [
            ("Cycles", _number(report.cycles), "of the layers run on the engine"),
            ("Ideal cycles", _number(report.ideal_cycles), "every lane busy in every cycle"),
            ("Utilisation", utilisation_text(report.utilisation), "ideal cycles over cycles"),
        ]
    if report.peak_map_bytes is not None:
        rows += [
            ("Program", f"{_number(report.program_bytes)} bytes", "descriptors and weights"),
            (
                "Feature maps", f"{_number(report.peak_map_bytes)} bytes",
                f"shared; {_number(report.unshared_map_bytes)} with memory for each",
            ),
        ]  # fmt: skip
    if report.milliseconds is not None:
        rows.append(("Time", f"{report.milliseconds:.2f} ms", "cycles at Fmax"))
    if report.lut is not None:
        taken = f"; {_number(report.absorbed)} more are in adders" if report.absorbed else ""
        rows += [
            ("LUT", _number(report.lut), f"4-input, {report.target}{taken}"),
            ("FF", _number(report.ff), "flip-flops"),
            ("Block RAM", _number(report.bram), "of 18 kbit"),
            ("DSP", _number(report.dsp), "multiplier blocks"),
            ("Multipliers", _number(report.multipliers), "found by the netlist scan"),
            ("Fmax", f"{_number(report.fmax_mhz)} MHz", "after place and route"),
        ]
    if report.verilog_bytes is not None:
        rows.append(("Verilog", f"{report.verilog_bytes / 1000:,.0f} kB", "one file"))
    return rows


def _plots(report: Report) -> list[tuple[str, str]]:
    """Return (caption, SVG) pairs of what the report has."""
    found: list[tuple[str, str]] = []
    layers = report.layers
    names = [layer.name for layer in layers]
    if layers:
        found.append((
            "Bars of the same length mean that no cycle is lost. Pooling multiplies nothing.",
            paired_bars("Cycles per layer", names, {
                "cycles": [float(layer.cycles) for layer in layers],
                "ideal": [float(layer.ideal_cycles) for layer in layers],
            }, "clock cycles"),
        ))  # fmt: skip
        busy = [layer for layer in layers if layer.ideal_cycles]
        meaning = (
            "A layer whose channels do not fill the rows, or the columns, cannot reach 100; one "
            "that began before the layer before it was stored may exceed it."
        )
        if busy:
            found.append((
                meaning,
                paired_bars("Utilisation", [layer.name for layer in busy], {
                    "utilisation": [100 * layer.utilisation for layer in busy],
                }, "ideal cycles over cycles, %"),
            ))  # fmt: skip
        causes = list(dict.fromkeys(cause for layer in layers for cause in layer.stalls))
        if causes:
            found.append((
                "Cycles in which no beat was computed, by what they waited for.",
                stacked_bars("Stalls", names, {
                    cause: [100 * layer.stalls.get(cause, 0) / max(layer.cycles, 1)
                            for layer in layers] for cause in causes
                }, "% of the layer's cycles"),
            ))  # fmt: skip
    if report.blocks:
        blocks = dict(list(report.blocks.items())[:14])
        found.append((
            "The largest blocks. A name ending in * stands for all blocks of that name.",
            paired_bars("Area by block", list(blocks), {
                "LUT": [float(area["lut"]) for area in blocks.values()],
                "FF": [float(area["ff"]) for area in blocks.values()],
            }, "cells"),
        ))  # fmt: skip
    return found


@dataclass(frozen=True)
class TableData:
    """A table of texts; the first column is a name.

    Attributes
    ----------
    title : str
        Heading above it, "" for none.
    columns : sequence of str
    rows : sequence of sequence of str
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of the page that other measurements bring.

    Attributes
    ----------
    title, note : str
        Heading, and what is to be known about it.
    plots : sequence of (str, str)
        Captions and SVGs.
    tables : sequence of TableData
    """

    title: str
    note: str
    plots: Sequence[tuple[str, str]] = ()
    tables: Sequence[TableData] = field(default_factory=tuple)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["percent"] = _percent
    environment.filters["utilisation"] = utilisation_text
    return environment


def render(report: Report, sections: Sequence[Section] = ()) -> str:
    """Return report.html of a report, with what other measurements bring."""
    causes = list(dict.fromkeys(cause for layer in report.layers for cause in layer.stalls))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report, summary=summary(report), plots=_plots(report), causes=causes,
            sections=sections,
        )
    )  # fmt: skip


def render_comparison(title: str, note: str, tables: Sequence[TableData]) -> str:
    """Return compare.html: the tables of what differs."""
    template = _environment().get_template("compare.html.j2")
    return template.render(title=title, note=note, tables=tables)


def write_report(
    report: Report, out_dir: Path, sections: Sequence[Section] = ()
) -> tuple[Path, Path]:
    """Write report.json and report.html, each whole or not at all.

    Parameters
    ----------
    report : Report
        The figures.
    out_dir : Path
        Folder, made if missing.
    sections : sequence of Section
        What else the page shows.

    Returns
    -------
    tuple of Path
        The two files.
    """
    page = render(report, sections)
    return (
        write_json(Path(out_dir) / "report.json", report.to_dict()),
        write_atomic(Path(out_dir) / "report.html", page),
    )
