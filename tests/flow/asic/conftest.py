"""A standard-cell library and a workload that needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shiftwork.flow.array_workload import Scene
from shiftwork.flow.asic.library import OSU018, Library, find_library
from shiftwork.flow.tools import find_tool
from shiftwork.model.codebook import Codebook
from shiftwork.model.fixed import Requantiser
from shiftwork.model.network import Conv


@pytest.fixture(scope="session")
def library() -> Library:
    if not (OSU018 / "osu018_stdcells.lib").exists() or find_tool("sta") is None:
        pytest.skip("needs apt-get install opensta qflow-tech-osu018")
    return find_library()


def scene(seed: int, top: int = 255) -> Scene:
    """A 3x3 layer of 8 channels to 4 on a map of 8 x 8 whose values reach ``top``."""
    rng = np.random.default_rng(seed)
    weights = rng.laplace(0, 0.1, (4, 8, 3, 3))
    acts = np.where(rng.random((8, 8, 8)) < 0.4, 0, rng.integers(0, top + 1, (8, 8, 8)))
    layer = Conv(
        "c", "x", "y", (3, 3), (1, 1), (1, 1, 1, 1),
        Codebook(1, 4).quantize(torch.from_numpy(weights), "channel"),
        Requantiser.from_real(np.ones(4), np.zeros(4)),
    )  # fmt: skip
    return Scene(layer, weights, acts.astype(np.uint8))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
