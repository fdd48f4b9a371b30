"""Command ``bench-codec``: area and clock of the codec's circuits by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, writable


def bench_codec(
    page: Annotated[
        Path | None, typer.Option(help="Folder for codec-hardware.md, the page.", callback=writable)
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Also this preset whole: as it is, with codec_bits=4 and with zero_maps=true; "
            "repeatable. base takes a quarter of an hour each."
        ),
    ] = None,
    out_dir: Out = Path("build/codec"),
    as_json: Json = False,
) -> None:
    """Area and Fmax of the codec for 16 channels of 8 bits at 2x, beside published figures.

    Standard cells are those of SHIFTWORK_LIBERTY, by default OSU 0.18 um as Debian's
    qflow-tech-osu018 installs it; without them that part is left out.

    Example: shiftwork bench-codec --engine small
    """
    from .codec_bench import bench_codec as measure
    from .codec_bench import to_table
    from .codec_hardware_page import write_hardware_page
    from .inputs import open_config
    from .progress import Stages

    engines = [open_config(name) for name in engine or []]
    with Stages(Console(stderr=True)) as stages:
        report = measure(out_dir, stages, engines)
    if page is not None:
        write_hardware_page(report, page)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        Console(highlight=False, width=140).print(to_table(report))


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench_codec)
