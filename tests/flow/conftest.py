"""Shared results: one small design synthesised once per run of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.flow.emit import emit_component
from shiftwork.flow.synth import SynthResult, synthesise

from .designs import Columns


@pytest.fixture(scope="session")
def columns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, SynthResult]:
    """Return (Verilog, cache folder, result) of four small columns."""
    folder = tmp_path_factory.mktemp("columns")
    verilog = emit_component(Columns(4), "columns", folder).verilog
    return verilog, folder / "cache", synthesise(verilog, "columns", cache=folder / "cache")
