"""The detector: its file reader, its boxes, its network on real photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftwork.model.golden import run
from shiftwork.model.graph import ConvNode, Graph
from shiftwork.model.network import Conv, Upsample
from shiftwork.model.zoo import MODELS, nanodet
from shiftwork.model.zoo.detect import decode, intersection_over_union, suppress
from shiftwork.model.zoo.packages import fetch
from shiftwork.model.zoo.pictures import Picture
from shiftwork.model.zoo.tfjs import read_tfjs

PHOTOS = {
    "person": ("scikit-image", "skimage/data/astronaut.png"),
    "cup": ("scikit-image", "skimage/data/coffee.png"),
    "motorcycle": ("scikit-image", "skimage/data/motorcycle_left.png"),
    "dog": ("neurocorgi-sdk", "neurocorgi_sdk/assets/corgi.jpg"),
}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return nanodet.load_float()


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    photos = [Picture(package, fetch(package) / path) for package, path in PHOTOS.values()]
    return torch.stack([nanodet.PREPROCESS(photo.open()) for photo in photos])


def test_float_network_finds_the_objects(graph: Graph, x: torch.Tensor) -> None:
    convs = [node for node in graph.nodes if isinstance(node, ConvNode)]
    assert len(convs) == 34 + 2  # and two filters that double a map
    assert 3.78e6 < sum(n.weight.numel() + n.bias.numel() for n in convs) < 3.80e6
    values = graph.run(x)
    assert [values[name].shape[1:] for name in graph.outputs] == [
        (124, 52, 52), (124, 26, 26), (124, 13, 13),
    ]  # fmt: skip
    for index, label in enumerate(PHOTOS):
        found = decode([values[name][index] for name in graph.outputs], nanodet.LABELS)
        assert label in [d.label for d in found[:2]] and found[0].score > 0.5
    motorcycle = decode([values[name][2] for name in graph.outputs], nanodet.LABELS)[0]
    assert motorcycle.box == pytest.approx((0.14, 0.15, 0.93, 0.91), abs=0.02)


def test_integer_network_finds_them_too(x: torch.Tensor) -> None:
    network = MODELS["nanodet"].load_quantized(terms=2, bits=4, pictures=4)
    leaky = [c for c in network.convolutions() if c.requantiser.slope]
    assert len(leaky) == 28 and {c.requantiser.slope_factor for c in leaky} == {13}
    assert {t.zero_point for t in network.tensors.values()} == {128}
    found = nanodet.detections(network, run(network, x, keep=False))
    for label, objects in zip(PHOTOS, found, strict=True):
        assert label in [d.label for d in objects[:3]]
    one = x[:1]
    fast = run(network, one, until="concat1")
    slow = run(network, one, until="concat1", exact="integer")
    assert all(torch.equal(fast[name], slow[name]) for name in slow)


def test_doubling_a_map_is_bilinear_inside(graph: Graph, x: torch.Tensor) -> None:
    network = MODELS["nanodet"].load_quantized(terms=1, bits=4, pictures=1)
    up = next(layer for layer in network.layers if isinstance(layer, Upsample))
    blur = next(layer for layer in network.convolutions() if layer.input == up.output)
    assert isinstance(blur, Conv) and blur.groups == 128
    exact = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    assert torch.equal(blur.weights.dequantize()[7, 0].float(), exact)
    values = graph.run(x[:1])
    want = F.interpolate(values[up.input], scale_factor=2, mode="bilinear")
    got = values[blur.output]
    assert torch.allclose(got[..., 1:-1, 1:-1], want[..., 1:-1, 1:-1], atol=1e-4)


def test_boxes_of_a_worked_head() -> None:
    head = torch.full((2 + 44, 4, 4), -20.0)
    head[1, 2, 1] = 3.0  # class 1 at row 2, column 1: middle (0.375, 0.625)
    bins = head[2:].view(4, 11, 4, 4)
    for side, distance in enumerate((1, 2, 0, 1)):
        bins[side, distance, 2, 1] = 20.0
    (found,) = decode([head], ("cat", "dog"))
    assert found.label == "dog" and found.score == pytest.approx(0.9526, abs=1e-4)
    assert found.box == pytest.approx((0.125, 0.125, 0.375, 0.875), abs=1e-6)
    assert decode([head], ("cat", "dog"), threshold=0.99) == []


def test_suppression_keeps_the_surer_box_of_a_class() -> None:
    box = torch.tensor([[0, 0, 4, 4], [0, 0, 4, 3], [0, 0, 4, 3], [5, 5, 9, 9]]).double()
    assert intersection_over_union(box[0], box).tolist() == [1.0, 0.75, 0.75, 0.0]
    score = torch.tensor([0.6, 0.9, 0.7, 0.2])
    kind = torch.tensor([1, 1, 2, 1])
    assert suppress(box, score, kind, 0.5) == [1, 2, 3]
    assert suppress(box, score, kind, 0.8) == [1, 2, 0, 3]


def model_file(folder: Path, op: str = "LeakyRelu", alpha: float = 0.1) -> Path:
    """A file with one convolution, an activation and a split."""
    kernel = np.arange(6, dtype=np.float16).reshape(1, 1, 3, 2)
    (folder / "net.bin").write_bytes(kernel.tobytes() + np.array([1.5, -2], "f4").tobytes())
    weights = [
        {"name": "w", "shape": [1, 1, 3, 2], "dtype": "float32",
         "quantization": {"dtype": "float16"}},
        {"name": "b", "shape": [2], "dtype": "float32"},
    ]  # fmt: skip
    nodes = [
        {"name": "s", "op": "SplitV", "input": ["a"]},
        {"name": "x", "op": "Placeholder"}, {"name": "w", "op": "Const"},
        {"name": "b", "op": "Const"},
        {"name": "c", "op": "Conv2D", "input": ["x", "w"],
         "attr": {"strides": {"list": {"i": ["1", "1", "1", "1"]}}}},
        {"name": "d", "op": "Add", "input": ["c", "b"]},
        {"name": "a", "op": op, "input": ["d"], "attr": {"alpha": {"f": alpha}}},
    ]  # fmt: skip
    document = {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["net.bin"], "weights": weights}],
    }
    path = folder / "net.json"
    path.write_text(json.dumps(document))
    return path


def test_model_files(tmp_path: Path) -> None:
    path = model_file(tmp_path)
    graph = read_tfjs(path, "net", (3, 4, 4), 0.1)
    (node,) = graph.nodes
    assert isinstance(node, ConvNode) and node.relu and node.leak == 0.1
    assert node.weight[:, :, 0, 0].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert node.bias.tolist() == [1.5, -2.0] and graph.output == "conv0"
    with pytest.raises(ValueError, match=r"a has slope 0\.2, not 0\.1"):
        read_tfjs(model_file(tmp_path, alpha=0.2), "net", (3, 4, 4), 0.1)
    with pytest.raises(ValueError, match="a is an operation that is not known: Elu"):
        read_tfjs(model_file(tmp_path, op="Elu"), "net", (3, 4, 4), 0.1)
    (tmp_path / "net.bin").write_bytes(b"short")
    with pytest.raises(ValueError, match="not a TensorFlow"):
        read_tfjs(path, "net", (3, 4, 4), 0.1)
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"net\.json: not a TensorFlow\.js graph model"):
        read_tfjs(path, "net", (3, 4, 4), 0.1)
    with pytest.raises(ValueError, match="cannot read it"):
        read_tfjs(tmp_path / "none.json", "net", (3, 4, 4), 0.1)
