"""Engines side by side: size of the Verilog, area and clock on ECP5, ResNet8's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig
from .emit import emit
from .figures import synth_figures
from .files import write_json
from .peers import picture_figures, resnet8_cycles
from .progress import Stages
from .synth import Target, synthesise, target_for

_COLUMNS = ("preset", "target", "lanes", "verilog_bytes", "lut", "ff", "bram", "dsp", "fmax_mhz")


def bench_presets(
    configs: list[EngineConfig], out_dir: Path, stages: Stages, target: Target | None = None
) -> list[dict[str, Any]]:
    """Emit and synthesise each engine, predict ResNet8's cycles on it; write bench.json.

    Parameters
    ----------
    configs : list of EngineConfig
        Engines.
    out_dir : Path
        Folder of the Verilog and of bench.json.
    stages : Stages
        Progress display, entered.
    target : Target, optional
        Device they are placed on; for each engine the smallest it fits by default.

    Returns
    -------
    list of dict
        One row per engine.

    Raises
    ------
    ToolError
        If a tool fails, or an engine does not fit.
    """
    rows: list[dict[str, Any]] = []
    for config in configs:
        with stages.stage(f"Preset {config.name}", config.name):
            emitted = emit(config, out_dir / "rtl")
            figures = synth_figures(
                synthesise(emitted.verilog, emitted.top, target=target or target_for(config))
            )
            cycles = resnet8_cycles(config)
        kept = {name: figures[name] for name in ("target", *_COLUMNS[4:])}
        size = emitted.verilog_bytes
        pictures = picture_figures(cycles, figures["lut"], figures["fmax_mhz"])
        rows.append({
            "preset": config.name, "lanes": config.lanes, "verilog_bytes": size, **kept, **pictures,
        })  # fmt: skip
    write_json(out_dir / "bench.json", rows)
    return rows


def to_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table for the terminal."""
    table = Table()
    for name in _COLUMNS:
        table.add_column(
            name.replace("_", " "), justify="left" if name in ("preset", "target") else "right"
        )
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v := row[n], int) else str(v) for n in _COLUMNS))
    return table
