"""Plots as inline SVG, readable without colour and on light and dark pages alike."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_INK = "#010203"  # stands for the page's text colour; replaced in the SVG
_FILLS = ("#4477aa", "#ccbb44", "#ee6677", "#66ccee", "#aa3377", "#bbbbbb", "#228833")
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "++", "oo")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shiftwork",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
}


def _svg(draw: Callable[[Axes], None], bars: int, title: str) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.3 * max(bars, 2)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontsize=11)
        draw(axes)
        axes.invert_yaxis()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"',
                  lambda m: m[1] or m[2], text, count=1)  # fmt: skip
    # Names in one page must differ from plot to plot.
    prefix = re.sub(r"\W", "", title)[:60]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    label = f' role="img" aria-label="{title}"'
    return text.replace("<svg", f"<svg{label}", 1)


def paired_bars(
    title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str
) -> str:
    """Return horizontal bars, one per series beside one another for each name.

    Parameters
    ----------
    title : str
        Heading.
    names : sequence of str
        Rows, from the top.
    series : mapping of str to sequence of float
        Values by legend entry, one per row.
    unit : str
        Label of the value axis.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    height = 0.8 / len(series)

    def draw(axes: Axes) -> None:
        for i, (label, values) in enumerate(series.items()):
            at = [row + (i - (len(series) - 1) / 2) * height for row in range(len(names))]
            bars = axes.barh(at, values, height, color=_FILLS[i], hatch=_HATCHES[i],
                             edgecolor=_INK, linewidth=0.5, label=label)  # fmt: skip
            texts = [f"{value:,.0f}" if value >= 10 else f"{value:.3g}" for value in values]
            axes.bar_label(bars, texts, padding=3, fontsize=8)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(unit)
        axes.margins(x=0.12)
        if len(series) > 1:
            axes.legend(loc="best")

    return _svg(draw, len(names) * (2 if len(series) > 1 else 1), title)


def stacked_bars(
    title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str
) -> str:
    """Return horizontal bars, the series of a name one after another; as `paired_bars`."""

    def draw(axes: Axes) -> None:
        left = [0.0] * len(names)
        for i, (label, values) in enumerate(series.items()):
            axes.barh(range(len(names)), values, 0.7, left, color=_FILLS[i], hatch=_HATCHES[i],
                      edgecolor=_INK, linewidth=0.5, label=label)  # fmt: skip
            left = [a + b for a, b in zip(left, values, strict=True)]
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(unit)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return _svg(draw, len(names), title)


def scatter(title: str, points: Mapping[str, tuple[float, float]], across: str, up: str) -> str:
    """Return named points, as `paired_bars`.

    Parameters
    ----------
    title : str
        Heading.
    points : mapping of str to (float, float)
        Where each lies, across and up.
    across, up : str
        Labels of the axes.
    """

    def draw(axes: Axes) -> None:
        for i, (name, (x, y)) in enumerate(points.items()):
            axes.plot(x, y, "o", color=_FILLS[i % len(_FILLS)], markeredgecolor=_INK)
            below = i % 2  # so that names of neighbours do not lie on each other
            axes.annotate(name, (x, y), xytext=(0, -14 if below else 8), ha="center", fontsize=8,
                          textcoords="offset points")  # fmt: skip
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.margins(0.12, 0.25)
        axes.invert_yaxis()  # `_svg` turns it again

    return _svg(draw, 10, title)
