"""What codes cost a detector: its precision as a table, JSON and a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..model.codec.detector_bench import DetectorBench, DetectorRow
from .codec_report import DETECTOR, bars, other_pages, page_name
from .codec_traffic import Traffic, measure_traffic, write_measured
from .files import write_atomic
from .progress import Bars
from .tables import markdown_table

PREFACE = """\
# Feature maps in fewer bits: nanodet

`{command}` writes this page and measures everything on it.
{others}
mAP@0.5 is the mean over classes of the average precision at half overlap, with detections of
score 0.05 or more, on {scenes} composed scenes with {objects} objects: cut-outs of Tux Paint on
textures of scikit-image, whose boxes are exact. They are easy, few, and not COCO; good for
comparing rows. Float weights, 8-bit stored activations but for the first row.

Coded are the maps of the backbone that are stored: all before the first doubled map, but for the
three that are added to what comes behind. Codes were fitted to {crops} random crops of unlabelled
pictures. `bits` are stored per value of these maps, the same for every picture. What the codes are
is on [SqueezeNet's page](codec.md); how much an error matters is the squared gradient of the log
probability of classes and distances drawn from the detector's own output.
"""


def run_detector(
    console: Console, *, scenes: int, crops: int
) -> tuple[list[DetectorRow], list[Traffic]]:
    """Measure every row, and the traffic of some, and show how far it is."""
    rows: list[DetectorRow] = []
    with bars(console) as progress:
        tell = Bars(progress, lambda what: what)
        bench = DetectorBench(scenes=scenes, crops=crops, tell=tell)
        for row in bench.rows():
            rows.append(row)
            if not console.is_terminal:
                console.print(" | ".join(_cells(row)), soft_wrap=True)
        return rows, measure_traffic(bench.integer, bench.choices(), tell)


def write(
    rows: Sequence[DetectorRow],
    traffic: Sequence[Traffic],
    folder: Path,
    page: Path | None,
    *,
    crops: int,
    command: str,
) -> dict[str, Any]:
    """Write ``codec.json`` and ``codec.md``, and the page; return what is in the first."""
    document, text = write_measured(DETECTOR, rows, traffic, to_markdown(rows), folder)
    if page is not None:
        preface = PREFACE.format(
            others=other_pages(DETECTOR, page), scenes=rows[0].scenes, objects=rows[0].objects,
            crops=crops, command=command,
        )  # fmt: skip
        write_atomic(page / page_name(DETECTOR), "\n".join([preface, text]))
    return document


def to_markdown(rows: Sequence[DetectorRow]) -> str:
    """Return the table."""
    columns = ("code", "bits", "ratio", "mAP@0.5", "tables, kB")
    return "\n".join([*markdown_table(columns, map(_cells, rows)), ""])


def _cells(row: DetectorRow) -> tuple[str, ...]:
    tables = f"{row.table_bytes / 1000:.1f}" if row.table_bytes else ""
    return (row.code, f"{row.bits:.3g}", f"{8 / row.bits:.2f}", f"{row.precision:.3f}", tables)
