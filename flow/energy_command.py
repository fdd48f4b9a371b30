"""The command ``energy``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Engine, Json, Out, Set, ran, writable

out = Console(highlight=False)
log = Console(stderr=True)
ACCURACY = Path("build/accuracy/accuracy.json")
ENGINES = Path("build/asic/asic.json")
PER_BIT = "in pJ per bit, in place of the default."


def energy(
    context: typer.Context,
    networks: Annotated[
        list[str] | None,
        typer.Argument(help="Of the zoo; squeezenet1_1, resnet8, efficientnet_lite0 by default."),
    ] = None,
    preset: Engine = "asic",
    changes: Set = None,
    arrays: Annotated[Path, typer.Option(help="What bench-array has written.")] = Path(
        "build/arrays/arrays.json"
    ),
    accuracy: Annotated[
        Path | None,
        typer.Option(help=f"What accuracy has written; {ACCURACY} by default, or none."),
    ] = None,
    engines: Annotated[
        Path | None,
        typer.Option(help=f"What bench-asic has written; {ENGINES} by default, or no control."),
    ] = None,
    node: Annotated[int, typer.Option(help="180 or 45 nm.")] = 180,
    buffer: Annotated[float | None, typer.Option(help=f"Activation buffer, {PER_BIT}")] = None,
    sums: Annotated[float | None, typer.Option(help=f"Accumulators, {PER_BIT}")] = None,
    queue: Annotated[float | None, typer.Option(help=f"Queue of weights, {PER_BIT}")] = None,
    external: Annotated[float | None, typer.Option(help=f"External memory, {PER_BIT}")] = None,
    control: Annotated[
        float | None, typer.Option(help="Control, in pJ per cycle, in place of the measured.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for energy.md, the page, with its plot.", callback=writable),
    ] = None,
    out_dir: Out = Path("build/energy"),
    as_json: Json = False,
) -> None:
    """Energy of one picture: array and control as measured, memories by counted accesses.

    Example: shiftwork energy squeezenet1_1 --external 10
    """
    from .energy_bench import NETWORKS, Changes, bench_energy
    from .energy_inputs import open_accuracy, open_arrays, open_engines
    from .energy_page import as_emitted, by_network, to_table, verdict, write
    from .inputs import open_config
    from .progress import Stages

    config = open_config(preset, changes)
    if config.arithmetic != "shift" or config.lane_terms > 1:
        name = "arithmetic" if config.arithmetic != "shift" else "lane_terms"
        raise ValueError(
            f"{name} {getattr(config, name)}: energy compares arithmetics and lanes by itself; "
            "leave it out"
        )
    given = Changes(buffer=buffer, sums=sums, queue=queue, external=external, control=control)
    chosen = list(dict.fromkeys(networks or NETWORKS))
    measured = open_arrays(arrays)
    accuracy = accuracy or (ACCURACY if ACCURACY.exists() else None)
    right = open_accuracy(accuracy, chosen) if accuracy else None
    engines = engines or (ENGINES if ENGINES.exists() else None)
    whole = open_engines(engines) if engines else None
    with Stages(log) as stages:
        document = bench_energy(chosen, config, measured, right, stages, node, given, whole)
    if control is None and (why := document["no_control"]):
        log.print(f"control is left out: {why}", markup=False, soft_wrap=True)
    written = write(document, out_dir, page, ran(context))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for rows in by_network(document).values():
        out.print(to_table(rows))
    if said := verdict(document):
        out.print(said, markup=False, soft_wrap=True)
    if said := verdict({**document, "levers": as_emitted(document)}):
        out.print(f"as emitted: {said}", markup=False, soft_wrap=True)
    out.print(str(written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(energy)
