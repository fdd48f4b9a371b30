"""A detector's codes: its heads in one piece, what is drawn of them, which maps are coded."""

from __future__ import annotations

import pytest
import torch

from shiftwork.model.calibrate import calibrate
from shiftwork.model.codec.detector import CodedDetector
from shiftwork.model.codec.detector_bench import DetectorBench, backbone_groups
from shiftwork.model.graph import ConvNode, Graph
from shiftwork.model.quantize import activations_only, quantize
from shiftwork.model.zoo import nanodet
from shiftwork.model.zoo.detect import BINS

CLASSES = 3


def small() -> tuple[Graph, CodedDetector, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    numbers = CLASSES + 4 * BINS

    def conv(name: str, source: str, cin: int, cout: int, stride: int, relu: bool) -> ConvNode:
        weight = torch.randn(cout, cin, 1, 1, generator=generator) / cin**0.5
        return ConvNode(
            name, source, name, weight, torch.zeros(cout), (stride, stride), relu=relu
        )  # fmt: skip

    nodes = [
        conv("a", "x", 3, 8, 1, True),
        conv("fine", "a", 8, numbers, 1, False),
        conv("b", "a", 8, 8, 2, True),
        conv("coarse", "b", 8, numbers, 1, False),
    ]
    graph = Graph("small", "x", "fine", (3, 4, 4), nodes, frac_bits=6, extra_outputs=("coarse",))  # type: ignore[arg-type]
    x = torch.randint(256, (4, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return graph, CodedDetector(graph, calibrate(graph, [x])), x


def test_scores_are_all_heads() -> None:
    graph, network, x = small()
    scores = network.scores(x, {})
    fine, coarse = network.heads(scores)
    assert fine.shape == (4, 47, 4, 4) and coarse.shape == (4, 47, 2, 2)
    want = activations_only(graph, network.frac_bits, x)
    assert torch.allclose(fine, want, atol=1e-5)
    coded = network.heads(network.scores(x, {"b": torch.zeros_like}))
    assert torch.equal(coded[0], fine) and not torch.equal(coded[1], coarse)


def test_what_is_drawn_has_the_gradient_of_its_log_probability() -> None:
    _, network, x = small()
    scores = network.scores(x[:1], {}).double().requires_grad_()
    generator = torch.Generator().manual_seed(6)
    total = torch.zeros_like(scores)
    count = 400
    for _ in range(count):
        logs = network.drawn(scores, generator)
        assert float(logs.detach()) < 0
        total += torch.autograd.grad(logs, scores)[0]
    # the mean of such gradients is 0: of single draws they are up to 1 in size
    assert float((total / count).abs().max()) < 0.15
    fine = network.heads(torch.autograd.grad(network.drawn(scores, generator), scores)[0])[0]
    sure = network.heads(scores.detach())[0][:, :CLASSES].sigmoid()
    assert bool(((fine[:, :CLASSES] + sure).round(decimals=6) % 1 == 0).all())
    sides = fine[:, CLASSES:].unflatten(1, (4, BINS)).abs().sum(2)
    assert bool((sides <= 2 * sure.amax(1, keepdim=True)).all())


def test_the_backbone_is_what_comes_before_the_first_doubled_map() -> None:
    graph = nanodet.load_float()
    frac_bits = calibrate(graph, nanodet.calibration(2).split(1))
    groups = backbone_groups(graph, quantize(graph, frac_bits, terms=1, bits=2))
    assert all(len(group) == 1 for group in groups)
    names = sorted(name for group in groups for name in group)
    # neither the parts that are read by themselves, nor what is added to later maps
    assert names == sorted(["pool0", *(f"concat{number}" for number in range(12))])


@pytest.mark.slow
def test_the_detector_finds_less_with_fewer_bits() -> None:
    bench = DetectorBench(scenes=8, crops=12)
    by = {(row.code, round(row.bits)): row for row in bench.rows()}
    assert by["float, no code", 32].precision > 0.6
    assert by["table", 4].precision > by["linear", 4].precision
    assert by["table", 4].precision >= by["linear", 3].precision
    assert all(row.scenes == 8 and row.objects >= 8 for row in by.values())
    choices = bench.choices()
    assert len(choices["tables of 4 bits"]) == len(bench.names)
