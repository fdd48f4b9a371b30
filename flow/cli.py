"""The command ``shiftwork``: thin wrappers that name things, call the flow and show results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from . import (
    accuracy,
    array_command,
    asic_command,
    bench_command,
    board_commands,
    campaigns,
    codec,
    codec_command,
    convert,
    energy_command,
    paper_command,
    train,
)
from .options import (
    Absorb,
    Bits,
    Engine,
    Json,
    Out,
    Picture,
    Set,
    Sim,
    Simulator,
    Terms,
    writable,
)
from .tools import ToolError

app = typer.Typer(
    name="shiftwork",
    help="Trained convolutional networks as Verilog without multipliers, bit-exact and checked.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False)
log = Console(stderr=True)


def _emit_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say which tools are there, whether they will do, and how to get them.

    Example: shiftwork doctor
    """
    from dataclasses import asdict

    from .doctor import examine

    findings = examine()
    if as_json:
        _emit_json([asdict(finding) for finding in findings])
    else:
        table = Table()
        for name in ("tool", "for", "version", "good", "advice"):
            table.add_column(name, overflow="fold")
        for f in findings:
            table.add_row(
                f.name,
                f.use,
                f.version or "missing",
                "yes" if f.good else "NO" if f.needed else "no",
                f.advice,
            )
        out.print(table)
        for f in findings:
            if f.where:
                out.print(f"{f.name}: {f.where}", markup=False, soft_wrap=True)
    bad = [finding.name for finding in findings if finding.needed and not finding.good]
    if bad:
        raise ToolError(f"missing or too old: {', '.join(bad)}")


@app.command()
def generate(
    preset: Annotated[str, typer.Argument(help="tiny, small, base, asic, large, or a JSON file.")],
    out_dir: Out = Path("rtl"),
    changes: Set = None,
    network: Annotated[
        str | None, typer.Option(help="Also write program.bin of this network, and a run to check.")
    ] = None,
    picture: Annotated[
        str | None, typer.Option(help="Input of that run, as for simulate; random by default.")
    ] = None,
    package: Annotated[
        bool, typer.Option("--package", help="Also write a FuseSoC core, IP-XACT, Vivado Tcl.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the Verilog of an engine, NAME.v, and its description, NAME.json.

    With --network also what a host needs: program.bin, program.json, which says where tensors lie,
    and an input with the output it must give (input.bin, output.bin).

    Example: shiftwork generate small -o rtl/
    """
    from ..model.compile import compile_network
    from .bringup import forget_program, input_values, write_program
    from .emit import emit
    from .inputs import open_config, open_network

    config = open_config(preset, changes)
    if picture is not None and network is None:
        raise ValueError(f"--picture {picture} is the input of a --network: give one")
    net = open_network(network, arithmetic=config.arithmetic) if network else None
    program = compile_network(net, config) if net else None
    if net is not None:
        input_values(picture, net)
    emitted = emit(config, out_dir)
    figures: dict[str, Any] = {
        "verilog": str(emitted.verilog),
        "description": str(emitted.description),
        "top": emitted.top,
        "verilog_bytes": emitted.verilog_bytes,
        "modules": len(emitted.modules),
        "sha256": emitted.sha256,
    }
    if gone := forget_program(config, out_dir):
        log.print(f"removed {', '.join(gone)}: of another engine", markup=False, soft_wrap=True)
    if net is not None and program is not None:
        figures |= write_program(net, program, config, out_dir, picture)
    if package:
        from .package import write_package

        written = write_package(config, emitted)
        figures |= {name: str(path) for name, path in vars(written).items()}
    _show(figures, as_json)


@app.command()
def simulate(
    network: Annotated[str, typer.Argument(help="Folder of a network, or a name.")] = (
        "squeezenet1_1"
    ),
    preset: Engine = "small",
    changes: Set = None,
    picture: Picture = None,
    until: Annotated[str | None, typer.Option(help="Last layer to run; all by default.")] = None,
    simulator: Sim = Simulator.verilator,
    slow_memory: Annotated[bool, typer.Option(help="Random latency and back-pressure.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the memory's waits, 0..2147483647.")] = 1,
    out_dir: Out = Path("build/simulate"),
    as_json: Json = False,
) -> None:
    """Run a network on the engine's Verilog and compare every value with the golden model.

    A network of the zoo is quantised for the engine: N = 2, B = 4, or its integers.

    Example: shiftwork simulate net/ --preset small --until fire2_concat
    """
    from ..model.compile import layers_until
    from ..sim.scoreboard import FAST, SLOW
    from ..sim.tools import find_simulator
    from .check import check
    from .emit import emit
    from .figures import build_report
    from .inputs import open_config, open_network, open_picture
    from .progress import Stages
    from .report import write_report

    if not 0 <= seed < 1 << 31:
        raise ValueError(f"--seed must be in 0..{(1 << 31) - 1}, not {seed}")
    config = open_config(preset, changes)
    find_simulator(simulator.value)
    with Stages(log) as stages:
        with stages.stage("Open the network", "network") as notes:
            net = open_network(network, arithmetic=config.arithmetic)
            layers_until(net, until)
            values, name = open_picture(picture, net)
            notes.append(f"picture {name}")
        with stages.stage("Emit the Verilog", "emit"):
            emitted = emit(config, out_dir / "rtl")
        with stages.stage(f"Run it in {simulator.value}", "simulate"):
            checked = check(
                net, values, config, emitted.verilog, until=until, simulator=simulator.value,
                latency=SLOW if slow_memory else FAST, seed=seed,
            )  # fmt: skip
    report = build_report(
        config, emitted=emitted, network=net, picture=name, checked=checked,
        seconds=stages.seconds,
    )  # fmt: skip
    write_report(report, out_dir)
    _show_report(report, out_dir, as_json)


@app.command()
def synth(
    preset: Annotated[str, typer.Argument(help="tiny, small, base, asic, large, or a JSON file.")],
    changes: Set = None,
    absorb: Absorb = True,
    out_dir: Out = Path("build/synth"),
    as_json: Json = False,
) -> None:
    """Area and Fmax of an engine on ECP5, and the proof that it has no multiplier.

    Example: shiftwork synth small -o build/synth
    """
    from dataclasses import replace

    from .emit import emit
    from .figures import build_report
    from .inputs import open_config
    from .progress import Stages
    from .report import write_report
    from .synth import synthesise, target_for

    config = open_config(preset, changes)
    with Stages(log) as stages:
        with stages.stage("Emit the Verilog", "emit"):
            emitted = emit(config, out_dir / "rtl")
        with stages.stage("Synthesise, place and route", "synthesise") as notes:
            target = replace(target_for(config), absorb=absorb)
            result = synthesise(emitted.verilog, emitted.top, target=target)
            notes.append(f"{result.absorbed:,} lookup tables taken into adders")
    report = build_report(config, emitted=emitted, synthesised=result, seconds=stages.seconds)
    write_report(report, out_dir)
    _show_report(report, out_dir, as_json)


@app.command()
def report(
    source: Annotated[Path, typer.Argument(help="A report.json.")],
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder; that of the source by default.", callback=writable
        ),
    ] = None,
    compare_with: Annotated[
        Path | None,
        typer.Option("--compare", help="An earlier report.json: write compare.html instead."),
    ] = None,
    build: Annotated[
        Path | None,
        typer.Option(
            help="Where bench-array, bench-asic and energy have written, shown too; build by "
            "default if there.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a report and write its report.html again, or what changed since an earlier one.

    Example: shiftwork report --compare old/report.json build/demo/report.json
    """
    from .report import load_report, write_report
    from .report_changes import show_changes
    from .report_sections import sections_of

    folder = out_dir or source.parent
    if compare_with is not None:
        show_changes(compare_with, source, folder, out, as_json)
        return
    loaded = load_report(source)
    sections = sections_of(build or Path("build"), lambda line: log.print(line, soft_wrap=True))
    write_report(loaded, folder, sections)
    _show_report(loaded, folder, as_json)


@app.command()
def demo(
    preset: Engine = "small",
    picture: Picture = None,
    terms: Terms = 2,
    bits: Bits = 4,
    until: Annotated[str, typer.Option(help="Last layer run on the Verilog.")] = "pool_fire3",
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/demo"),
    as_json: Json = False,
) -> None:
    """SqueezeNet's weights and a photo to checked, synthesised Verilog, with reports.

    Example: shiftwork demo -o build/demo
    """
    from ..model.codebook import Codebook
    from .demo import run_demo
    from .inputs import open_config
    from .progress import Stages

    config = open_config(preset)
    Codebook(terms, bits)
    with Stages(log) as stages:
        result = run_demo(
            config, out_dir, stages, picture=picture, terms=terms, bits=bits, until=until,
            simulator=simulator.value,
        )  # fmt: skip
    _show_report(result, out_dir, as_json)


accuracy.register(app)
array_command.register(app)
asic_command.register(app)
bench_command.register(app)
codec.register(app)
convert.register(app)
board_commands.register(app)
campaigns.register(app)
codec_command.register(app)
energy_command.register(app)
paper_command.register(app)
train.register(app)


def _show(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _emit_json(figures)
        return
    table = Table(show_header=False)
    for name, value in figures.items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), text)
    out.print(table)


def _show_report(report: Any, folder: Path, as_json: bool) -> None:
    from .figures import layer_table, summary_table

    if as_json:
        _emit_json(report.to_dict())
    else:
        if report.layers:
            out.print(layer_table(report))
        out.print(summary_table(report))
        out.print(f"{folder / 'report.json'}\n{folder / 'report.html'}", markup=False)
    if report.bit_exact is False:
        first = report.mismatch_list[0] if report.mismatch_list else "see the report"
        raise ToolError(f"the Verilog differs from the golden model: {first}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; every failure is one line on standard error and an exit code.

    Parameters
    ----------
    arguments : list of str, optional
        As typed after ``shiftwork``; those of the process by default.

    Returns
    -------
    int
        0 when all is well, 2 for a wrong command line, 1 for everything else.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return int(app(args=arguments or ["--help"], standalone_mode=False) or 0)
    except typer.TyperException as error:
        _fail(error.format_message())
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted")
        return 130
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1
    except (ValueError, RuntimeError) as error:
        _fail(str(error) or type(error).__name__)
        return 1


def _fail(message: str) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"shiftwork: error: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
