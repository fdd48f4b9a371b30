"""The command ``bench-train``: methods of training side by side on Fashion-MNIST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out

out = Console(highlight=False)
log = Console(stderr=True)


def bench_train(
    out_dir: Out = Path("build/train"),
    page: Annotated[
        Path | None, typer.Option(help="Also write the table to this Markdown file.")
    ] = None,
    epochs: Annotated[
        tuple[int, int, int],
        typer.Option(help="Of float training, from scratch, from the float network."),
    ] = (8, 2, 3),
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 256,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="Train and test on so many only; all by default.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Variants trained at the same time.")] = 2,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what an interrupted run has trained.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a small ResNet on Fashion-MNIST with DeepShift-Q, -PS and two terms: accuracy, export.

    Example: shiftwork bench-train --page docs/reference/training.md
    """
    from .files import write_atomic
    from .train_bench import bench_train as run
    from .train_page import to_markdown, to_table

    if min(epochs) < 1:
        raise typer.BadParameter(f"epochs must be at least 1, not {min(epochs)}")
    document = run(out_dir, log, epochs=epochs, batch=batch, limit=pictures, jobs=jobs, fresh=fresh)
    if page is not None:
        write_atomic(page, to_markdown(document))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        out.print(to_table(document["rows"]))
        out.print(str(out_dir / "training.md"), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("bench-train")(bench_train)
