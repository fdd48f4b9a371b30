"""Engines side by side: size of the Verilog, area and clock on ECP5, ResNet8's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ..boards.top import Board
from ..hw.config import EngineConfig
from .bench_boards import bench_board
from .emit import emit
from .figures import synth_figures
from .files import write_json
from .peers import TERMS, picture_figures, resnet8_cycles
from .progress import Stages
from .synth import Target, synthesise, target_for

_COLUMNS = ("preset", "target", "lanes", "verilog_bytes", "lut", "ff", "bram", "dsp", "fmax_mhz")


def bench_presets(
    configs: list[EngineConfig],
    out_dir: Path,
    stages: Stages,
    target: Target | None = None,
    boards: Sequence[Board] = (),
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
    boards : sequence of Board
        Built and simulated whole.

    Returns
    -------
    list of dict
        One row per engine, then one per board, whose clock is the one it runs at.

    Raises
    ------
    ToolError
        If a tool fails, an engine does not fit, or a board's outputs are not the golden model's.
    ValueError
        If ResNet8 does not fit a board.
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
            "preset": config.name, "how": "estimated", "lanes": config.lanes,
            "verilog_bytes": size, **kept, "terms": TERMS, **pictures,
        })  # fmt: skip
    for board in boards:
        with stages.stage(f"Board {board.name}", board.name):
            rows.append(bench_board(board, out_dir / "boards" / board.name))
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
        cells = (row[name] for name in _COLUMNS)
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v or "") for v in cells))
    return table
