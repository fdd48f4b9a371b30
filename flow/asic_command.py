"""The command ``bench-asic``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, told, writable

out = Console(highlight=False)
log = Console(stderr=True)


def bench_asic(
    presets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Engines; tiny by default. Or JSON files. In one arithmetic only: base/shift."
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="Engine whose netlists are run too; repeatable. Default: tiny."),
    ] = None,
    power: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine whose power is measured, or one of its arithmetics, like base/shift; "
            "repeatable. Default: tiny."
        ),
    ] = None,
    two_term: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine also built with lanes of two terms, B = 3; repeatable. Default: tiny."
        ),
    ] = None,
    ungated: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine that is measured without clock gates too, or one of its arithmetics; "
            "repeatable."
        ),
    ] = None,
    picture: Annotated[
        str | None, typer.Option(help="Picture it is measured on; a Fashion-MNIST one by default.")
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
    """Area, timing and power of whole engines in standard cells: shift, int8, int4, two-term.

    Memories stand apart. A netlist that is run must write what the golden model says, bit for bit;
    for power it runs with delays, which takes minutes.

    Example: shiftwork bench-asic tiny base/shift base/int8 --power base --page docs/reference
    """
    from .asic.library import find_library
    from .asic.sta import need_sta
    from .asic_bench import ARITHMETICS, TWO_TERM, split_names
    from .asic_bench import bench_asic as measure
    from .asic_page import gate_table, power_table, to_table, write
    from .inputs import open_config
    from .progress import Stages

    names = presets or ["tiny"]
    opened = [(open_config(file), kinds) for file, kinds in split_names(names).items()]
    configs = [config for config, _ in opened]
    known = [config.name for config in configs]
    only = frozenset(f"{config.name}/{each}" for config, kinds in opened for each in kinds)
    for config, kinds in opened:
        if config.name in (two_term or ()) and kinds and TWO_TERM not in kinds:
            raise ValueError(
                f"--two-term {config.name}: only {', '.join(sorted(kinds))} of it is measured; "
                f"name {config.name}/{TWO_TERM} too"
            )
    default = {"tiny"} & set(known)
    named = {config.name for config, kinds in opened if TWO_TERM in kinds}
    both = frozenset(two_term or default) | named
    run = {
        "--check": frozenset(check or default), "--power": frozenset(power or default),
        "--two-term": both, "--ungated": frozenset(ungated or ()),
    }  # fmt: skip
    engines = [*known]
    for config, kinds in opened:
        each = kinds or {*ARITHMETICS, *([TWO_TERM] if config.name in both else [])}
        engines += [f"{config.name}/{kind}" for kind in each]
    for option, wanted in run.items():
        if unknown := wanted.difference(engines if option in ("--power", "--ungated") else known):
            raise ValueError(f"{option} {min(unknown)}: not among the engines, {', '.join(known)}")
    library = find_library(liberty, cells)
    need_sta()
    if library.gates is None:
        log.print(
            f"no cell of {library.name} is known as a clock gate: engines have none, and energy "
            "takes no control from them", markup=False, soft_wrap=True,
        )  # fmt: skip
    with Stages(log) as stages:
        document = measure(
            configs, library, stages, run["--check"], run["--power"], picture, both,
            run["--ungated"], only,
        )  # fmt: skip
    chosen = {
        "--check": check, "--power": power, "--two-term": two_term, "--ungated": ungated,
        "--picture": picture, "--liberty": liberty, "--cells": cells,
    }  # fmt: skip
    command = told("bench-asic", names, chosen)
    written = write(document, out_dir, page, command)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    out.print(to_table(document))
    out.print(gate_table(document))
    if any("power" in row for row in document["engines"]):
        out.print(power_table(document))
    out.print(str(written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench_asic)
