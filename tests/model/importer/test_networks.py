"""Whole networks: as modules, as exported programs, and as ONNX files written by torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from shiftwork.model.importer import from_exported, from_module, from_onnx
from shiftwork.model.zoo import MODELS, squeezenet

from .nets import (
    NETS,
    SIZE,
    GraphModule,
    MobileLike,
    ResNetLike,
    SqueezeLike,
    UNetLike,
    assert_close,
    assert_same_codes,
    convolutions,
    make,
    pictures,
    write_onnx,
)

SHAPE = (3, SIZE, SIZE)


@pytest.mark.parametrize("kind", NETS)
def test_graph_computes_what_the_module_does(kind: type[nn.Module]) -> None:
    module, x = make(kind), pictures()
    graph = from_module(module, SHAPE)
    got = graph.run(x)[graph.output]
    if kind is MobileLike:  # ends in softmax, which is left out
        assert graph.notes[0].startswith("aten.softmax at the end (module (the whole) (MobileLike)")
        got = got.flatten(1).softmax(1)
    assert_close(got, module(x.float()))


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("new", [True, False], ids=["new", "old"])
def test_onnx_written_by_torch_gives_the_same_codes(
    kind: type[nn.Module], new: bool, tmp_path: Path
) -> None:
    module, x = make(kind), pictures()
    graph = from_module(module, SHAPE)
    again = from_onnx(write_onnx(module, tmp_path / "net.onnx", SHAPE, new=new))
    assert_same_codes(graph, again)
    assert_close(again.run(x)[again.output], graph.run(x)[graph.output], 1e-5)


@pytest.mark.parametrize("kind", NETS)
def test_exported_program_gives_the_same_graph(kind: type[nn.Module], tmp_path: Path) -> None:
    module = make(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (torch.zeros(1, *SHAPE),))
        torch.export.save(program, tmp_path / "net.pt2")
    graph, again = from_module(module, SHAPE), from_exported(tmp_path / "net.pt2")
    assert again.name == "net"
    assert [node.name for node in graph.nodes] == [node.name for node in again.nodes]
    for one, other in zip(convolutions(graph), convolutions(again), strict=True):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


@pytest.mark.parametrize("name", ["resnet8", "person_detect"])
def test_networks_of_the_zoo_come_back_from_onnx(name: str, tmp_path: Path) -> None:
    graph = MODELS[name].load_float()
    path = write_onnx(GraphModule(graph).eval(), tmp_path / "net.onnx", graph.shape, new=False)
    again = from_onnx(path, frac_bits=graph.frac_bits, zero_point=graph.zero_point)
    assert_same_codes(graph, again)
    x = MODELS[name].input()
    assert_close(again.run(x)[again.output], graph.run(x)[graph.output], 1e-5)


def test_squeezenet_is_imported_as_it_was_written_by_hand() -> None:
    module = squeezenet.load_float()
    graph = from_module(module, (3, 227, 227))
    assert_same_codes(squeezenet.to_graph(module, names=False), graph)
    x = MODELS["squeezenet1_1"].input()
    assert_close(graph.run(x)[graph.output], module(x))


def test_convolutions_are_named_by_their_modules() -> None:
    graph = from_module(make(ResNetLike), SHAPE)
    assert [node.name for node in convolutions(graph)] == [
        "stem.0", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2",
        "layer1.1.short.0", "fc",
    ]  # fmt: skip
    others = [node.name for node in graph.nodes if node not in convolutions(graph)]
    assert others == ["stem.3", "layer1.0.add", "layer1.1.add", "pool"]
    assert graph.name == "ResNetLike" and graph.notes == ()


@pytest.mark.parametrize("new", [True, False], ids=["dynamo", "legacy"])
def test_onnx_files_keep_the_modules_names(new: bool, tmp_path: Path) -> None:
    module = make(ResNetLike)
    graph = from_onnx(write_onnx(module, tmp_path / "net.onnx", SHAPE, new=new))
    named = [node.name for node in convolutions(from_module(module, SHAPE))]
    assert [node.name for node in convolutions(graph)] == named


def test_everything_is_folded_and_fused() -> None:
    graph = from_module(make(MobileLike), SHAPE)
    assert [type(node).__name__ for node in graph.nodes] == [
        "ConvNode", "ConvNode", "ConvNode", "ConvNode", "AddNode", "GlobalAverageNode", "ConvNode",
    ]  # fmt: skip
    assert [(c.relu, c.ceiling) for c in convolutions(graph)[:4]] == [(True, 6.0)] * 3 + [
        (False, None)
    ]
    graph = from_module(make(SqueezeLike), SHAPE)
    first = convolutions(graph)[0]  # the mean is in its bias: nothing was padded
    want = make(SqueezeLike)
    mean = want.mean * want.conv1.weight  # type: ignore[operator]
    assert torch.allclose(first.bias, want.conv1.bias - mean.sum((1, 2, 3)), rtol=1e-4)  # type: ignore[operator]
    graph = from_module(make(UNetLike), SHAPE)
    assert [c.padding for c in convolutions(graph)] == [(1, 1, 1, 1)] * 3 + [(0, 0, 0, 0)]


def test_the_module_is_left_as_it_was() -> None:
    module = make(ResNetLike)
    module.train()
    module.layer1.eval()  # type: ignore[union-attr]
    before = {k: v.clone() for k, v in module.state_dict().items()}
    from_module(module, SHAPE)
    assert module.training and module.stem.training  # type: ignore[union-attr]
    assert not module.layer1.training  # type: ignore[union-attr]
    after = module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
