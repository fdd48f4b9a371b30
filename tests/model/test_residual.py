"""Depthwise, residual and leaky graphs through calibration and quantisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from shiftwork.model.golden import run
from shiftwork.model.graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    GlobalAverageNode,
    Graph,
    MaxPoolNode,
    Node,
    UpsampleNode,
    fold_batch_norm,
)
from shiftwork.model.network import Add, Conv
from shiftwork.model.quantize import calibrate, quantize, signed_tensors

PIXELS = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(9)).byte()


def bottleneck() -> Graph:
    """An inverted residual with ReLU6 and linear ends, a leaky part with a pyramid, two heads."""
    rng = torch.Generator().manual_seed(3)

    def conv(
        name: str,
        source: str,
        cin: int,
        cout: int,
        k: int,
        relu: bool = True,
        groups: int = 1,
        ceiling: float | None = None,
        leak: float = 0.0,
    ) -> ConvNode:
        weight = torch.randn(cout, cin // groups, k, k, generator=rng)
        weight *= (0.5 + torch.rand(cout, 1, 1, 1, generator=rng)) / (k * (cin / groups) ** 0.5)
        bias, b = torch.randn(cout, generator=rng) * 0.3, k // 2
        return ConvNode(
            name,
            source,
            name,
            weight,
            bias,
            (1, 1),
            (b, b, b, b),
            relu,
            (1, 1),
            groups,
            ceiling,
            leak,
        )

    nodes: list[Node] = [
        conv("stem", "x", 3, 12, 3, ceiling=6.0),
        conv("wide", "stem", 12, 24, 1, ceiling=1.5),
        conv("deep", "wide", 24, 24, 3, ceiling=6.0, groups=24),
        conv("thin", "deep", 24, 12, 1, relu=False),
        AddNode("sum", ("stem", "thin"), "sum"),
        conv("leaky", "sum", 12, 8, 3, leak=0.1),
        AveragePoolNode("half", "leaky", "half", (2, 2), (2, 2)),
        UpsampleNode("twice", "half", "twice"),
        ConcatNode("both", ("leaky", "twice"), "both"),
        AddNode("relu", ("leaky", "twice"), "relu", relu=True),
        conv("far", "relu", 8, 5, 3, relu=False),
        GlobalAverageNode("y", "both", "y"),
    ]
    return Graph(
        "bottleneck", "x", "y", (3, 16, 16), nodes, None, (), 7, 128, extra_outputs=("far",)
    )


@pytest.mark.parametrize("scale", ["layer", "channel"])
def test_integer_network_follows_the_float_one(scale: str) -> None:
    graph = bottleneck()
    frac_bits = calibrate(graph, PIXELS.split(4))
    network = quantize(graph, frac_bits, terms=4, bits=5, scale=scale)  # type: ignore[arg-type]
    info = network.tensors
    assert info["x"].zero_point == 128 and info["x"].frac_bits == 7
    assert {name for name, t in info.items() if not t.zero_point} == {
        "stem", "wide", "deep", "relu",
    }  # fmt: skip
    assert network.outputs == ("y", "far")
    fast, slow = run(network, PIXELS), run(network, PIXELS, exact="integer")
    assert all(torch.equal(fast[name], slow[name]) for name in slow)
    want = graph.run(PIXELS)
    for name in ("deep", "thin", "sum", "leaky", "both", "relu", "far", "y"):
        real = (fast[name].double() - info[name].zero_point) * 2.0 ** -info[name].frac_bits
        noise = (real - want[name]).square().mean() / want[name].square().mean()
        assert noise < 0.004, name
    wide = fast["wide"].double() * 2.0 ** -info["wide"].frac_bits
    assert float(wide.max()) == 1.5 == float(want["wide"].max())


def test_graph_equals_torch() -> None:
    graph = bottleneck()
    got = graph.run(PIXELS)
    deep = next(n for n in graph.nodes if isinstance(n, ConvNode) and n.name == "deep")
    x = (PIXELS.float() - 128) / 128
    assert torch.equal(got["x"], x)
    want = F.relu6(F.conv2d(got["wide"], deep.weight, deep.bias, padding=1, groups=24))
    assert torch.allclose(got["deep"], want, atol=1e-5)
    assert torch.equal(got["relu"], F.relu(got["leaky"] + got["twice"]))
    assert float(got["leaky"].min()) < 0 and graph.shapes()["twice"] == (8, 16, 16)


def test_addends_far_apart_are_brought_together() -> None:
    eye = torch.eye(3).view(3, 3, 1, 1)
    nodes: list[Node] = [
        ConvNode("big", "x", "big", eye, torch.zeros(3)),
        ConvNode("tiny", "x", "tiny", eye * 2.0**-12, torch.zeros(3)),
        MaxPoolNode("pool", "tiny", "pool", (1, 1), (1, 1)),
        AddNode("y", ("big", "pool"), "y"),
    ]
    graph = Graph("far", "x", "y", (3, 16, 16), nodes)
    frac_bits = calibrate(graph, [PIXELS])
    assert frac_bits["pool"] == frac_bits["tiny"] == frac_bits["big"] + 6
    layer = quantize(graph, frac_bits).layers[-1]
    assert isinstance(layer, Add) and layer.shifts == (6, 0)
    with pytest.raises(ValueError, match="layer 'y': the scales of 'big' and 'pool' are 7 bits"):
        quantize(graph, frac_bits | {"pool": frac_bits["big"] + 7, "tiny": frac_bits["big"] + 7})


def test_signs_spread_over_tensors_that_share_a_scale() -> None:
    one = torch.ones(1, 3, 1, 1)
    nodes: list[Node] = [
        ConvNode("a", "x", "a", one, torch.zeros(1)),
        ConvNode("b", "x", "b", one, torch.zeros(1), relu=False),
        ConcatNode("y", ("a", "b"), "y"),
    ]
    graph = Graph("mixed", "x", "y", (3, 16, 16), nodes)
    assert signed_tensors(graph) == {"a", "b", "y"}
    layer = quantize(graph, calibrate(graph, [PIXELS])).layers[0]
    assert isinstance(layer, Conv) and layer.requantiser.lo == 128  # ReLU still


def test_folded_batch_norm_equals_torchs() -> None:
    rng = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(6, 1, 3, 3, generator=rng), torch.randn(6, generator=rng)
    gamma, beta, mean = torch.randn(3, 6, generator=rng)
    variance = torch.rand(6, generator=rng) + 0.1
    x = torch.randn(2, 6, 5, 5, generator=rng)
    for before in (bias, None):
        want = F.batch_norm(
            F.conv2d(x, weight, before, groups=6), mean, variance, gamma, beta, eps=1e-3
        )
        folded = fold_batch_norm(
            weight, before, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=1e-3
        )
        assert torch.allclose(F.conv2d(x, *folded, groups=6), want, atol=1e-5)
