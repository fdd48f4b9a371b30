from __future__ import annotations

import pytest
import torch

from shiftwork.model.calibrate import calibrate
from shiftwork.model.golden import run
from shiftwork.model.graph import AddNode, ConvNode, GlobalAverageNode, Graph
from shiftwork.model.predict import to_scores
from shiftwork.model.quantize import quantize
from shiftwork.model.rounding import driver, round_graph, round_steps
from shiftwork.model.rounding.columns import Columns

PICTURES = torch.randint(
    0, 256, (24, 4, 14, 14), generator=torch.Generator().manual_seed(1)
).byte()  # fmt: skip


def blocks(signed: bool = True) -> Graph:
    """Return a grouped, a depthwise and a strided convolution, a residual sum and two ends."""
    generator = torch.Generator().manual_seed(3)

    def conv(
        name: str, source: str, cin: int, cout: int, kernel: int, groups: int = 1,
        relu: bool = True, stride: int = 1,
    ) -> ConvNode:  # fmt: skip
        weight = torch.randn(cout, cin // groups, kernel, kernel, generator=generator)
        weight *= (cin // groups * kernel * kernel) ** -0.5
        bias = 0.2 * torch.randn(cout, generator=generator)
        pad = kernel // 2
        return ConvNode(name, source, name, weight, bias, (stride, stride),
                        (pad, pad, pad, pad), relu,
                        groups=groups, ceiling=6.0 if relu else None)  # fmt: skip

    nodes = [
        conv("stem", "x", 4, 8, 3, 2),
        conv("deep", "stem", 8, 8, 5, 8),
        conv("project", "deep", 8, 8, 1, relu=False),
        AddNode("sum", ("stem", "project"), "sum"),
        conv("down", "sum", 8, 12, 3, stride=2),
        conv("logits", "down", 12, 5, 1, relu=False),
        GlobalAverageNode("y", "logits", "y"),
    ]
    zero = 128 if signed else 0
    return Graph("blocks", "x", "y", (4, 14, 14), nodes, frac_bits=7, zero_point=zero)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return blocks()


@pytest.fixture(scope="module")
def scales(graph: Graph) -> dict[str, int]:
    return calibrate(graph, PICTURES.split(8))


def error(graph: Graph, scales: dict[str, int], **options: object) -> float:
    """Return the mean squared error of the scores on other pictures."""
    rounded = round_graph(graph, scales, PICTURES.split(8), **options)  # type: ignore[arg-type]
    network = quantize(graph, scales, rounded=rounded)
    x = torch.randint(0, 256, (16, 4, 14, 14), generator=torch.Generator().manual_seed(2)).byte()
    got = to_scores(network, run(network, x, keep=False)["y"])
    return float((got - graph.run(x)["y"].flatten(1)).square().mean())


def test_every_method_rounds_the_whole_network(graph: Graph, scales: dict[str, int]) -> None:
    errors = {name: error(graph, scales, method=name, terms=1)
              for name in ("greedy", "scale+bias", "compensated", "learned")}  # fmt: skip
    assert errors["compensated"] < 0.5 * errors["greedy"]
    assert errors["learned"] < 0.5 * errors["greedy"]
    assert error(graph, scales, terms=2) < errors["compensated"]


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "padding"),
    [((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)), ((3, 2), (2, 1), (1, 3), (0, 1, 2, 3)),
     ((1, 1), (3, 2), (1, 1), (0, 0, 0, 0))],
)  # fmt: skip
def test_columns_are_what_convolution_multiplies(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> None:
    x = torch.randint(0, 256, (3, 4, 14, 13)).byte()
    weight = torch.randn(8, 2, *kernel)
    node = ConvNode("c", "x", "y", weight, torch.zeros(8), stride, padding, dilation=dilation,
                    groups=2)  # fmt: skip
    columns = Columns(node, (14, 13), 1000, torch.Generator().manual_seed(0))(x, 128)
    assert columns.dtype == torch.uint8
    sums = (columns.float() - 128) @ weight.reshape(2, 4, -1).transpose(1, 2)
    top, left, bottom, right = padding
    padded = torch.nn.functional.pad(x.float() - 128, (left, right, top, bottom))
    want = torch.nn.functional.conv2d(padded, weight, None, stride, 0, dilation, 2).flatten(2)
    got = sums.reshape(2, 3, -1, 4).permute(1, 0, 3, 2).reshape(3, 8, -1)
    # all positions, in another order: sorted they are the same
    assert torch.allclose(got.sort(2).values, want.sort(2).values, atol=1e-3)


def test_rounded_inputs_are_the_integer_networks_own(
    graph: Graph, scales: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, torch.Tensor] = {}
    look = driver._Flow.look

    def spy(flow: driver._Flow, node: ConvNode, *rest: object) -> object:
        seen[node.name] = flow.stored[0][node.input].clone()
        return look(flow, node, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(driver._Flow, "look", spy)
    rounded = round_graph(graph, scales, PICTURES.split(8), terms=1, bits=3)
    tensors = run(quantize(graph, scales, rounded=rounded), PICTURES[:8])
    for node in graph.nodes:
        if isinstance(node, ConvNode):
            assert torch.equal(seen[node.name], tensors[node.input]), node.name


def test_the_seed_decides_and_nothing_else(
    graph: Graph, scales: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "POSITIONS", 50)  # fewer than there are: the seed draws them
    runs = [
        round_graph(graph, scales, PICTURES.split(8), bits=3, seed=seed) for seed in (4, 4, 5)
    ]  # fmt: skip
    same = [
        all(
            torch.equal(runs[0][name].weights.codes, other[name].weights.codes)
            and torch.equal(runs[0][name].bias, other[name].bias)
            for name in other
        )
        for other in runs
    ]
    assert same == [True, True, False]
    assert [*runs[0]] == ["stem", "deep", "project", "down", "logits"]


def test_terms_by_layer_and_progress(graph: Graph, scales: dict[str, int]) -> None:
    terms = {"stem": 3, "deep": 2, "project": 1, "down": 2, "logits": 1}
    told: list[tuple[str, int]] = []
    rounded = round_graph(
        graph, scales, PICTURES[:4].split(4), terms=terms, progress=lambda *a: told.append(a)
    )
    assert {name: r.weights.codebook.terms for name, r in rounded.items()} == terms
    assert told == [(name, i) for i, name in enumerate(terms, start=1)]
    network = quantize(graph, scales, rounded=rounded)
    assert [layer.weights.codebook.terms for layer in network.convolutions()] == [*terms.values()]


def test_bad_calls_are_refused(graph: Graph, scales: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs at least one calibration picture"):
        round_graph(graph, scales, [])
    with pytest.raises(ValueError, match="no rounding method 'best'"):
        round_graph(graph, scales, [PICTURES], method="best")
    with pytest.raises(ValueError, match="terms lacks convolution 'deep'"):
        round_graph(graph, scales, [PICTURES], terms={"stem": 1})
    all_one = dict.fromkeys(("stem", "deep", "project", "down", "logits"), 1)
    with pytest.raises(ValueError, match="no convolution 'head', which terms names"):
        round_graph(graph, scales, [PICTURES], terms=all_one | {"head": 1})
    with pytest.raises(ValueError, match=r"bits must be an integer in 2\.\.5"):
        round_graph(graph, scales, [PICTURES], bits=8)


def test_every_picture_is_learned_from(
    graph: Graph, scales: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SAMPLES", 3 * len(PICTURES))
    shades = (129 + 2 * torch.arange(24, dtype=torch.uint8)).view(24, 1, 1, 1)
    batches = shades.expand_as(PICTURES).split(8)
    step = next(iter(round_steps(graph, scales, batches, method="learned", terms=1, bits=4)))
    assert step.problem.samples is not None
    seen = step.problem.samples.x[0].amax(1) * 128  # of each column; a border has zeros, too
    found, counts = seen.unique(return_counts=True)
    assert found.tolist() == list(range(1, 49, 2)) and counts.tolist() == [3] * 24


def test_activations_nobody_reads_any_more_are_dropped(
    graph: Graph, scales: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[str] = []
    drop = driver._Flow.drop

    def spy(flow: driver._Flow, name: str) -> None:
        dropped.append(name)
        drop(flow, name)
        assert all(name not in tensors for tensors in flow.stored + flow.floats)

    monkeypatch.setattr(driver._Flow, "drop", spy)
    for _ in round_steps(graph, scales, [PICTURES[:2]], method="greedy", terms=1, bits=4):
        pass
    assert dropped == ["x", "deep", "stem", "project", "sum", "down", "logits"]
