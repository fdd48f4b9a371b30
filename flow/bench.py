"""Engines side by side: size of the Verilog, area and clock on ECP5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig
from .emit import emit
from .figures import synth_figures
from .files import write_json
from .progress import Stages
from .synth import ECP5_25F, Target, synthesise

_COLUMNS = ("preset", "lanes", "verilog_bytes", "lut", "ff", "bram", "dsp", "fmax_mhz")


def bench_presets(
    configs: list[EngineConfig], out_dir: Path, stages: Stages, target: Target = ECP5_25F
) -> list[dict[str, Any]]:
    """Emit and synthesise each engine; write bench.json.

    Parameters
    ----------
    configs : list of EngineConfig
        Engines.
    out_dir : Path
        Folder of the Verilog and of bench.json.
    stages : Stages
        Progress display, entered.
    target : Target
        Device they are placed on.

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
            figures = synth_figures(synthesise(emitted.verilog, emitted.top, target=target))
        kept = {name: figures[name] for name in ("target", *_COLUMNS[3:])}
        size = emitted.verilog_bytes
        rows.append({"preset": config.name, "lanes": config.lanes, "verilog_bytes": size, **kept})
    write_json(out_dir / "bench.json", rows)
    return rows


def to_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table for the terminal."""
    target = rows[0]["target"] if rows else ""
    table = Table(title=f"Engines on {target}", title_justify="left")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), justify="left" if name == "preset" else "right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v := row[n], int) else str(v) for n in _COLUMNS))
    return table
