"""The command ``bench-asic``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, writable

out = Console(highlight=False)
log = Console(stderr=True)


def bench_asic(
    presets: Annotated[
        list[str] | None, typer.Argument(help="Engines; tiny by default. Or JSON files.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="Engine whose netlists are run too; repeatable. Default: tiny."),
    ] = None,
    liberty: Annotated[
        Path | None, typer.Option(help="Liberty file of another library; with --cells.")
    ] = None,
    cells: Annotated[Path | None, typer.Option(help="Its Verilog models.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Folder for asic.md, the page.", callback=writable)
    ] = None,
    out_dir: Out = Path("build/asic"),
    as_json: Json = False,
) -> None:
    """Area of whole engines in standard cells: shift, int8 and int4, memories apart.

    A netlist that is run must write what the golden model says, bit for bit; that takes a minute
    or so for tiny, and very long for large engines.

    Example: shiftwork bench-asic tiny base --page docs/reference
    """
    from .asic.library import find_library
    from .asic_bench import bench_asic as measure
    from .asic_page import to_table, write
    from .inputs import open_config
    from .progress import Stages

    names = presets or ["tiny"]
    configs = [open_config(name) for name in names]
    known = [config.name for config in configs]
    wanted = frozenset(check or {"tiny"} & set(known))
    if unknown := wanted.difference(known):
        raise ValueError(f"--check {min(unknown)}: not among the engines, {', '.join(known)}")
    library = find_library(liberty, cells)
    with Stages(log) as stages:
        document = measure(configs, library, stages, wanted)
    command = shlex.join(["shiftwork", "bench-asic", *names, "--page", "docs/reference"])
    written = write(document, out_dir, page, command)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    out.print(to_table(document))
    out.print(str(written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench_asic)
