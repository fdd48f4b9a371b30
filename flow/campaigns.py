"""Commands that run a lot through the Verilog: ``sim-zoo``, ``fuzz`` and ``faults``."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .files import write_atomic, write_json
from .options import Engine, Json, NewBits, NewTerms, Out, Set, Sim, Simulator
from .tools import ToolError

out = Console(highlight=False)
log = Console(stderr=True)


def sim_zoo(
    names: Annotated[list[str] | None, typer.Argument(help="Networks; all by default.")] = None,
    preset: Engine = "base",
    changes: Set = None,
    terms: NewTerms = None,
    bits: NewBits = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Run each once more with feature maps in so many bits, 1..7, or with 'zvc' "
            "without their zeros."
        ),
    ] = None,
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/zoo"),
    as_json: Json = False,
) -> None:
    """Run the networks of the zoo through the Verilog: cycles, stalls, traffic, mismatches.

    On an engine of integer arithmetic they have integer weights, one scale per channel.

    For preset base as it is and N = 2 some networks have a least utilisation; below it the run
    fails.

    --codec 1..7 needs an engine with a codec of as many bits or more, and networks with scores of
    classes. Its tables are fitted to the calibration pictures. --codec zvc is lossless and needs
    an engine with zero_maps; maps that calibration pictures show to be no smaller stay as they are.

    Example: shiftwork sim-zoo resnet8 --codec 4 --set codec_bits=4
    """
    from ..model.integers import open_book
    from ..sim.tools import find_simulator
    from .emit import emit
    from .inputs import open_config
    from .progress import Stages
    from .zoo import (
        PREDICTION_LIMIT,
        check_codec,
        choose,
        least_utilisation,
        open_networks,
        run_network,
        to_json,
        to_table,
    )
    from .zoo_page import zoo_page

    config = open_config(preset, changes)
    book = open_book(config.arithmetic, terms, bits)
    check_codec(codec, config)
    chosen = choose(names)
    find_simulator(simulator.value)
    rows = []
    with Stages(log) as stages:
        with stages.stage("Emit the Verilog"):
            emitted = emit(config, out_dir / "rtl")
        for name in chosen:
            least = least_utilisation(name, config, book.terms)
            for opened in open_networks(name, stages, config, book=book, codec=codec):
                row = run_network(*opened, config, emitted.verilog, stages,
                                  simulator=simulator.value)  # fmt: skip
                rows.append(replace(row, least_utilisation=least))
    report = to_json(config, rows, book=book, simulator=simulator.value)
    path = write_json(out_dir / "report.json", report)
    write_atomic(out_dir / "zoo.md", zoo_page(report))
    refused = [row for row in rows if row.refused]
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        wide = Console(highlight=False, width=max(out.width, 220))
        wide.print(to_table(rows))
        for row in refused:
            out.print(f"{row.network} is refused: {row.refused}", markup=False, soft_wrap=True)
        out.print(str(path), markup=False)
    wrong = [row for row in rows if row.trouble]
    if wrong:
        raise ToolError(
            f"the Verilog differs from the golden model: {wrong[0].network}: {wrong[0].trouble[0]}"
        )
    if off := [row for row in rows if abs(row.prediction_error) > PREDICTION_LIMIT]:
        raise ToolError(
            f"the cycle model is off by {off[0].prediction_error:+.1%} on {off[0].network}"
        )
    if idle := [row for row in rows if row.too_idle]:
        raise ToolError(
            f"utilisation of {idle[0].network} is {idle[0].utilisation:.1%}, "
            f"below {idle[0].least_utilisation:.0%}"
        )
    if names and refused:
        raise ToolError(f"engine {config.name} cannot run {refused[0].network}")


def fuzz(
    count: Annotated[int, typer.Option(help="Networks to run.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the first network; then one more each.")] = 1,
    preset: Engine = "base",
    changes: Set = None,
    engines: Annotated[
        int, typer.Option(help="Small engines of many shapes, in turn, instead of the preset.")
    ] = 0,
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/fuzz"),
    as_json: Json = False,
) -> None:
    """Run random small networks and memories through the Verilog against the golden model.

    Example: shiftwork fuzz --count 1000 --seed 5000 --engines 6
    """
    from ..sim import fuzz as fuzzer
    from ..sim.fuzz_coverage import coverage
    from ..sim.fuzz_engines import ENGINES
    from ..sim.tools import find_simulator
    from .emit import emit
    from .inputs import open_config

    if count < 1:
        raise ValueError(f"--count must be at least 1, not {count}")
    if not 0 <= seed < (1 << 31) - count:
        raise ValueError(f"--seed must be in 0..{(1 << 31) - count - 1}, not {seed}")
    if not 0 <= engines <= len(ENGINES):
        raise ValueError(f"--engines must be in 0..{len(ENGINES)}, not {engines}")
    if engines and (changes or preset != "base"):
        raise ValueError("--engines has engines of its own: leave --preset and --set away")
    configs = ENGINES[:engines] or (open_config(preset, changes),)
    find_simulator(simulator.value)
    emitted = [(config, emit(config, out_dir / "rtl").verilog) for config in configs]
    start = time.monotonic()
    cases: list[fuzzer.Case] = []
    again = ["shiftwork", "fuzz", "--count", "1"]
    again += ["--engines", str(engines)] if engines else ["--preset", preset]
    for change in changes or []:
        again += ["--set", change]
    failures: list[dict[str, Any]] = []
    for case in fuzzer.fuzz_engines(emitted, count=count, seed=seed, simulator=simulator.value):
        cases.append(case)
        command = shlex.join([*again, "--simulator", simulator.value, "--seed", str(case.seed)])
        if case.trouble:
            failures.append(
                {"seed": case.seed, "engine": case.engine, "layers": case.layers,
                 "latency": asdict(case.latency), "trouble": case.trouble, "again": command}
            )  # fmt: skip
            log.print(f"seed {case.seed}: {case.trouble}\n  again: {command}", markup=False,
                      soft_wrap=True)  # fmt: skip
        elif log.is_terminal or len(cases) % 10 == 0:
            log.print(f"{len(cases)} of {count}, seed {case.seed}, {case.cycles:,} cycles, "
                      f"{len(failures)} failed", end="\r" if log.is_terminal else "\n")  # fmt: skip
    name = f"{engines} engines" if engines else configs[0].name
    figures = {
        "engine": name,
        "engines": dict(Counter(case.engine for case in cases)),
        "simulator": simulator.value,
        "networks": len(cases),
        "coverage": (covered := coverage((case.features for case in cases), *configs)),
        "layers": sum(len(case.layers) for case in cases),
        "values": sum(case.values for case in cases),
        "cycles": sum(case.cycles for case in cases),
        "seconds": round(time.monotonic() - start, 1),
        "failures": failures,
    }
    write_json(out_dir / "report.json", figures)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        seen = {**covered, **figures["engines"]} if engines else covered
        out.print("networks with: " + ", ".join(f"{what} {n}" for what, n in seen.items()),
                  soft_wrap=True)  # fmt: skip
        out.print(
            f"{len(cases)} networks, {figures['layers']:,} layers, {figures['values']:,} values, "
            f"{figures['cycles']:,} cycles on {name} in {simulator.value}, "
            f"{figures['seconds']} s: {len(failures)} failed", soft_wrap=True,
        )  # fmt: skip
    if failures:
        raise ToolError(f"{len(failures)} networks failed; the first again: {failures[0]['again']}")


def faults(
    count: Annotated[int, typer.Option(help="Faults, evenly of every kind; 4000 are all.")] = 300,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 1,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset or JSON file; by default two very small engines, one of which stores maps "
            "coded and without zeros."
        ),
    ] = None,
    changes: Set = None,
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/faults"),
    as_json: Json = False,
) -> None:
    """Inject faults: bad descriptors, closed windows, failing or silent memory, resets, starts.

    Each must end with its error code and layer, write nothing astray nor of a later layer, break
    no rule of AXI, and leave an engine that runs right after a reset. The engine's watchdog is set
    to 2^8 cycles. Damaged weights and tables the engine cannot see: the program file must tell.

    Example: shiftwork faults --count 1000 --seed 7
    """
    from ..sim import fault_campaign as campaign
    from ..sim.tools import find_simulator
    from .emit import emit
    from .inputs import changed, open_config

    if changes and not preset:
        raise ValueError("--set needs --preset: without it the bench has engines of its own")
    configs = (campaign.ENGINE, campaign.STORED)
    if preset:  # the watchdog's time is short unless --set says otherwise
        engine = open_config(preset).replace(watchdog_bits=campaign.WATCHDOG_BITS)
        configs = (changed(engine, changes),)
    find_simulator(simulator.value)
    chosen = campaign.draw_for([campaign.small_system(each) for each in configs], count, seed)
    verilog = [emit(system.config, out_dir / "rtl").verilog for system, _ in chosen]
    total = sum(len(drawn) for _, drawn in chosen)
    start = time.monotonic()
    outcomes = []
    for outcome in track(
        chain.from_iterable(
            campaign.run_campaign(system, path, drawn, simulator.value)
            for (system, drawn), path in zip(chosen, verilog, strict=True)
        ),
        f"{total} faults in {simulator.value}", total, console=log, disable=not log.is_terminal,
    ):  # fmt: skip
        outcomes.append(outcome)
        if outcome.trouble:
            fault = outcome.fault
            log.print(f"{fault.kind}: {fault.name}: {outcome.trouble}", markup=False,
                      soft_wrap=True)  # fmt: skip
    kinds = campaign.count_kinds(outcomes)
    wrong = [outcome for outcome in outcomes if outcome.trouble]
    figures = {
        "engines": [system.config.to_dict() for system, _ in chosen],
        "simulator": simulator.value,
        "faults": len(outcomes),
        "wrong": len(wrong),
        "seconds": round(time.monotonic() - start, 1),
        "kinds": [asdict(kind) for kind in kinds],
        "failures": [
            {"kind": o.fault.kind, "name": o.fault.name, "trouble": o.trouble} for o in wrong
        ],
    }
    path = write_json(out_dir / "report.json", figures)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        table = Table("fault", "of them ended with")
        for name in ("faults", "as stated", "stray writes", "early writes", "hangs", "recovered"):
            table.add_column(name, justify="right")
        for kind in kinds:
            ended = ", ".join(f"{number} {name}" for name, number in kind.codes.items())
            numbers = (kind.faults, kind.stated, kind.strays, kind.early, kind.hung, kind.recovered)
            table.add_row(kind.kind, ended, *map(str, numbers))
        table.add_section()
        names = ("faults", "stated", "strays", "early", "hung", "recovered")
        sums = [sum(getattr(kind, name) for kind in kinds) for name in names]
        table.add_row("all", f"{figures['seconds']} s", *map(str, sums))
        out.print(table)
        out.print(str(path), markup=False)
    if wrong:
        raise ToolError(f"{len(wrong)} of {len(outcomes)} faults did not end as they must")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("sim-zoo")(sim_zoo)
    app.command("fuzz")(fuzz)
    app.command("faults")(faults)
