"""Options that several commands of the command line share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Simulator(StrEnum):
    """Simulators the bench runs on."""

    verilator = "verilator"
    icarus = "icarus"


class ScaleKind(StrEnum):
    """How many scales a layer's weights have."""

    layer = "layer"
    channel = "channel"


class ArithmeticKind(StrEnum):
    """What a weight is."""

    shift = "shift"
    int8 = "int8"
    int4 = "int4"


def writable(folder: Path | None) -> Path | None:
    """Refuse a folder that cannot be made or written to, before any work is done."""
    for place in () if folder is None else (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise typer.BadParameter(f"{place} is a file, not a folder")
        if place.exists():
            if not os.access(place, os.W_OK | os.X_OK):
                raise typer.BadParameter(f"{place} cannot be written to; choose another folder")
            break
    return folder


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", callback=writable)]
Terms = Annotated[int, typer.Option("--terms", "-N", help="Terms per weight, 1..4.")]
Bits = Annotated[int, typer.Option("--bits", "-B", help="Bits per code, 2..5.")]
NewTerms = Annotated[
    int | None, typer.Option("--terms", "-N", help="Terms per weight, 1..4; 2 by default.")
]
NewBits = Annotated[
    int | None, typer.Option("--bits", "-B", help="Bits per code, 2..5; 4 by default.")
]
NewArithmetic = Annotated[
    ArithmeticKind | None,
    typer.Option(
        help="Weights: shift (the default), or integers to compare with: int8, int4, to nearest "
        "unless --rounding says otherwise."
    ),
]
Engine = Annotated[str, typer.Option("--preset", help="Preset, or a JSON file of parameters.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="P=V", help="Change a parameter; repeatable.")
]
NewScale = Annotated[
    ScaleKind | None,
    typer.Option(help="One weight scale per channel (default), or layer (of squeezenet1_1)."),
]
Picture = Annotated[
    str | None, typer.Option(help="Picture, or .npy of uint8 (C, H, W). Default: a photo.")
]
Absorb = Annotated[
    bool,
    typer.Option(
        "--absorb/--no-absorb", help="Take lookup tables into the ECP5 adders that read them."
    ),
]
Sim = Annotated[Simulator, typer.Option(help="What runs the Verilog.")]


GIVEN = "COMMANDLINE"  # where typer says that a value came from


def told(command: str, names: Iterable[str], chosen: Mapping[str, Any]) -> str:
    """Return a command as a page of the reference tells it, options that were not given left out.

    ``chosen`` has each option's value, or values where it may be given more than once, or True.
    """
    words = ["shiftwork", command, *names]
    for option, value in chosen.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        words += [
            word for each in values
            for word in (
                (option,) if each is True
                else (option, f"{each:g}" if isinstance(each, float) else str(each))
            )
        ]  # fmt: skip
    return shlex.join([*words, "--page", "docs/reference"])


def was_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter of the command under way was given on the command line."""
    return getattr(context.get_parameter_source(name), "name", "") == GIVEN


def ran(context: typer.Context, *unmoved: str, default: str | None = None) -> str:
    """Return the command under way as its page tells it: all that was given and moves a figure.

    Parameters
    ----------
    context : typer.Context
        The command's.
    unmoved : str
        Parameters that move no figure, beside ``page``, ``out_dir`` and ``as_json``.
    default : str, optional
        What a command without anything given is called instead.
    """
    names: list[str] = []
    chosen: dict[str, Any] = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        value = context.params.get(name)
        if name in ("page", "out_dir", "as_json", *unmoved) or not was_given(context, name):
            continue
        several = list(value) if isinstance(value, list | tuple) else [value]
        if parameter.param_type_name == "argument":
            names += map(str, several)
        elif value is False:
            chosen[parameter.secondary_opts[0]] = True
        else:
            chosen[next(each for each in parameter.opts if each.startswith("--"))] = several
    if default is not None and not names and not chosen:
        return default
    return told(str(context.info_name), names, chosen)
