"""The command ``bench-array``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .options import Json, Out, Picture, ran, writable

out = Console(highlight=False)
log = Console(stderr=True)


def bench_array(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Circuits; all by default.")] = None,
    rows: Annotated[int, typer.Option(help="Activations per beat: 1, 2, 4, 8 or 16.")] = 16,
    cols: Annotated[int, typer.Option(help="Output channels, 1..64.")] = 16,
    beats: Annotated[int, typer.Option(help="Beats of each layer, 2..96.")] = 8,
    picture: Picture = None,
    rounded: Annotated[
        bool,
        typer.Option("--rounded/--greedy", help="Weights rounded for accuracy, or as published."),
    ] = True,
    liberty: Annotated[
        Path | None, typer.Option(help="Liberty file of another library; with --cells.")
    ] = None,
    cells: Annotated[
        Path | None, typer.Option(help="Its Verilog models, with specify blocks.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Circuits measured at a time.")] = 2,
    fpga: Annotated[
        bool, typer.Option(help="Lookup tables per lane on ECP5 and iCE40 too.")
    ] = True,
    only_fpga: Annotated[
        bool, typer.Option("--only-fpga", help="Those alone: nothing of standard cells.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for power.md, the page, with its plot.", callback=writable),
    ] = None,
    out_dir: Out = Path("build/arrays"),
    as_json: Json = False,
) -> None:
    """Area, critical path and energy per product of array circuits, against 8-bit arithmetic.

    Each circuit is mapped to standard cells and simulated with delays on a real picture's
    activations; its sums are compared with the golden model's. On FPGAs its lookup tables are
    counted. Results are kept by content.

    Example: shiftwork bench-array n1 int8_booth --cols 4
    """
    from ..hw.arrays.circuits import CIRCUITS
    from .array_bench import Size, bench_arrays, choose
    from .array_fpga import measure_fpga
    from .array_fpga_page import find_section, write_fpga
    from .array_page import write
    from .array_workload import recipe_of, scenes
    from .asic.library import find_library
    from .asic.sta import need_sta
    from .progress import Stages

    if only_fpga:
        given = {
            "the names": names, "--rows": rows != 16, "--cols": cols != 16, "--beats": beats != 8,
            "--picture": picture, "--greedy": not rounded, "--liberty": liberty, "--cells": cells,
            "--jobs": jobs != 2, "--no-fpga": not fpga,
        }  # fmt: skip
        if useless := [name for name, value in given.items() if value]:
            raise ValueError(
                f"--only-fpga measures every circuit of its own: leave out {', '.join(useless)}"
            )
        if page is not None:
            find_section(page)  # before minutes of measuring
        with Stages(log) as stages:
            document = measure_fpga(stages)
        _show(document, write_fpga(document, out_dir, page), as_json)
        return
    size = Size(rows, cols, beats)
    if jobs < 1:
        raise ValueError(f"--jobs must be at least 1, not {jobs}")
    chosen = choose(names, rounded)
    library = find_library(liberty, cells)
    need_sta()
    with Stages(log) as stages:
        with stages.stage("Weights and picture", "picture"):
            recipes = {recipe_of(CIRCUITS[name]) for name in chosen} if rounded else set()
            found, shown = scenes(picture, sorted(recipe for recipe in recipes if recipe))
        document = bench_arrays(chosen, found, shown, size, library, stages, jobs)
        if fpga:
            document["fpga"] = measure_fpga(stages)
    document["command"] = ran(context, "jobs", default="make bench-array")
    _show(document, write(document, out_dir, page), as_json)


def _show(document: dict[str, Any], written: Path, as_json: bool) -> None:
    from .array_fpga_page import fpga_table, fpga_verdicts
    from .array_page import to_table, verdicts

    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    said = []
    cells = "library" in document
    if cells:
        out.print(to_table(document))
        said += verdicts(document)
    fpga = document.get("fpga") if cells else document
    if fpga:
        out.print(fpga_table(fpga))
        said += fpga_verdicts(fpga)
    for line in said:
        out.print(line, markup=False, soft_wrap=True)
    out.print(str(written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench_array)
