"""What ``codec --bytes`` measures: codes by the bytes that cross memory, their tables counted."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from ..hw.config import preset
from ..model.codec.bench import HELD, Bench, Row
from ..model.codec.by_bytes import EVERY, MIXED, PLAIN, SUBSET, ByBytes, ByteRow
from ..model.codec.learned_rows import PICTURES
from ..model.codec.plan import PLANS
from .accuracy_plots import STYLE
from .codec_report import TITLES, bars, page_name
from .codec_traffic import PRESET
from .files import write_atomic, write_json
from .progress import Bars
from .tables import markdown_table

TABLE = "table"  # what other codes are compared with
PREFACE = """\
# Codes by the bytes they move: {network}

`shiftwork codec {network} --bytes {every} --page docs/reference` and the same with `--bytes
{subset}` measure a half of this page each, and write it when both are there; codes at equal bits
per value, and tuned: [the network's page]({page}).

More tables lose less at as many bits, but tables cross memory as maps do. So codes are compared
here by all bytes that are written and read for some maps per picture, as the network of N = 2,
B = 4 is compiled for `{preset}`: maps are written once and read as often as bands and layers read
them, what is read for max pooling and what that gives included; tables are loaded once for what
writes a map and once for what reads it, in the form that circuits hold them in. With the preset's
room for tables none was loaded twice; more tables for each channel are taken to have as much more
room. What the global average reads and gives stays as it is, and is not counted.

{pictures} labelled pictures, {top1} right without codes; the divergence is that of the class
probabilities from those without codes, in nats. Codes were fitted to {crops} random crops of
unlabelled pictures, switched ones to {neighbours} of them; nothing is tuned.

![Divergence against bytes per picture](codec_bytes_{network}.svg)
"""
CHOSEN = """\
## {maps}: {title}

For each map one code, fixed when a program is compiled, so that the sum of what each loses alone,
measured on {measured} held-out crops, is least for at most so many bytes: those of so many bits for
every value that crosses, tables counted. *{plain}*: 2 to 6 bits. *{mixed}*:
also 2 or 4 tables per channel of 2 to 5 bits, switched by the left neighbour. These do not commute
with maxima. A map that is pooled is then switched in front of the pooling, and what that gives is
stored in a plain table of 1 or 2 bits more, which keeps all levels there are. Switched tables are
left out where a plain table of one bit more takes fewer bytes. Divergence on the labelled pictures,
and on {judges} other held-out crops; *less by*: the mean of the differences picture by picture,
with its standard error.
"""
EACH = """\
## {maps}: {title}

Each code alone, on both maps; others, which untuned lose more, are on the network's page. *table
there*: the divergence of plain tables fitted alike at as many bytes, on straight lines between the
logarithms of theirs.
"""


def run_bytes(
    name: str, maps: str, console: Console, *, limit: int | None, crops: int
) -> list[ByteRow]:
    """Measure what is chosen per map of all, or each code of the subset; show how far it is.

    Raises
    ------
    ValueError
        If the network has no switched tables to compare, or ``maps`` is another set.
    """
    if name not in PLANS or not PLANS[name].ranges:
        known = ", ".join(n for n, plan in PLANS.items() if plan.ranges)
        raise ValueError(f"codec --bytes knows {known}, not {name!r}")
    if maps not in (EVERY, SUBSET):
        raise ValueError(f"--bytes must be {EVERY} or {SUBSET}, not {maps!r}")
    with bars(console) as progress:
        tell = Bars(progress, lambda what: what)
        by = ByBytes(
            Bench(name, limit=limit, crops=crops, steps=0, tell=tell), preset(PRESET)
        )  # fmt: skip
        found: list[ByteRow] = []
        for row in by.chosen_rows() if maps == EVERY else by.subset_rows():
            found.append(row)
            if not console.is_terminal:
                console.print(
                    f"{maps} {row.row.code} {row.row.bits:.3g}: {row.total:,} bytes, "
                    f"{row.row.divergence:.4f}", soft_wrap=True,
                )  # fmt: skip
        return found


def write(
    rows: Sequence[ByteRow], network: str, folder: Path, page: Path | None, *, crops: int
) -> dict[str, Any]:
    """Write one set's ``codec_bytes_MAPS.json``; where the other's is there, the page, too.

    Raises
    ------
    ValueError
        If the other set was measured on other pictures, or its file is damaged.
    """
    first = rows[0].row
    document = _document(rows, network, crops)
    write_json(folder / file_name(first.maps), document)
    other = folder / file_name(SUBSET if first.maps == EVERY else EVERY)
    if page is None or not other.exists():
        return document
    try:
        known = json.loads(other.read_text("utf-8"))
        others = [ByteRow(**{**row, "row": Row(**row["row"])}) for row in known["rows"]]
        same = all(known[key] == document[key] for key in ("network", "crops", "pictures"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{other}: not what codec --bytes wrote: delete it") from error
    if not same:
        raise ValueError(f"{other}: measured on other pictures or crops: delete it or run it anew")
    chosen, each = (rows, others) if first.maps == EVERY else (others, rows)
    write_page(chosen, each, network, page, crops=crops)
    return document


def file_name(maps: str) -> str:
    """Return the name of the file of one set of maps."""
    return f"codec_bytes_{maps}.json"


def _document(rows: Sequence[ByteRow], network: str, crops: int) -> dict[str, Any]:
    return {
        "network": network, "crops": crops, "pictures": rows[0].row.pictures,
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip


def write_page(
    chosen: Sequence[ByteRow], each: Sequence[ByteRow], network: str, page: Path, *, crops: int
) -> None:
    """Write the page of the documentation, and its plot, into a folder."""
    first = next(row.row for row in each if row.row.code == "raw")
    measured = PLANS[network].measured
    preface = PREFACE.format(
        network=network, page=page_name(network), preset=PRESET, pictures=first.pictures,
        top1=first.top1, crops=crops, neighbours=min(crops, PICTURES), every=EVERY, subset=SUBSET,
    )  # fmt: skip
    explained = CHOSEN.format(
        maps=EVERY, title=TITLES[EVERY], measured=measured, plain=PLAIN, mixed=MIXED,
        judges=HELD - measured,
    )  # fmt: skip
    parts = [
        preface, explained, *chosen_lines(chosen), "",
        EACH.format(maps=SUBSET, title=TITLES[SUBSET]), *each_lines(each), "",
    ]  # fmt: skip
    write_atomic(page / f"codec_bytes_{network}.svg", plot(chosen, each))
    write_atomic(page / "codec-bytes.md", "\n".join(parts))


def to_markdown(rows: Sequence[ByteRow]) -> str:
    """Return one set's table."""
    maps = rows[0].row.maps
    lines = chosen_lines(rows) if maps == EVERY else each_lines(rows)
    return "\n".join([f"## {maps}: {TITLES[maps]}", "", *lines, ""])


def chosen_lines(rows: Sequence[ByteRow]) -> list[str]:
    """Return the table of what is chosen per map, and which maps are switched."""
    columns = ("bits", "chosen among", "maps, kB", "tables, kB", "right", "lost", "won",
               "agrees, %", "divergence", "less by", "on crops", "less by")  # fmt: skip
    cells, lines = [], []
    for row in rows:
        found = row.row
        cells.append((
            f"{row.wanted:g}", found.code, _kilo(row.map_bytes), _kilo(row.table_bytes),
            str(found.top1), str(found.lost), str(found.won), _share(found.agree, found.pictures),
            f"{found.divergence:.4f}", _less(row.gain, row.error, found.divergence),
            f"{row.held or 0:.4f}", _less(row.held_gain, row.held_error, row.held or 0),
        ))  # fmt: skip
        if row.gain is not None:
            maps = [f"`{name}` {many} tables of {k} bits"
                    for name, (many, k) in (row.switched or {}).items()]  # fmt: skip
            lines.append(f"- {row.wanted:g} bits: {', '.join(maps) or 'none'}")
    return [*markdown_table(columns, cells), "", "Maps in switched tables:", "", *lines]


def each_lines(rows: Sequence[ByteRow]) -> list[str]:
    """Return the table of single codes, most bytes first."""
    columns = ("code", "bits", "maps, kB", "tables, kB", "all, kB", "right", "agrees, %",
               "divergence", "table there")  # fmt: skip
    plain = sorted((r for r in rows if r.row.code == TABLE), key=lambda row: row.total)
    cells = [
        (
            row.row.code, f"{row.row.bits:.3g}", _kilo(row.map_bytes), _kilo(row.table_bytes),
            _kilo(row.total), str(row.row.top1), _share(row.row.agree, row.row.pictures),
            f"{row.row.divergence:.4f}", _there(row, plain),
        )
        for row in sorted(rows, key=lambda row: -row.total)
    ]  # fmt: skip
    return markdown_table(columns, cells)


def _there(row: ByteRow, plain: Sequence[ByteRow]) -> str:
    """Return what a plain table of as many bytes loses; nothing beyond those measured."""
    if not plain or not plain[0].total <= row.total <= plain[-1].total:
        return ""
    logs = [math.log(other.row.divergence) for other in plain]
    return f"{math.exp(np.interp(row.total, [other.total for other in plain], logs)):.4f}"


def _less(gain: float | None, error: float | None, left: float) -> str:
    if gain is None:
        return ""
    return f"{gain:.4f} ± {error or 0:.4f} ({gain / (gain + left):.0%})"


def _kilo(count: int) -> str:
    return f"{count / 1000:,.1f}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}"


def plot(chosen: Sequence[ByteRow], each: Sequence[ByteRow]) -> str:
    """Return divergence against bytes per picture as SVG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, rows in ((left, each), (right, chosen)):
            series: dict[str, list[ByteRow]] = {}
            for row in rows:
                if row.row.divergence > 0:
                    series.setdefault(row.row.code, []).append(row)
            for code, several in series.items():
                several.sort(key=lambda row: row.total)
                kilo = [row.total / 1000 for row in several]
                marker = "o-" if code == PLAIN or "neighbour" in code else "x--"
                marker = "s-" if code == MIXED else marker
                axes.plot(kilo, [row.row.divergence for row in several], marker, label=code)
            maps = rows[0].row.maps
            axes.set_yscale("log")
            axes.set_xlabel("kB moved per picture, tables included")
            axes.set_title(f"{maps}: {TITLES[maps]}", loc="left", fontsize=10)
            axes.legend(fontsize=8)
        left.set_ylabel("divergence, nats")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
