"""Plots of an accuracy measurement, as SVG files."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..model.accuracy import Result
from .report.plots import paired_bars

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shiftwork",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def range_plot(result: Result) -> str:
    """Return the noise of every tensor's grid as bars."""
    seen = [row for row in result.calibration.ranges if math.isfinite(row.sqnr)]
    return paired_bars(
        f"{result.title}: signal to quantisation noise of the 8-bit activations",
        [row.name for row in seen],
        {"SQNR": [row.sqnr for row in seen]},
        "dB",
    )


def sensitivity_plot(result: Result) -> str:
    """Return every layer's sensitivity as bars."""
    rows = result.sensitivities
    return paired_bars(
        f"{result.title}: one layer with one term per weight, the others with two",
        [row.name for row in rows],
        {"divergence": [1000 * row.divergence for row in rows]},
        "divergence of the class probabilities, 0.001 nats",
    )


def curve_plot(result: Result) -> str:
    """Return divergence against mean terms: what the sensitivities predict, and measurements."""
    measured = []
    for row in result.rows:
        mean = _mean_terms(result, row.variant)
        if mean is not None:
            measured.append((mean, row))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(
            [mix.mean_terms for mix in result.curve],
            [mix.predicted for mix in result.curve],
            "k--", label="predicted: sum of the layers' sensitivities, against N=2",
        )  # fmt: skip
        axes.plot(
            [mean for mean, _ in measured], [row.divergence for _, row in measured], "o-",
            color="#4477aa", label="measured on the labelled pictures, against float",
        )  # fmt: skip
        for mean, row in measured:
            text = f"agrees {row.percent(row.agree):.1f} %"
            axes.annotate(text, (mean, row.divergence), (6, 6), textcoords="offset points")
        axes.set_xlabel("mean terms per weight (N)")
        axes.set_ylabel("divergence, nats")
        axes.set_title(f"{result.title}: accuracy against cost", loc="left", fontsize=11)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.12)
        axes.legend()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _mean_terms(result: Result, variant: str) -> float | None:
    """Return N of the variants that lie on the curve: rounded as the mixed ones are."""
    if variant in result.mixes:
        return result.mixes[variant].mean_terms
    ends = {name.partition(", ")[2]: name for name in result.mixes}
    for n in (1, 2):
        if variant in {f"N={n}, {rest}" for rest in ends}:
            return float(n)
    return None
