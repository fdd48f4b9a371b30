"""Real weights and pictures, fetched once and shared by every test of the session."""

from __future__ import annotations

import os

import pytest
import torch

from shiftwork.model.graph import Graph
from shiftwork.model.network import Network
from shiftwork.model.quantize import calibrate, quantize
from shiftwork.model.zoo import pictures, squeezenet

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the workers share the cores already


@pytest.fixture(scope="session")
def graph() -> Graph:
    return squeezenet.to_graph(squeezenet.load_float())


@pytest.fixture(scope="session")
def frac_bits(graph: Graph) -> dict[str, int]:
    chosen = pictures.calibration(8)
    return calibrate(graph, [torch.stack([squeezenet.PREPROCESS(p.open()) for p in chosen])])


@pytest.fixture(scope="session")
def network(graph: Graph, frac_bits: dict[str, int]) -> Network:
    return quantize(graph, frac_bits, terms=2, bits=4)


@pytest.fixture(scope="session")
def photo() -> torch.Tensor:
    return squeezenet.PREPROCESS(pictures.demo().open())[None]
