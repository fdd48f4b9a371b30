"""Commands for boards: ``build``, ``run`` and ``virtual-board``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .options import Absorb, Bits, Engine, Json, NewBits, NewTerms, Out, Set, Terms
from .tools import ToolError

out = Console(highlight=False)
log = Console(stderr=True)
BAUD = 3_000_000

Port = Annotated[str, typer.Option(help="Serial port, like /dev/ttyUSB0.")]
BoardName = Annotated[
    str, typer.Option("--board", help="Board: ulx3s_85f, icebreaker or tang_primer_20k.")
]
OwnEngine = Annotated[
    str | None,
    typer.Option("--preset", help="Preset, or a JSON file of parameters; the board's by default."),
]


def _board(name: str, preset: str | None, changes: list[str] | None, clock: float | None) -> Any:
    """Return a board with the engine and the clock that are asked for."""
    from .build import configured, find_board
    from .inputs import changed, open_config

    board = find_board(name)
    config = open_config(preset, changes) if preset else changed(board.config, changes)
    return configured(board, config=config, clock_mhz=clock)


def build(
    board_name: BoardName = "ulx3s_85f",
    preset: OwnEngine = None,
    changes: Set = None,
    clock: Annotated[
        float | None, typer.Option(help="MHz of the PLL; the board's by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the placer.")] = 1,
    absorb: Absorb = True,
    flash: Annotated[bool, typer.Option("--flash", help="Load it by openFPGALoader.")] = False,
    out_dir: Out = Path("build/board"),
    as_json: Json = False,
) -> None:
    """Build a board's bitstream with open tools: area, Fmax, and no multiplier.

    Takes minutes, most of them placing and routing.

    Example: shiftwork build --board ulx3s_85f --flash
    """
    from .build import build as build_board
    from .build import flash as flash_board
    from .progress import Stages

    board = _board(board_name, preset, changes, clock)
    with Stages(log) as stages, stages.stage(f"Build {board.name}") as notes:
        result = build_board(board, out_dir, seed=seed, absorb=absorb)
        notes.append(f"{result.fmax_mhz:.1f} MHz")
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        table = Table(show_header=False)
        for name, value in (
            ("board, engine", f"{result.board}, {result.engine}"),
            ("clock; Fmax", f"{result.clock_mhz:g} MHz; {result.fmax_mhz} MHz"),
            ("lookup tables, flip-flops", f"{result.area.lut:,}, {result.area.ff:,}"),
            ("tables taken into adders", f"{result.absorbed:,}"),
            ("block RAMs, DSP blocks", f"{result.area.bram}, {result.area.dsp}"),
            ("memory of programs", f"{result.memory_bytes:,} bytes"),
            ("serial line", f"{result.baud:,} baud"),
            ("seed", str(result.seed)),
            ("seconds", ", ".join(f"{n} {s}" for n, s in result.seconds.items())),
        ):
            table.add_row(name, value)
        for kind, (used, available) in result.used.items():
            if used:
                table.add_row(kind, f"{used:,} of {available:,} ({used / available:.0%})")
        out.print(table)
        out.print(str(result.bitstream), markup=False)
    if flash:
        flash_board(board, result.bitstream)


def tell(figures: dict[str, Any], as_json: bool) -> None:
    """Print what `boards_run.figures_of` returns: a line of JSON, or two of text at most."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    counters = ", ".join(f"{n} {v:,}" for n, v in figures["counters"].items() if n != "busy")
    out.print(
        f"{figures['picture']}: {figures['label']} ({figures['class']}), "
        f"{1e3 * figures['seconds']:.1f} ms, engine {1e3 * figures['engine_seconds']:.2f} ms, "
        f"{figures['cycles']:,} cycles", markup=False, soft_wrap=True,
    )  # fmt: skip
    if counters:
        out.print(f"  {counters}", markup=False, soft_wrap=True)


def run(
    network: Annotated[str, typer.Argument(help="Folder of a network, or a name of the zoo.")],
    picture: Annotated[
        str | None, typer.Argument(help="Picture, or .npy of uint8 (C, H, W).")
    ] = None,
    port: Port = "/dev/ttyUSB0",
    baud: Annotated[int, typer.Option(help="Bits per second.")] = BAUD,
    watch: Annotated[
        Path | None, typer.Option(help="Classify what is in this folder, and what comes into it.")
    ] = None,
    preset: Engine = "small",
    changes: Set = None,
    terms: NewTerms = None,
    bits: NewBits = None,
    as_json: Json = False,
) -> None:
    """Classify a picture on a board: load the network, send the picture, print its label.

    Example: shiftwork run --port /dev/ttyUSB0 fashion_mnist shoe.png
    """
    from ..boards.host import Board
    from ..model.compile import compile_network
    from .boards_run import arrivals, figures_of, loading
    from .inputs import open_config, open_network, open_picture

    if watch is not None and picture is not None:
        raise ValueError("give a picture or --watch, not both")
    if watch is not None and not watch.is_dir():
        raise ValueError(f"--watch wants a folder, not {watch}")
    config = open_config(preset, changes)
    net = open_network(network, terms=terms, bits=bits)
    first = None if watch is not None else open_picture(picture, net)
    program = compile_network(net, config)
    with Board.open(port, baud) as board:
        with loading(f"{len(program.image):,} bytes to the board") as report:
            board.load(program, net, report)
        if first is not None:
            values, name = first
            tell(figures_of(name, net, board.run(values.numpy())), as_json)
            return
        assert watch is not None
        for path in arrivals(watch):
            try:
                values, name = open_picture(str(path), net)
            except (ValueError, OSError) as error:
                log.print(f"{path.name}: {error}", markup=False, soft_wrap=True)
                continue
            tell(figures_of(name, net, board.run(values.numpy())), as_json)


def virtual_board(
    network: Annotated[
        str | None, typer.Argument(help="Classify its labelled pictures and stop.")
    ] = None,
    count: Annotated[int, typer.Option("--pictures", help="So many of them at most.")] = 20,
    damage: Annotated[
        float, typer.Option(help="Part of the bytes damaged on the line, 0..1.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the damage.")] = 1,
    board_name: BoardName = "ulx3s_85f",
    preset: OwnEngine = None,
    changes: Set = None,
    terms: Terms = 2,
    bits: Bits = 4,
    as_json: Json = False,
) -> None:
    """Run a board's own top in Verilator; `shiftwork run --port` talks to it as to a real one.

    Without a network it prints the port and runs until Ctrl-C. With a network of the zoo the
    driver classifies labelled pictures on it, and every output is compared with the golden model.

    Example: shiftwork virtual-board fashion_mnist --pictures 100 --damage 0.01
    """
    from .boards_run import LOOK_S, classify, labelled_loader
    from .progress import Stages
    from .virtual import VirtualRun, build_virtual

    board = _board(board_name, preset, changes, None)
    if not 0 <= damage < 1:
        raise ValueError(f"--damage must be at least 0 and below 1, not {damage:g}")
    if count < 1:
        raise ValueError(f"--pictures must be at least 1, not {count}")
    if network is not None:
        labelled_loader(network)
    with Stages(log) as stages, stages.stage("Build the virtual board"):
        program = build_virtual(board)
    with VirtualRun(program, damage=damage, seed=seed) as virtual:
        if network is None:
            typer.echo(virtual.port)
            log.print(
                f"shiftwork run --port {virtual.port} fashion_mnist     (Ctrl-C ends the board)",
                markup=False, soft_wrap=True,
            )  # fmt: skip
            while virtual.running:
                time.sleep(LOOK_S)
            return
        figures = classify(network, board.config, virtual.port, count, terms=terms, bits=bits)
    figures |= {"board": board.name, "damage": damage, "seed": seed, "simulated": virtual.counts}
    _summary(figures, as_json)
    if figures["different"]:
        raise ToolError(
            f"{figures['different']} of {figures['pictures']} outputs differ from the golden model"
        )


def _summary(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    f, t = figures, figures["traffic"]
    out.print(
        f"{f['network']}, N = {f['terms']}, on {f['board']} ({f['engine']}): {f['pictures']} "
        f"pictures, {f['different']} different from the golden model, {f['right']} right "
        f"({f['right'] / f['pictures']:.1%}; golden model {f['right_golden']})",
        soft_wrap=True,
    )  # fmt: skip
    out.print(
        f"{f['cycles_per_picture']:,} cycles a picture: {f['pictures_per_second_at_clock']:,} a "
        f"second at {f['clock_mhz']:g} MHz, the line left out; {f['seconds']} s here",
        soft_wrap=True,
    )  # fmt: skip
    out.print(
        f"line: {t['sent']:,} bytes sent, {t['received']:,} received, "
        f"{f['simulated'].get('damaged', 0):,} damaged; {t['requests']:,} requests, of them "
        f"{t['retries']:,} again ({t['refused']:,} refused by the board, {t['spoilt']:,} replies "
        f"spoilt, {t['timeouts']:,} not answered)", soft_wrap=True,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("build")(build)
    app.command("run")(run)
    app.command("virtual-board")(virtual_board)
