"""The command ``paper``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Engine, Json, Out, Set, ran, writable

out = Console(highlight=False)
log = Console(stderr=True)


def paper(
    context: typer.Context,
    networks: Annotated[
        list[str] | None,
        typer.Argument(help="Of the zoo; squeezenet1_1, resnet8, efficientnet_lite0 by default."),
    ] = None,
    preset: Engine = "base",
    changes: Set = None,
    arrays: Annotated[Path, typer.Option(help="What bench-array has written.")] = Path(
        "build/arrays/arrays.json"
    ),
    page: Annotated[
        Path | None, typer.Option(help="Folder for paper.md, the page.", callback=writable)
    ] = None,
    out_dir: Out = Path("build/paper"),
    as_json: Json = False,
) -> None:
    """ShiftCNN's tables of products saved and of power again, our definitions beside theirs.

    Example: shiftwork paper squeezenet1_1
    """
    from .energy_bench import NETWORKS
    from .inputs import open_config
    from .measured import read_measured
    from .paper import ARRAYS, bench_paper, tables, write
    from .progress import Stages

    config = open_config(preset, changes)
    measured = read_measured(arrays, "bench-array", ARRAYS)
    chosen = list(dict.fromkeys(networks or NETWORKS))
    with Stages(log) as stages, stages.stage("Count products and activations", "count"):
        document = bench_paper(chosen, config, measured) | {"command": ran(context)}
    written = write(document, out_dir, page)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for table in tables(document):
        out.print(table)
    out.print(str(written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(paper)
