"""The command ``codec``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import Json, Out, ran, was_given, writable

out = Console(highlight=False)
log = Console(stderr=True)


def codec(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Network.")] = "squeezenet1_1",
    limit: Annotated[
        int | None, typer.Option(help="Use only so many labelled pictures, or scenes.")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(help="Unlabelled crops to fit codes to: 240, nanodet 72.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of tuning end to end; 0 tunes nothing.")] = 40,
    by_bytes: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help="Only this: untuned codes of these maps, ALL or SQ2, by the bytes that cross "
            "memory, tables counted.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Folder for the network's page, with its plot.", callback=writable),
    ] = None,
    out_dir: Out = Path("build/codec_accuracy"),
    as_json: Json = False,
) -> None:
    """Accuracy against stored bits of every code for feature maps.

    Networks with labelled pictures, by their top-1; nanodet by its precision on composed scenes.

    Example: shiftwork codec squeezenet1_1 --limit 40 --steps 0
    """
    from ..model.codec import bench, detector_bench, plan
    from . import codec_bytes, codec_detector, codec_report

    detector = name == codec_report.DETECTOR
    if name not in plan.NETWORKS and not detector:
        known = ", ".join((*plan.NETWORKS, codec_report.DETECTOR))
        raise ValueError(f"codec knows {known}, not {name!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be at least 1, not {limit}")
    if crops is not None and crops < bench.BATCH:
        raise ValueError(f"--crops must be at least {bench.BATCH}, not {crops}")
    if steps < 0:
        raise ValueError(f"--steps must not be negative, not {steps}")
    if by_bytes is not None and was_given(context, "steps"):
        raise ValueError("--steps tunes codes and --bytes compares untuned ones: give one of them")
    written = "codec.json"
    if by_bytes is not None:
        crops = crops or bench.CROPS
        rows = codec_bytes.run_bytes(name, by_bytes, log, limit=limit, crops=crops)
        document = codec_bytes.write(rows, name, out_dir, page, crops=crops)
        text, written = codec_bytes.to_markdown(rows), codec_bytes.file_name(by_bytes)
    elif detector:
        scenes, crops = limit or detector_bench.SCENES, crops or detector_bench.CROPS
        found, traffic = codec_detector.run_detector(log, scenes=scenes, crops=crops)
        document = codec_detector.write(
            found, traffic, out_dir, page, crops=crops, command=ran(context)
        )
        text = codec_detector.to_markdown(found)
    else:
        crops = crops or bench.CROPS
        rows, traffic = codec_report.run_codec(name, log, limit=limit, crops=crops, steps=steps)
        document = codec_report.write(
            rows, traffic, name, out_dir, page, crops=crops, steps=steps, command=ran(context)
        )  # fmt: skip
        text = codec_report.to_markdown(rows)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        out.print(text, markup=False, soft_wrap=True)
        out.print(str(out_dir / written), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(codec)
