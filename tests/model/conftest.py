"""Real weights and pictures, fetched once and shared by every test of the session."""

from __future__ import annotations

import pytest
import torch

from shiftwork.model.graph import Graph
from shiftwork.model.network import Network
from shiftwork.model.quantize import calibrate, quantize
from shiftwork.model.zoo import pictures, squeezenet


@pytest.fixture(scope="session")
def graph() -> Graph:
    return squeezenet.to_graph(squeezenet.load_float())


@pytest.fixture(scope="session")
def frac_bits(graph: Graph) -> dict[str, int]:
    chosen = pictures.calibration(12)
    return calibrate(graph, [torch.stack([squeezenet.PREPROCESS(p.open()) for p in chosen])])


@pytest.fixture(scope="session")
def network(graph: Graph, frac_bits: dict[str, int]) -> Network:
    return quantize(graph, frac_bits, terms=2, bits=4)


@pytest.fixture(scope="session")
def photo() -> torch.Tensor:
    return squeezenet.PREPROCESS(pictures.demo().open())[None]
