"""A small network with random weights, its maps stored in 8 bits."""

from dataclasses import replace

import pytest
import torch

from shiftwork.model.codec.coded import CodedGraph
from shiftwork.model.graph import ConcatNode, ConvNode, GlobalAverageNode, Graph, MaxPoolNode
from shiftwork.model.quantize import calibrate


@pytest.fixture(scope="package")
def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randint(256, (96, 3, 4, 4), generator=generator).float()
    return torch.nn.functional.interpolate(coarse, 16, mode="bilinear").to(torch.uint8)


@pytest.fixture(scope="package")
def coded(pictures: torch.Tensor) -> CodedGraph:
    generator = torch.Generator().manual_seed(2)

    def conv(name: str, source: str, cin: int, cout: int, k: int, relu: bool = True) -> ConvNode:
        weight = torch.randn(cout, cin, k, k, generator=generator) / (cin * k * k) ** 0.5
        border = (k // 2,) * 4
        return ConvNode(name, source, name, weight, torch.zeros(cout), (1, 1), border, relu)  # type: ignore[arg-type]

    last = conv("f", "e", 16, 10, 1)
    nodes = [
        conv("a", "x", 3, 8, 3),
        MaxPoolNode("p", "a", "p", (2, 2), (2, 2)),
        conv("b", "p", 8, 6, 1),
        conv("c", "b", 6, 8, 3),
        conv("d", "b", 6, 8, 1, relu=False),
        ConcatNode("e", ("c", "d"), "e"),
        replace(last, weight=4 * last.weight),
        GlobalAverageNode("out", "f", "out"),
    ]
    graph = Graph("toy", "x", "out", (3, 16, 16), nodes, frac_bits=5)  # type: ignore[arg-type]
    return CodedGraph(graph, calibrate(graph, pictures.split(24)))
