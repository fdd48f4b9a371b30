"""The command ``accuracy``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Bits, Json, Out, ran, writable

out = Console(highlight=False)
log = Console(stderr=True)


def accuracy(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Networks; all by default.")] = None,
    bits: Bits = 4,
    limit: Annotated[int | None, typer.Option(help="Use only so many labelled pictures.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Only variants of this rounding method; repeatable.")
    ] = None,
    crops: Annotated[int, typer.Option(help="Unlabelled crops to round with.")] = 256,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for accuracy.md, the page, with its plots.", callback=writable),
    ] = None,
    out_dir: Out = Path("build/accuracy"),
    as_json: Json = False,
) -> None:
    """Accuracy, agreement with float, size and sensitivity, for many ways to round a network.

    Example: shiftwork accuracy squeezenet1_1 --method greedy --limit 40
    """
    from ..model.accuracy import BATCH, NETWORKS
    from ..model.codebook import Codebook
    from .accuracy_report import choose_variants, run_accuracy, to_markdown, write

    Codebook(1, bits)
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be at least 1, not {limit}")
    if crops < BATCH:
        raise ValueError(f"--crops must be at least {BATCH}, not {crops}")
    chosen = list(dict.fromkeys(names or NETWORKS))
    for name in chosen:
        if name not in NETWORKS:
            raise ValueError(f"accuracy knows {', '.join(NETWORKS)}, not {name!r}")
    results = run_accuracy(chosen, choose_variants(bits, method), log, limit=limit, crops=crops)
    document = write(results, out_dir, page, ran(context, default="make accuracy"))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        out.print(to_markdown(results), markup=False, soft_wrap=True)
        out.print(str(out_dir / "accuracy.json"), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(accuracy)
