"""What ``accuracy`` measures as tables, plots, JSON and a page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from ..model.accuracy import (
    CROPS,
    JUDGES,
    NETWORKS,
    NOTE,
    Result,
    evaluate,
)
from ..model.variants import VARIANTS, Variant
from .accuracy_plots import curve_plot, range_plot, sensitivity_plot
from .files import write_atomic, write_json
from .progress import Bars

COLUMNS = (
    "top-1", "top-5", "agrees with float", "of what 8-bit activations alone give", "divergence",
    "bits per weight", "non-zero terms per weight", "zero terms", "kB", "s",
)  # fmt: skip
PREFACE = """\
# Accuracy

`{command}` writes this page and measures everything on it.

{pictures} labelled pictures. {note} One picture is {point:.1f} points; the sampling error of one
row is about 6 points, of the difference between two rows less. The numbers are percent, but for the
divergence (mean Kullback-Leibler divergence of the class probabilities from float's, in nats).

Roundings other than greedy looked at {crops} random crops of unlabelled pictures, none of them
among the labelled ones. No labels, no training. `kB` is the folder that `convert` writes, class
names included; for float, 4 bytes per weight. `s` is the wall time of rounding. int8 and int4 are
the baselines: an integer a weight, a scale per channel, the nearest one or compensated likewise.
"""


def choose_variants(bits: int = 4, methods: Sequence[str] | None = None) -> list[Variant]:
    """Return the variants of the table: those of some methods, at another B where it is not 4.

    Raises
    ------
    ValueError
        If no variant has one of the methods.
    """
    known = sorted({variant.method for variant in VARIANTS})
    for method in methods or []:
        if method not in known:
            raise ValueError(f"--method must be one of {', '.join(known)}, not {method!r}")
    found = [v for v in VARIANTS if not methods or v.method in methods]
    if bits != 4:
        shifts = [v for v in found if v.bits == 4 and not v.integer]
        found = [Variant(v.method, v.terms, bits, v.scale) for v in shifts]
    return found


def run_accuracy(
    names: Sequence[str],
    variants: Sequence[Variant],
    console: Console,
    *,
    limit: int | None = None,
    crops: int = CROPS,
    judges: int = JUDGES,
) -> list[Result]:
    """Evaluate networks and show how far it is."""
    columns = (TextColumn("{task.description:56}"), BarColumn(), MofNCompleteColumn())
    results = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for name in names:
            tell = Bars(progress, lambda what, name=name: f"{name} {what}")
            results.append(
                evaluate(name, variants, limit=limit, crops=crops, judges=judges, progress=tell)
            )
    return results


def write(
    results: Sequence[Result], folder: Path, page: Path | None, command: str
) -> dict[str, Any]:
    """Write ``accuracy.json``, ``accuracy.md`` (the first network, short) and the plots.

    ``page`` is a folder for the page, which tells the command. Networks in an ``accuracy.json``
    that is there already and not among the results stay, where they were measured with the same
    options and sources.

    Returns
    -------
    dict
        What is in ``accuracy.json``; its ``rows`` are the first network's.
    """
    results = _with_earlier(results, folder / "accuracy.json")
    first = results[0]
    document = {
        "network": first.network,
        "note": NOTE,
        "rows": [asdict(row) for row in first.rows],
        "networks": [result.to_dict() for result in results],
    }
    write_json(folder / "accuracy.json", document)
    write_atomic(folder / "accuracy.md", short_markdown(first))
    write_atomic(folder / "accuracy_full.md", to_markdown(results))
    for result in results:
        stem = folder / result.network
        write_atomic(Path(f"{stem}_calibration.svg"), range_plot(result))
        if result.sensitivities:
            write_atomic(Path(f"{stem}_sensitivity.svg"), sensitivity_plot(result))
            write_atomic(Path(f"{stem}_curve.svg"), curve_plot(result))
    if page is not None:
        write_page(results, page, command)
    return document


def _with_earlier(results: Sequence[Result], path: Path) -> list[Result]:
    """Return the results, and those of other networks in a file, in the order of NETWORKS."""
    found = {result.network: result for result in results}
    options = results[0].options
    if path.exists():
        try:
            for data in json.loads(path.read_text(encoding="utf-8")).get("networks", []):
                if data["network"] not in found and data.get("options") == options:
                    found[data["network"]] = Result.from_dict(data)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"{path} is no accuracy.json: remove it") from None
    return [found[name] for name in NETWORKS if name in found]


def short_markdown(result: Result) -> str:
    """Return the table that README shows."""
    lines = [
        f"| {result.title} | top-1 | top-5 | agrees with float | bits per weight |",
        "|---|---|---|---|---|",
    ]
    for row in result.rows:
        cells = [f"{n} ({row.percent(n):.1f} %)" for n in (row.top1, row.top5, row.agree)]
        lines.append(f"| {row.variant} | {' | '.join(cells)} | {row.bits_per_weight:.3g} |")
    return "\n".join([*lines, "", f"{result.rows[0].pictures} labelled pictures. {NOTE}", ""])


def to_markdown(results: Sequence[Result]) -> str:
    """Return the full tables."""
    return "\n".join(part for result in results for part in _table(result))


def _table(result: Result) -> list[str]:
    reference, activations = result.rows[0], result.rows[1]
    lines = [
        f"| {' | '.join((result.title, *COLUMNS))} |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result.rows:
        drop = row.percent(row.top1 - reference.top1)
        lines.append(
            f"| {row.variant} | {row.percent(row.top1):.1f} ({drop:+.1f}) | "
            f"{row.percent(row.top5):.1f} | {row.percent(row.agree):.1f} | "
            f"{100 * row.agree / activations.agree:.1f} | {row.divergence:.3f} | "
            f"{row.bits_per_weight:.3g} | {_number(row.mean_terms)} | "
            f"{_number(None if row.zero_terms is None else 100 * row.zero_terms, 1)} | "
            f"{row.bytes / 1000:.0f} | {row.seconds:.0f} |"
        )
    return [*lines, ""]


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def write_page(results: Sequence[Result], folder: Path, command: str) -> None:
    """Write ``accuracy.md``, the page of the documentation, and its plots into a folder."""
    total = results[0].rows[0].pictures
    preface = PREFACE.format(
        command=command, pictures=total, note=NOTE, point=100 / total, crops=results[0].crops
    )  # fmt: skip
    lines = [preface, *(part for result in results for part in _table(result))]
    for result in results:
        lines += _section(result, folder)
    write_atomic(folder / "accuracy.md", "\n".join(lines))


def _section(result: Result, folder: Path) -> list[str]:
    lines = [f"## {result.title}: calibration", ""]
    for kind, draw, wanted in (
        ("calibration", range_plot, True),
        ("sensitivity", sensitivity_plot, bool(result.sensitivities)),
        ("curve", curve_plot, bool(result.sensitivities)),
    ):
        if wanted:
            name = f"accuracy_{result.network}_{kind}.svg"
            write_atomic(folder / name, draw(result))
            lines += [f"![{result.title}: {kind}]({name})", ""]
    lines += ["| tensor | range | grid | clipped % | SQNR dB |", "|---|---|---|---|---|"]
    for seen in result.calibration.ranges:
        lines.append(
            f"| {seen.name} | {seen.low:.4g} .. {seen.high:.4g} | {seen.grid_low:.4g} .. "
            f"{seen.grid_high:.4g} | {100 * seen.clipped:.3f} | {seen.sqnr:.1f} |"
        )
    return [*lines, ""]
