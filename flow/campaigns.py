"""Commands that run many networks through the Verilog: ``sim-zoo`` and ``fuzz``."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .options import Bits, Engine, Json, Out, Set, Sim, Simulator, Terms
from .tools import ToolError

out = Console(highlight=False)
log = Console(stderr=True)


def sim_zoo(
    names: Annotated[list[str] | None, typer.Argument(help="Networks; all by default.")] = None,
    preset: Engine = "base",
    changes: Set = None,
    terms: Terms = 2,
    bits: Bits = 4,
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/zoo"),
    as_json: Json = False,
) -> None:
    """Run the networks of the zoo through the Verilog: cycles, stalls, traffic, mismatches.

    Example: shiftwork sim-zoo resnet8 person_detect
    """
    from ..model.codebook import Codebook
    from ..sim.tools import find_simulator
    from .emit import emit
    from .inputs import open_config
    from .progress import Stages
    from .zoo import choose, run_network, to_json, to_table

    config = open_config(preset, changes)
    Codebook(terms, bits)
    chosen = choose(names)
    find_simulator(simulator.value)
    rows = []
    with Stages(log) as stages:
        with stages.stage("Emit the Verilog"):
            emitted = emit(config, out_dir / "rtl")
        for name in chosen:
            rows.append(run_network(name, config, emitted.verilog, stages, terms=terms, bits=bits,
                                    simulator=simulator.value))  # fmt: skip
    report = to_json(config, rows)
    text = json.dumps(report, indent=2)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "report.json"
    path.write_text(text + "\n", encoding="utf-8")
    refused = [row for row in rows if row.refused]
    if as_json:
        typer.echo(text)
    else:
        wide = Console(highlight=False, width=max(out.width, 170))
        wide.print(to_table(rows))
        for row in refused:
            out.print(f"{row.network} is refused: {row.refused}", markup=False, soft_wrap=True)
        out.print(str(path), markup=False)
    wrong = [row for row in rows if row.trouble]
    if wrong:
        raise ToolError(
            f"the Verilog differs from the golden model: {wrong[0].network}: {wrong[0].trouble[0]}"
        )
    if names and refused:
        raise ToolError(f"engine {config.name} cannot run {refused[0].network}")


def fuzz(
    count: Annotated[int, typer.Option(help="Networks to run.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the first network; then one more each.")] = 1,
    preset: Engine = "base",
    changes: Set = None,
    simulator: Sim = Simulator.verilator,
    out_dir: Out = Path("build/fuzz"),
    as_json: Json = False,
) -> None:
    """Run random small networks and memories through the Verilog against the golden model.

    Example: shiftwork fuzz --count 1000 --seed 5000
    """
    from ..sim import fuzz as fuzzer
    from ..sim.tools import find_simulator
    from .emit import emit
    from .inputs import open_config

    config = open_config(preset, changes)
    find_simulator(simulator.value)
    emitted = emit(config, out_dir / "rtl")
    start = time.monotonic()
    cases: list[fuzzer.Case] = []
    again = ["shiftwork", "fuzz", "--count", "1", "--preset", preset]
    for change in changes or []:
        again += ["--set", change]
    failures: list[dict[str, Any]] = []
    for case in fuzzer.fuzz(
        config, emitted.verilog, count=count, seed=seed, simulator=simulator.value
    ):
        cases.append(case)
        command = shlex.join([*again, "--simulator", simulator.value, "--seed", str(case.seed)])
        if case.trouble:
            failures.append(asdict(case) | {"again": command})
            log.print(f"seed {case.seed}: {case.trouble}\n  again: {command}", markup=False,
                      soft_wrap=True)  # fmt: skip
        elif log.is_terminal or len(cases) % 10 == 0:
            log.print(f"{len(cases)} of {count}, seed {case.seed}, {case.cycles:,} cycles, "
                      f"{len(failures)} failed", end="\r" if log.is_terminal else "\n")  # fmt: skip
    figures = {
        "engine": config.name,
        "simulator": simulator.value,
        "networks": len(cases),
        "layers": sum(len(case.layers) for case in cases),
        "values": sum(case.values for case in cases),
        "cycles": sum(case.cycles for case in cases),
        "seconds": round(time.monotonic() - start, 1),
        "failures": failures,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=2)
    (out_dir / "report.json").write_text(text + "\n", encoding="utf-8")
    if as_json:
        typer.echo(text)
    else:
        out.print(
            f"{len(cases)} networks, {figures['layers']:,} layers, {figures['values']:,} values, "
            f"{figures['cycles']:,} cycles on {config.name} in {simulator.value}, "
            f"{figures['seconds']} s: {len(failures)} failed", soft_wrap=True,
        )  # fmt: skip
    if failures:
        raise ToolError(f"{len(failures)} networks failed; the first again: {failures[0]['again']}")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("sim-zoo")(sim_zoo)
    app.command("fuzz")(fuzz)
