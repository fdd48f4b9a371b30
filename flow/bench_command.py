"""The command ``bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, ran, writable


def bench(
    context: typer.Context,
    presets: Annotated[list[str] | None, typer.Argument(help="Default: tiny, small.")] = None,
    boards: Annotated[
        list[str] | None,
        typer.Option("--board", help="Build and simulate this board too; repeatable."),
    ] = None,
    out_dir: Out = Path("build/bench"),
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for peers.md, ResNet8 beside others.", callback=writable),
    ] = None,
    as_json: Json = False,
) -> None:
    """Size, area and Fmax of several engines as one table, and ResNet8 beside others' figures.

    Example: shiftwork bench tiny small --board icebreaker
    """
    from .bench import bench_presets, to_table
    from .build import find_board
    from .inputs import open_config
    from .peers import peers_table, write_page
    from .progress import Stages

    configs = [open_config(name) for name in presets or ["tiny", "small"]]
    found = [find_board(name) for name in boards or ()]
    with Stages(Console(stderr=True)) as stages:
        rows = bench_presets(configs, out_dir, stages, boards=found)
    if page is not None:
        write_page(rows, page, ran(context))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        out = Console(highlight=False, width=140)
        out.print(to_table(rows))
        out.print(peers_table(rows))


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench)
