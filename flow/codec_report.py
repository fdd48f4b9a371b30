"""What ``codec`` measures as tables, a plot, JSON and a page of the documentation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..model.codec.bench import Bench, Row
from .accuracy_plots import STYLE
from .files import write_atomic, write_json
from .progress import Bars

TITLES = {
    "SQ2": "the squeeze maps of fire2 and fire3",
    "ALL": "every map between two convolutions",
}
PREFACE = """\
# Feature maps in fewer bits

`shiftwork codec {network} --page docs/reference` writes this page and measures everything on it.

{pictures} labelled pictures; float weights, 8-bit stored activations. The reference is the same
network without codes: {top1} right. One picture is {point:.2f} points; `lost` and `won` are the
pictures that were right and are not any more, and the other way round. `agrees` is the share of
pictures with the reference's class, in percent; the divergence is that of the class probabilities
from the reference's, in nats, and tells codes apart best.

Codes were fitted to {crops} random crops of unlabelled pictures, none of them among the labelled
ones; tuning ({steps} steps) was stopped by other such crops. `bits` are stored per value: exact for
a fixed rate, else the mean over the labelled pictures, masks counted. `tables` is what the code's
own thresholds and levels take, in kB.

- truncation: the upper bits. linear, companded: one grid for the whole map, stretched for the
  least squared error.
- table, least squares: for each channel the levels with the least squared error, by dynamic
  programming on histograms.
- table: the same with every error weighted by how much it matters for the output (the squared
  gradient of the log probability of a class drawn from the network's own output).
- pair: two channels share an odd number of bits. joint means: decoded by one table for both.
- tuned: levels, thresholds, biases and channel scales trained end to end against the reference's
  output.
- chosen per map: fixed rates and zero masks, by predicted loss plus a price in nats per stored bit.
- ZVC, zero run-length, EBPC: lossless.
"""


def run_codec(
    name: str, console: Console, *, limit: int | None, crops: int, steps: int
) -> list[Row]:
    """Measure every row and show how far it is."""
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn())
    rows: list[Row] = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        tell = Bars(progress, lambda what: what)
        bench = Bench(name, limit=limit, crops=crops, steps=steps, tell=tell)
        for row in bench.rows():
            rows.append(row)
            if not console.is_terminal:
                console.print(_line(row, rows[0].top1), soft_wrap=True)
    return rows


def write(
    rows: Sequence[Row], network: str, folder: Path, page: Path | None, *, crops: int, steps: int
) -> dict[str, Any]:
    """Write ``codec.json``, ``codec.md`` and the plot; return what is in the first."""
    document = {"network": network, "rows": [asdict(row) for row in rows]}
    write_json(folder / "codec.json", document)
    write_atomic(folder / "codec.md", to_markdown(rows))
    write_atomic(folder / f"codec_{network}.svg", plot(rows))
    if page is not None:
        write_page(rows, network, page, crops=crops, steps=steps)
    return document


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the tables."""
    lines: list[str] = []
    for maps, title in TITLES.items():
        chosen = [row for row in rows if row.maps == maps]
        if not chosen:
            continue
        lines += [
            f"## {maps}: {title}", "",
            "| code | bits | ratio | top-1 | lost | won | top-5 | agrees | divergence | tables |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *(_line(row, chosen[0].top1) for row in chosen), "",
        ]  # fmt: skip
    return "\n".join(lines)


def _line(row: Row, reference: int) -> str:
    drop = 100 * (row.top1 - reference) / row.pictures
    tables = f"{row.table_bytes / 1000:.1f}" if row.table_bytes else ""
    return (
        f"| {row.code} | {row.bits:.3g} | {8 / row.bits:.2f} | {row.top1} ({drop:+.1f}) | "
        f"{row.lost} | {row.won} | {row.top5} | {100 * row.agree / row.pictures:.1f} | "
        f"{row.divergence:.4f} | {tables} |"
    )


def plot(rows: Sequence[Row]) -> str:
    """Return divergence against stored bits as SVG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        for axes, maps in zip(figure.subplots(1, 2, sharey=True), TITLES, strict=True):
            series: dict[str, list[Row]] = {}
            for row in rows:
                if row.maps == maps and row.divergence > 0:
                    series.setdefault(row.code.partition(", price")[0], []).append(row)
            for code, several in series.items():
                several.sort(key=lambda row: row.bits)
                marker = "o-" if "tuned" in code else "x--" if several[0].fixed else "s-"
                axes.plot(
                    [row.bits for row in several], [row.divergence for row in several], marker,
                    label=code,
                )  # fmt: skip
            axes.set_yscale("log")
            axes.set_xlabel("bits per value")
            axes.set_title(f"{maps}: {TITLES[maps]}", loc="left", fontsize=10)
            axes.legend(fontsize=8)
        figure.axes[0].set_ylabel("divergence, nats")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def write_page(rows: Sequence[Row], network: str, folder: Path, *, crops: int, steps: int) -> None:
    """Write ``codec.md``, the page of the documentation, and its plot into a folder."""
    name = f"codec_{network}.svg"
    first = rows[0]
    preface = PREFACE.format(
        network=network, pictures=first.pictures, top1=first.top1, point=100 / first.pictures,
        crops=crops, steps=steps,
    )  # fmt: skip
    write_atomic(folder / name, plot(rows))
    parts = [preface, f"![Divergence against bits per value]({name})", "", to_markdown(rows)]
    write_atomic(folder / "codec.md", "\n".join(parts))
