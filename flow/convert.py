"""The command ``convert``: a trained network from elsewhere becomes codes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .files import write_atomic, write_json
from .options import Json, NewArithmetic, NewBits, NewScale, NewTerms, Out, Set

out = Console(highlight=False)
log = Console(stderr=True)


def convert(
    network: Annotated[
        str,
        typer.Argument(
            help="model.onnx, model.pt2, package.module:factory (its code is run), a name of the "
            "zoo, or a folder written before."
        ),
    ],
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of unlabelled pictures; the zoo has its own."),
    ] = None,
    pictures: Annotated[int | None, typer.Option(help="Use at most so many of them.")] = None,
    crops: Annotated[
        int | None,
        typer.Option(
            help="Round, and choose codes, with so many random crops and mirror images of the "
            "pictures; by default with the pictures as they are, but squeezenet1_1 and "
            "efficientnet_lite0 with 256."
        ),
    ] = None,
    terms: NewTerms = None,
    bits: NewBits = None,
    scale: NewScale = None,
    arithmetic: NewArithmetic = None,
    rounding: Annotated[
        str | None,
        typer.Option(help="Greedy by default; compensated, scale+bias, ... need pictures."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="N per layer, by sensitivity: mean terms per weight, 1.3 say; with --preset, "
            "cycles of a picture on that engine. Writes curve.json and curve.svg too."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Engine whose cycles --budget means, or that --codec chooses for, or a JSON file; "
            "for codes base with codec_bits=6 and zero_maps=true by default."
        ),
    ] = None,
    changes: Set = None,
    observer: Annotated[
        str | None,
        typer.Option(help="Activation scales by error (the default), max or percentile."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="auto stores each feature map in as few bits as --max-drop and the engine's "
            "codec_bits allow, or without zeros where that is no more and it has zero_maps. "
            "Writes codec.json and codec.svg too."
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of top-1 that --codec may cost, as estimated; 1 by default."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Of the pixels, one or per channel: 0.485,0.456,0.406.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation, likewise.")] = None,
    white: Annotated[
        float | None,
        typer.Option(
            help="White before mean and std: 1 (the default) or 255; for bytes always 255."
        ),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="rgb (the default), bgr or gray: order of the channels.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Rows and columns; for a network that leaves them open.")
    ] = None,
    short_side: Annotated[
        int | None, typer.Option(help="Resize the shorter side to this, then crop; the size.")
    ] = None,
    fit: Annotated[str | None, typer.Option(help="crop (the default) or stretch.")] = None,
    resample: Annotated[str | None, typer.Option(help="bilinear (the default) or bicubic.")] = None,
    out_dir: Out = Path("net"),
    as_json: Json = False,
) -> None:
    """Quantise a network to sums of powers of two; write network.json and weights.safetensors.

    Beside them: calibration.json and .svg, each tensor's range, clipped share and noise.

    Shown for a network with one score per class: the share of pictures on which it agrees with
    the float network. Where the rounding looks at pictures, one picture in five is kept for this.

    Example: shiftwork convert model.onnx --calibration photos/ --terms 2 --bits 4 -o net/
    """
    from ..model.accuracy import sizes
    from ..model.storage import check_folder
    from .importing import Request, convert_network
    from .pictures import PictureOptions
    from .report.plots import paired_bars

    check_folder(out_dir)
    options = PictureOptions(
        mean=mean, std=std, white=white, channels=channels, size=size, short_side=short_side,
        fit=fit, resample=resample,
    )  # fmt: skip
    request = Request(
        source=network, terms=terms, bits=bits, scale=scale.value if scale else None,
        rounding=rounding, budget=budget, preset=preset,
        changes=tuple(changes or ()), observer=observer,
        calibration=calibration, pictures=pictures, crops=crops, options=options,
        codec=codec, max_drop=max_drop, arithmetic=arithmetic.value if arithmetic else None,
    )  # fmt: skip
    converted = convert_network(request, log)
    net = converted.network
    net.save(out_dir)
    if (mixing := converted.mixing) is not None:
        mixing.save(out_dir)
    if converted.coding is not None:
        converted.coding.save(out_dir)
    if (seen := converted.calibration) is not None:
        write_json(out_dir / "calibration.json", seen.to_dict())
        rows = [row for row in seen.ranges if math.isfinite(row.sqnr)]
        bars = {"SQNR": [row.sqnr for row in rows]}
        title = f"{net.name}: signal to quantisation noise of the 8-bit activations"
        plot = paired_bars(title, [row.name for row in rows], bars, "dB")
        write_atomic(out_dir / "calibration.svg", plot)
    convolutions = list(net.convolutions())
    figures: dict[str, Any] = {
        "network": net.name,
        "folder": str(out_dir),
        "layers": len(net.layers),
        "convolutions": len(convolutions),
        "weights": sum(layer.weights.codes[0].numel() for layer in convolutions),
        "macs": sum(net.macs(layer) for layer in convolutions),
        **({name: round(value, 4) for name, value in sizes(net).items()} if convolutions else {}),
    }
    if mixing is not None and mixing.cycles is not None:
        figures[f"cycles_on_{mixing.engine}"] = mixing.cycles
    if converted.rounded_with:
        figures["rounded_with"] = converted.rounded_with
    if (coding := converted.coding) is not None:
        best = coding.best
        figures["coded_maps"] = len(best.choice.options) if best else 0
        figures["maps_without_zeros"] = len(converted.network.zeros)
        figures["bits_per_map_value"] = round(coding.bits, 3)
        figures["codec_drop_estimated"] = round(best.drop, 2) if best else 0.0
        figures["codec_measured_on"] = coding.pictures
        figures["codec_for"] = ", ".join(
            f"{name}={value}" if name != "name" else str(value)
            for name, value in coding.storage.items()
        )
        if coding.step > coding.max_drop:
            log.print(
                f"codes were measured on {coding.pictures} pictures, of which one that changes "
                f"class counts {coding.step:.2g} points: give more (--pictures, --crops)",
                soft_wrap=True,
            )
    if (agreement := converted.agreement) is not None:
        figures["agreement"] = round(agreement.share, 4)
        figures["divergence"] = float(f"{agreement.divergence:.3g}")
        figures["judged_on"] = agreement.pictures
        if not converted.apart:
            figures["judged_on_pictures_rounded_with"] = True
    if as_json:
        typer.echo(json.dumps(figures | {"notes": list(converted.notes)}, indent=2))
        return
    for note in converted.notes:
        log.print(note, markup=False, soft_wrap=True)
    table = Table(show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    out.print(table)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("convert")(convert)
