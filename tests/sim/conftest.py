"""What the benches of whole engines share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import EngineConfig


@pytest.fixture(scope="session")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Callable[[EngineConfig], Path]:
    """Return a function from a config to its Verilog, emitted once."""
    emitted: dict[EngineConfig, Path] = {}

    def of(config: EngineConfig) -> Path:
        if config not in emitted:  # names alone are used again in other files
            emitted[config] = emit(config, tmp_path_factory.mktemp("rtl")).verilog
        return emitted[config]

    return of
