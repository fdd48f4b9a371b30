"""The zoo's networks with their real weights; every test fetches packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftwork.model.golden import run
from shiftwork.model.graph import AddNode, ConvNode, Graph
from shiftwork.model.network import Conv
from shiftwork.model.predict import to_scores
from shiftwork.model.zoo import MODELS, fashion_mnist
from shiftwork.model.zoo.keras import read_keras, same_padding
from shiftwork.model.zoo.loader import Labelled, spread

SMALL = ("resnet8", "person_detect")


def parameters(graph: Graph) -> int:
    convs = [node for node in graph.nodes if isinstance(node, ConvNode)]
    return sum(node.weight.numel() + node.bias.numel() for node in convs)


def scores(graph: Graph, x: torch.Tensor) -> torch.Tensor:
    return graph.run(x)[graph.output].flatten(1)


@pytest.mark.parametrize(("name", "right", "pictures"), [
    ("resnet8", 18, 20), ("person_detect", 25, 25),
])  # fmt: skip
def test_small_float_networks_are_the_published_ones(name: str, right: int, pictures: int) -> None:
    loader = MODELS[name]
    assert loader.labelled is not None
    known, graph = loader.labelled(None), loader.load_float()
    assert len(known.classes) == pictures
    assert known.right(scores(graph, known.x)) == right


@pytest.mark.parametrize("name", SMALL)
def test_small_integer_networks_follow_the_float_ones(name: str) -> None:
    loader = MODELS[name]
    assert loader.labelled is not None
    known, graph = loader.labelled(None), loader.load_float()
    network = loader.load_quantized(terms=2, bits=4, pictures=16)
    stored = run(network, known.x)
    some = run(network, known.x[:2], exact="integer")
    assert all(torch.equal(some[t], stored[t][:2]) for t in some)
    got = to_scores(network, stored[network.output])
    agree = (got.argmax(1) == scores(graph, known.x).argmax(1)).sum()
    assert int(agree) >= len(known.classes) - 2
    assert network.classes == graph.classes and loader.input().shape[1:] == graph.shape
    if name == "person_detect":
        deep = [layer for layer in network.convolutions() if layer.groups > 1]
        assert len(deep) == 13 and all(layer.weights.scale.ndim == 1 for layer in deep)
    else:
        assert sum(isinstance(node, AddNode) for node in graph.nodes) == 3


def test_efficientnet_is_the_published_one() -> None:
    loader = MODELS["efficientnet_lite0"]
    assert loader.labelled is not None
    graph = loader.load_float()
    assert 4.6e6 < parameters(graph) < 4.7e6
    shapes = graph.shapes()
    macs = sum(
        n.weight.numel() * shapes[n.output][1] * shapes[n.output][2]
        for n in graph.nodes
        if isinstance(n, ConvNode)
    )
    assert 380e6 < macs < 390e6
    known = loader.labelled(24)
    assert known.right(scores(graph, known.x)) >= 18
    network = loader.load_quantized(terms=2, bits=4, pictures=8)
    first, stored = next(network.convolutions()), run(network, known.x[:2])
    assert first.padding == (0, 0, 1, 1) and network.tensors["pixels"].zero_point == 128
    six = [t for t in stored if t.endswith(("expand", "depthwise"))]
    for name in six:
        info = network.tensors[name]
        assert info.zero_point == 0 and int(stored[name].max()) <= 6 * 2**info.frac_bits
    assert {t.zero_point for n, t in network.tensors.items() if "add" in n} == {128}


def test_efficientnet_sees_what_the_original_preprocessing_gives() -> None:
    loader = MODELS["efficientnet_lite0"]
    graph = loader.load_float()
    first = graph.nodes[0]
    assert isinstance(first, ConvNode)
    x = loader.input()
    bias = first.bias - first.weight.sum((1, 2, 3)) / 128  # the network's own
    padded = F.pad((x.float() - 127) / 128, (0, 1, 0, 1))
    want = F.conv2d(padded, first.weight, bias, 2).clamp(0, 6)
    got = graph.run(x)["stem"]
    assert torch.allclose(got[..., :-1, :-1], want[..., :-1, :-1], atol=1e-4)


def test_fashion_mnist_learns_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    weights = fashion_mnist.train(1, 4000, losses.append)
    again = fashion_mnist.train(1, 4000)
    assert all(torch.allclose(again[name], weights[name], atol=1e-3) for name in weights)
    known = fashion_mnist.labelled(500)
    graph = fashion_mnist.to_graph(weights)
    assert known.right(scores(graph, known.x)) > 250 and losses[0] < 2.0
    fashion_mnist.read("t10k")  # fetched before the folder changes
    monkeypatch.setattr(fashion_mnist, "data_root", lambda: tmp_path)
    monkeypatch.setattr(fashion_mnist, "train", lambda: weights)
    fashion_mnist.load_float()
    kept = fashion_mnist.load_float()
    assert torch.equal(scores(kept, known.x), scores(graph, known.x))
    assert capsys.readouterr().err.count("training the Fashion-MNIST network once") == 1
    (tmp_path / "fashion_mnist-trained.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not the trained weights"):
        fashion_mnist.load_float()


def test_fashion_mnist_on_the_test_pictures() -> None:
    loader = MODELS["fashion_mnist"]
    assert loader.labelled is not None
    known = loader.labelled(1000)
    network = loader.load_quantized(terms=2, bits=4)
    stored = run(network, known.x, keep=False)[network.output]
    assert known.right(to_scores(network, stored)) > 820
    assert loader.input().shape == (1, 1, 28, 28)


def test_keras_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"net\.h5: not a Keras model in HDF5"):
        read_keras(path, "net")


@pytest.mark.parametrize("size", [7, 8, 14, 15])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding(size: int, kernel: int, stride: int) -> None:
    top, left, bottom, right = same_padding((size, size), (kernel, kernel), (stride, stride))
    assert (top, bottom) == (left, right) and bottom - top in (0, 1)
    assert (size + top + bottom - kernel) // stride + 1 == -(-size // stride)


def test_labelled_pictures_count_accepted_classes() -> None:
    known = Labelled(torch.zeros(3, 1, 1, 1), ((0,), (1, 2), (0,)))
    got = torch.from_numpy(np.array([[3.0, 2, 1], [0, 1, 5], [0, 2, 1]]))
    assert known.right(got) == 2 and known.right(got, 3) == 3
    assert spread(10, 3) == [0, 3, 6] and spread(2, None) == [0, 1]


def test_every_network_has_a_name_of_its_own_and_a_picture() -> None:
    assert all(loader.name == name and loader.title for name, loader in MODELS.items())
    assert MODELS["resnet8"].demo().size == (32, 32)
    network = MODELS["resnet8"].load_quantized(pictures=4)
    assert isinstance(network.layers[0], Conv)
