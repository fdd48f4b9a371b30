"""Float modules become modules in training, layer by layer; the rest is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftwork.model.importer import from_module
from shiftwork.model.network import Add, AveragePool, Conv, GlobalAveragePool
from shiftwork.model.train.convert import convert_graph, convert_module
from shiftwork.model.train.export import agreement
from shiftwork.model.train.fit import Recipe, fit
from shiftwork.model.train.layers import ShiftConv2d, ShiftLinear
from shiftwork.model.train.method import Method
from shiftwork.model.train.resnet import SmallResNet

from .toys import TOYS, Branches, Maps, Residual, pictures, shake, step_of


@pytest.mark.parametrize("toy", TOYS)
def test_before_calibration_only_the_weights_are_rounded(toy: Any) -> None:
    torch.manual_seed(0)
    model = shake(toy()).eval()
    module = convert_module(model, toy.shape, terms=4, bits=5, zero_point=128, frac_bits=7).eval()
    x = module.real(pictures(0, 3, toy.shape))
    assert not torch.allclose(module(x), model(x), atol=1e-5)
    for step in module.convolutions():
        model.get_submodule(step.name).weight = nn.Parameter(step.layer.weight)
    assert torch.allclose(module(x), model(x), atol=1e-5)


def test_layers_are_swapped_and_joined() -> None:
    module = convert_module(Residual(), Residual.shape, method="deepshift_ps", bits=3)
    steps: dict[str, Any] = {step.name: step for step in module.each()}
    assert list(steps) == ["stem.0", "conv", "add", "mean", "head"]
    stem, conv, head = steps["stem.0"], steps["conv"], steps["head"]
    assert isinstance(stem.layer, ShiftConv2d) and isinstance(head.layer, ShiftLinear)
    assert (stem.relu, stem.ceiling, conv.relu, steps["add"].relu) == (True, 6.0, False, True)
    assert isinstance(stem.norm, nn.BatchNorm2d) and head.norm is None
    signed = {name: step.quantiser.signed for name, step in steps.items()}
    assert signed == {"stem.0": False, "conv": True, "add": False, "mean": False, "head": True}
    assert module.quantiser.signed is False and module.quantiser.bits == 8


def test_the_float_module_is_left_alone() -> None:
    model = Residual()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    module = convert_module(model, Residual.shape)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_scales_that_must_be_shared_are() -> None:
    module = convert_module(shake(Branches()), Branches.shape)
    module.calibrate([pictures(1, 4, Branches.shape)])
    f = module.frac_bits()
    assert f["a"] == f["b"] == f["cat"] == f["pool"]
    a = step_of(module, "a").quantiser
    assert a.signed  # it joins the leaky branch, which has negative values


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("act_bits", [8, 5])
def test_calibrated_values_are_on_the_stored_grid(toy: Any, act_bits: int) -> None:
    module = convert_module(toy(), toy.shape, act_bits=act_bits)
    module.calibrate([pictures(1, 4, toy.shape)])
    seen: dict[str, torch.Tensor] = {}
    for step in module.each():
        step.register_forward_hook(lambda s, _, y: seen.__setitem__(str(s.output), y))  # type: ignore[arg-type]
    module(module.real(pictures(2, 4, toy.shape)))
    f = module.frac_bits()
    for step in module.each():
        stored = seen[step.output] * 2.0 ** f[step.output]
        assert torch.equal(stored, stored.round()), step.name
        assert float((stored.max() - stored.min()).detach()) <= 2**act_bits - 1


def test_a_graph_becomes_the_same_network_as_its_module() -> None:
    torch.manual_seed(3)
    model = shake(Residual()).eval()
    first = convert_module(model, Residual.shape, terms=4, bits=5)
    again = convert_graph(first.to_graph(), terms=4, bits=5)
    stored = pictures(0, 2, Residual.shape)
    for module in (first.eval(), again.eval()):
        graph = module.to_graph()
        want = graph.run(stored)[graph.output].flatten(1)
        assert torch.allclose(module(module.real(stored)), want, rtol=1e-4, atol=1e-4)
    kinds = [type(step) for step in first.each()]
    assert [type(step) for step in again.each()] == kinds


def test_the_exported_layers_are_the_engines() -> None:
    module = convert_module(shake(Maps()), Maps.shape, terms=2)
    module.calibrate([pictures(1, 4, Maps.shape)])
    layers = module.to_network().layers
    assert [type(layer) for layer in layers] == [Conv, Conv, Conv, Add, AveragePool]
    assert isinstance(layers[0], Conv) and layers[0].padding == (0, 0, 1, 1)
    module = convert_module(SmallResNet(1, 10, (4, 8), 1), (1, 8, 8))
    module.calibrate([pictures(1, 4, (1, 8, 8))])
    assert isinstance(module.to_network().layers[-2], GlobalAveragePool)


@pytest.mark.parametrize("method", ["deepshift_q", "deepshift_ps", "shiftcnn"])
def test_every_weight_is_trained(method: Method) -> None:
    module = convert_module(shake(Residual()), Residual.shape, method=method)
    module.calibrate([pictures(1, 8, Residual.shape)])
    module.train()
    F.cross_entropy(
        module(module.real(pictures(2, 8, Residual.shape))), torch.arange(8) % 5
    ).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_frozen_batch_norm_keeps_its_statistics() -> None:
    module = convert_module(shake(Residual()), Residual.shape)
    norm = step_of(module, "conv").norm
    before = norm.running_mean.clone()
    module.freeze_batch_norm()
    module.train()
    module(module.real(pictures(1, 8, Residual.shape)))
    assert torch.equal(norm.running_mean, before)
    module.freeze_batch_norm(False)
    module(module.real(pictures(1, 8, Residual.shape)))
    assert not torch.equal(norm.running_mean, before)


def layers(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(*parts)


class Calls(nn.Module):
    """One convolution, then whatever is called on its output."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.conv, self.call = nn.Conv2d(2, 2, 1), call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(self, self.conv(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (layers(nn.Conv2d(2, 2, 1), nn.Sigmoid()), "layer '1': Sigmoid is not supported"),
        (layers(nn.Conv3d(2, 2, 1)), "layer '0': Conv3d"),
        (layers(nn.Conv2d(3, 2, 1)), "'0': a convolution of 3 channels on"),
        (layers(nn.BatchNorm2d(2)), "'0': batch norm that does not follow a convolution alone"),
        (layers(nn.MaxPool2d(2), nn.ReLU()), "'1': an activation that does not follow"),
        (layers(nn.Conv2d(2, 2, 1), nn.Hardtanh()), "'1': hardtanh from -1"),
        (layers(nn.Conv2d(2, 2, 1), nn.Linear(9, 2)), "'1': a linear layer of 9 inputs"),
        (layers(nn.Conv2d(2, 2, 1, padding=1, padding_mode="circular")), "'0': .*not 'circular'"),
        (layers(nn.ZeroPad2d(1), nn.MaxPool2d(2)), "'1': padding before anything but"),
        (layers(nn.Conv2d(2, 2, 1), nn.AvgPool2d(2, padding=1, count_include_pad=False)),
         "'1': an average pool that does not count"),
        (layers(nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(2)), "'1': adaptive pooling"),
        (layers(nn.Conv2d(2, 2, 1), nn.Upsample(scale_factor=3)), "'1': upsampling other than"),
        (layers(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2, dilation=2)), "'1': max pooling with dilation"),
        (layers(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)),
         "'1': batch norm without running statistics"),
        (Calls(lambda m, x: x + 1.0), "'add': adding a number"),
        (Calls(lambda m, x: x * x), "'mul': mul is not supported"),
        (Calls(lambda m, x: m.conv(x)), "'conv': a layer that is used twice"),
        (Calls(lambda m, x: x.mean(1)), "'mean': a mean over anything but"),
        (Calls(lambda m, x: x.reshape(2, -1, 3)), "'reshape': reshaping to anything but"),
        (Calls(lambda m, x: F.pad(x, (1, 1, 1, 1), "reflect")), "'pad': padding by reflection"),
        (Calls(lambda m, x: F.relu(x)[:, [1, 0]]), "'getitem': slicing or indexing of a map"),
        (Calls(lambda m, x: F.relu(x)[:, :, ::2, ::2]), "'getitem': slicing or indexing of a map"),
        (Calls(lambda m, x: x.mT), "'getattr_1': the attribute 'mT' of a map"),
        (Calls(lambda m, x: x + x.shape[0]), "'add': an argument that is no feature map"),
        (Calls(lambda m, x: x.reshape(x.size(1), -1)), "'reshape': reshaping to anything but"),
        (Calls(lambda m, x: F.pad(F.relu(x), (1, 1, 1, 1))), "ends with zeros around a map"),
        (Calls(lambda m, x: torch.cat([x, x], 2)), "'cat': concatenation along anything but"),
        (Calls(lambda m, x: F.relu(x) + x), "'relu': an activation that does not follow .* alone"),
        (Calls(lambda m, x: x if x.sum() > 0 else -x), "torch.fx cannot trace Calls"),
    ],
)  # fmt: skip
def test_what_the_engine_does_not_have_is_refused_by_name(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert_module(model, (2, 3, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.view(x.size(0), -1),
        lambda m, x: x.reshape(x.shape[0], 18),
        lambda m, x: x.reshape((x.size()[0], -1)),
        lambda m, x: x.view(-1, 18),
    ],
)
def test_sizes_mean_something_to_a_reshape(call: Any) -> None:
    model = Calls(call)
    module = convert_module(model, (2, 3, 3), terms=4, bits=5)
    x = module.real(pictures(0, 2, (2, 3, 3)))
    model.conv.weight = nn.Parameter(step_of(module, "conv").layer.weight)
    assert torch.allclose(module(x), model(x), atol=1e-5) and module(x).shape == (2, 18)


def test_bad_numbers_are_refused() -> None:
    for options, message in [
        ({"terms": 5}, "layer 'stem.0': terms must be an integer in 1..4, not 5"),
        ({"act_bits": 9}, "act_bits must be in 2..8, not 9"),
        ({"zero_point": 3}, "the input's zero point must be 0 or 128, not 3"),
        ({"method": "lut"}, "layer 'stem.0': method must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            convert_module(Residual(), Residual.shape, **options)  # type: ignore[arg-type]
    module = convert_module(Residual(), Residual.shape)
    with pytest.raises(ValueError, match=r"layer 'stem.0' has no activation scale; calibrate"):
        module.to_network()
    with pytest.raises(ValueError, match="at least one picture"):
        module.calibrate([])


class Dense(nn.Module):
    """Batch norm behind a concatenation, a product with a constant: no step of its own has them."""

    shape = (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 4, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Conv2d(8, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm(torch.cat([self.one(x), self.two(x)], 1)))
        return (self.head(y) * 0.5).mean((2, 3))


def test_what_only_the_importer_reads_is_trained_as_its_graph() -> None:
    torch.manual_seed(0)
    model = shake(Dense()).eval()
    with pytest.raises(ValueError, match="norm"):
        convert_module(model, Dense.shape)
    graph = from_module(model, Dense.shape, frac_bits=8)
    module = convert_graph(graph, terms=4, bits=5, scale="channel")
    x = pictures(0, 32, Dense.shape)
    module.calibrate([x])
    with torch.no_grad():
        want, got = model(x.float() / 256), module.eval()(module.real(x))
    assert float((got - want).abs().max()) < 0.1 * float(want.abs().max())
    y = want.argmax(1)
    losses = fit(module, x, y, Recipe(epochs=6, batch=16, rate=1e-2))
    assert losses[-1] < losses[0]
    assert agreement(module, x).exact_values_differ == 0.0
