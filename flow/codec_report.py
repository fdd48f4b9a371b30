"""What ``codec`` measures as tables, a plot, JSON and a page of the documentation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..model.codec.bench import HELD, Bench, Row
from ..model.codec.learned_rows import PICTURES
from ..model.codec.plan import NETWORKS, PLANS
from .accuracy_plots import STYLE
from .codec_traffic import Traffic, measure_traffic, write_measured
from .files import write_atomic
from .progress import Bars

TITLES = {
    "SQ2": "the squeeze maps of fire2 and fire3",
    "ALL": "every map between two convolutions",
}
DETECTOR = "nanodet"
PAGES = {"squeezenet1_1": "codec.md"}  # and codec-NETWORK.md for others
PAIRS = """\
- pair: two channels share an odd number of bits. joint means: decoded by one table for both.
"""
NEIGHBOURS = """\
- table, 4 by left neighbour: four tables per channel; into which of four ranges what is read back
  of the left neighbour falls says which one. Fitted to {neighbours} of the crops, weighted as
  tables are.
- difference to left neighbour: one table of the difference to what is read back of it.
"""
PLANES = """\
- planes, ternary, int8: one layer of thresholded sums of a channel's 8 planes there and one back,
  weights -1..1 or -127..127, the weighted error brought down by coordinate descent over
  functions. Two layers: the measured table as int8 sums, which compute the same. 3x3 stride 2:
  8 planes of the upper left one of 2 x 2 pixels, ternary weights over all channels.
  `tables` are weights, of 2 or 8 bits, and thresholds of 16.
"""
TUNED = """\
- tuned: levels, biases and channel scales trained end to end against the reference's output for
  {steps} steps; where two maps alone are coded thresholds too, and faster. It begins with measured
  tables; the state with the least divergence on {held} held-out crops stays, 0 steps being untuned.
  Of planes and of what goes by the neighbour the code stays, and the network is tuned around it.
"""
MASKS = """\
- chosen per map, masks: a mask of zeros before the codes that are not 0 is one of the options; the
  mean that the price is found by, at most {masked} bits, is that of the unlabelled crops.
"""
PREFACE = """\
# Feature maps in fewer bits: {network}

`{command}` writes this page and measures everything on it.
{others}
{pictures} labelled pictures; float weights, 8-bit stored activations. The reference is the same
network without codes: {top1} right. One picture is {point:.2f} points; `lost` and `won` are the
pictures that were right and are not any more, and the other way round. `agrees` is the share of
pictures with the reference's class, in percent; the divergence is that of the class probabilities
from the reference's, in nats, and tells codes apart best.

Codes were fitted to {crops} random crops of unlabelled pictures, none of them among the labelled
ones; others are held out. What the global average reads and gives stays raw. `bits` are stored per
value: exact for a fixed rate, else the mean over the labelled pictures, masks counted. `tables` is
what the code's own thresholds and levels take, in kB.

- truncation: the upper bits. linear, companded: one grid for the whole map, stretched for the
  least squared error.
- table, least squares: for each channel the levels with the least squared error, by dynamic
  programming on histograms.
- table: the same with every error weighted by how much it matters for the output (the squared
  gradient of the log probability of a class drawn from the network's own output).
- table, plain means: the intervals of those, with the mean of what each holds as its level.
- table, measured: of these three the one that costs least where that map alone is coded, measured
  on {measured} held-out crops; behind the coded map nothing is rounded.
{more}- chosen per map: a table and a rate for each map, fixed when a program is compiled,
  by that loss plus a price in nats per stored bit: the lowest at which the mean is at most
  {fixed} bits.
{masks}- ZVC, zero run-length, EBPC: lossless.
"""


def run_codec(
    name: str, console: Console, *, limit: int | None, crops: int, steps: int
) -> tuple[list[Row], list[Traffic]]:
    """Measure every row, and the traffic of some, and show how far it is."""
    rows: list[Row] = []
    with bars(console) as progress:
        tell = Bars(progress, lambda what: what)
        bench = Bench(name, limit=limit, crops=crops, steps=steps, tell=tell)
        for row in bench.rows():
            rows.append(row)
            if not console.is_terminal:
                console.print(_line(row, rows[0].top1), soft_wrap=True)
        return rows, measure_traffic(bench.integer, bench.choices(), tell)


def bars(console: Console) -> Progress:
    """Return the display of a run."""
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console)


def write(
    rows: Sequence[Row],
    traffic: Sequence[Traffic],
    network: str,
    folder: Path,
    page: Path | None,
    *,
    crops: int,
    steps: int,
    command: str,
) -> dict[str, Any]:
    """Write ``codec.json``, ``codec.md`` and the plot; return what is in the first."""
    document, text = write_measured(network, rows, traffic, to_markdown(rows), folder)
    write_atomic(folder / f"codec_{network}.svg", plot(rows))
    if page is not None:
        write_page(rows, text, network, page, crops=crops, steps=steps, command=command)
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
    code = row.code if row.step is None else f"{row.code}, {row.step} steps"
    return (
        f"| {code} | {row.bits:.3g} | {8 / row.bits:.2f} | {row.top1} ({drop:+.1f}) | "
        f"{row.lost} | {row.won} | {row.top5} | {100 * row.agree / row.pictures:.1f} | "
        f"{row.divergence:.4f} | {tables} |"
    )


def plot(rows: Sequence[Row]) -> str:
    """Return divergence against stored bits as SVG."""
    sets = [maps for maps in TITLES if any(row.maps == maps for row in rows)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5 + 2.5 * len(sets), 4.5), layout="constrained")
        several_axes = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
        for axes, maps in zip(several_axes, sets, strict=True):
            series: dict[str, list[Row]] = {}
            for row in rows:
                if row.maps == maps and row.divergence > 0:
                    series.setdefault(row.code, []).append(row)
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


def page_name(network: str) -> str:
    """Return the name of a network's page."""
    return PAGES.get(network, f"codec-{network}.md")


def other_pages(network: str, folder: Path) -> str:
    """Return a line with links to the other networks' pages, those that are there."""
    others = [name for name in (*NETWORKS, DETECTOR) if name != network]
    links = [f"[{n}]({page_name(n)})" for n in others if (folder / page_name(n)).exists()]
    return f"Of other networks: {', '.join(links)}.\n" if links else ""


def write_page(
    rows: Sequence[Row], text: str, network: str, folder: Path, *, crops: int, steps: int,
    command: str,
) -> None:  # fmt: skip
    """Write a network's page of the documentation, ``text`` on it, and its plot into a folder."""
    name = f"codec_{network}.svg"
    first, plan = rows[0], PLANS[network]
    masks = MASKS.format(masked=_listed(plan.masked)) if plan.masked else ""
    pairs = PAIRS if any(row.code == "pair" for row in rows) else ""
    neighbours = NEIGHBOURS.format(neighbours=PICTURES) if plan.ranges else ""
    planes = PLANES if plan.planes else ""
    several = any(row.step is not None for row in rows)
    tuned = TUNED.format(steps=steps, held=HELD) if several else ""
    preface = PREFACE.format(
        command=command, network=network, pictures=first.pictures, top1=first.top1,
        point=100 / first.pictures, crops=crops, fixed=_listed(plan.fixed), masks=masks,
        measured=plan.measured,
        more=pairs + neighbours + planes + tuned, others=other_pages(network, folder),
    )  # fmt: skip
    write_atomic(folder / name, plot(rows))
    parts = [preface, f"![Divergence against bits per value]({name})", "", text]
    write_atomic(folder / page_name(network), "\n".join(parts))


def _listed(numbers: Sequence[float]) -> str:
    """Return "5, 4 or 3" of numbers."""
    *most, last = [f"{number:g}" for number in numbers]
    return f"{', '.join(most)} or {last}" if most else last
