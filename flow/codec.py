"""The command ``codec``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, writable

out = Console(highlight=False)
log = Console(stderr=True)


def codec(
    name: Annotated[str, typer.Argument(help="Network.")] = "squeezenet1_1",
    limit: Annotated[int | None, typer.Option(help="Use only so many labelled pictures.")] = None,
    crops: Annotated[int, typer.Option(help="Unlabelled crops to fit codes to.")] = 240,
    steps: Annotated[int, typer.Option(help="Of tuning end to end; 0 tunes nothing.")] = 40,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for codec.md, the page, with its plot.", callback=writable),
    ] = None,
    out_dir: Out = Path("build/codec_accuracy"),
    as_json: Json = False,
) -> None:
    """Accuracy against stored bits of every code for feature maps.

    Example: shiftwork codec squeezenet1_1 --limit 40 --steps 0
    """
    from ..model.codec.bench import BATCH, NETWORKS
    from .codec_report import run_codec, to_markdown, write

    if name not in NETWORKS:
        raise ValueError(f"codec knows {', '.join(NETWORKS)}, not {name!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be at least 1, not {limit}")
    if crops < BATCH:
        raise ValueError(f"--crops must be at least {BATCH}, not {crops}")
    if steps < 0:
        raise ValueError(f"--steps must not be negative, not {steps}")
    rows = run_codec(name, log, limit=limit, crops=crops, steps=steps)
    document = write(rows, name, out_dir, page, crops=crops, steps=steps)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        out.print(to_markdown(rows), markup=False, soft_wrap=True)
        out.print(str(out_dir / "codec.json"), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(codec)
