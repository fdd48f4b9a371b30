"""A whole network in codes of one size."""

import pytest
import torch

from shiftwork.model.codec.whole import code_whole
from shiftwork.model.golden import run
from shiftwork.model.graph import ConvNode, GlobalAverageNode, Graph, MaxPoolNode
from shiftwork.model.quantize import calibrate, quantize


def test_every_map_that_may_be_is_coded_and_little_is_lost() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(256, (14, 3, 9, 9), generator=generator, dtype=torch.uint8)

    def conv(name: str, source: str, cin: int, cout: int) -> ConvNode:
        weight = torch.randn(cout, cin, 1, 1, generator=generator)
        return ConvNode(name, source, name, weight, torch.zeros(cout), relu=name != "e")

    nodes = [
        conv("a", "x", 3, 8),
        MaxPoolNode("p", "a", "p", (3, 3), (2, 2), (1, 1, 1, 1)),
        conv("c", "p", 8, 8),
        conv("e", "c", 8, 5),
        GlobalAverageNode("out", "e", "out"),
    ]
    graph = Graph("toy", "x", "out", (3, 9, 9), nodes)  # type: ignore[arg-type]
    network = quantize(graph, calibrate(graph, [x]))
    coarse, fine = (code_whole(graph, network, x, bits) for bits in (2, 6))
    assert set(fine.codes) == {"a", "p", "c", "e"}  # the input and the scores stay
    assert {code.bits for code in fine.codes.values()} == {6}
    want = run(network, x)["out"].double()
    errors = [float((run(n, x)["out"].double() - want).abs().mean()) for n in (coarse, fine)]
    assert errors[1] < 0.25 * errors[0]


def test_a_network_without_classes_is_refused() -> None:
    node = ConvNode("a", "x", "a", torch.ones(4, 3, 1, 1), torch.zeros(4))
    graph = Graph("map", "x", "a", (3, 5, 5), [node])
    x = torch.zeros(2, 3, 5, 5, dtype=torch.uint8)
    with pytest.raises(ValueError, match="which map has not"):
        code_whole(graph, quantize(graph, {"x": 0, "a": 0}), x, 4)
