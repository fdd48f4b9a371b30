"""Each operation against torch: as a module, and through ONNX as torch's old exporter writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftwork.model.graph import ConvNode
from shiftwork.model.importer import UnsupportedError, from_module, from_onnx

from .nets import assert_close, make, pictures, write_onnx

SHAPE = (3, 12, 12)
Tensor = torch.Tensor
Layers = dict[str, Callable[[], nn.Module]]


class Function(nn.Module):
    """A function of layers and the picture."""

    def __init__(self, layers: Layers, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: layer() for name, layer in layers.items()})
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(*self.layers.values(), x)


@dataclass(frozen=True)
class Case:
    """A function, its layers, and the kinds of nodes it must become."""

    name: str
    function: Callable[..., Tensor]
    layers: tuple[Callable[[], nn.Module], ...]
    nodes: str
    onnx: bool = True

    def module(self) -> nn.Module:
        layers = {f"part{index}": layer for index, layer in enumerate(self.layers)}
        return make(lambda: Function(layers, self.function))  # type: ignore[arg-type]


def conv(i: int = 3, o: int = 6, k: int = 3, **more: object) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(i, o, k, **more)  # type: ignore[arg-type]


def norm(count: int) -> Callable[[], nn.Module]:
    return lambda: nn.BatchNorm2d(count)


def linear(i: int, o: int) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(i, o)


def pair(x: Tensor) -> Tensor:
    return torch.tensor([0.5, 2.0, 4.0]).view(1, 3, 1, 1) * x


C, A, P, V, G, U, K = "C", "A", "P", "V", "G", "U", "K"  # nodes, as KINDS names them
KINDS = {"ConvNode": C, "AddNode": A, "MaxPoolNode": P, "AveragePoolNode": V,
         "GlobalAverageNode": G, "UpsampleNode": U, "ConcatNode": K}  # fmt: skip

CASES = (
    # convolutions
    Case("stride", lambda c, x: c(x), (conv(k=4, stride=(2, 3), padding=(1, 2)),), "C"),
    Case("dilation", lambda c, x: c(x), (conv(dilation=2, padding=2),), "C"),
    Case("groups", lambda c, x: c(x), (conv(3, 6, groups=3, bias=False),), "C"),
    Case("same", lambda c, x: c(x), (conv(k=5, padding="same"),), "C"),
    Case("valid", lambda c, x: c(x), (conv(k=2, padding="valid"),), "C"),
    Case("computed", lambda c, x: F.conv2d(x, c.weight / 2, c.bias), (conv(),), "C"),
    Case("twice", lambda c, x: c(c(x)), (conv(3, 3),), "CC"),
    # batch norm and constants
    Case("norm_after", lambda c, b, x: b(c(x)), (conv(groups=3), norm(6)), "C"),
    Case("norm_before", lambda b, c, x: c(b(x)), (norm(3), conv()), "C"),
    Case("norm_before_groups", lambda b, c, x: c(b(x)), (norm(3), conv(groups=3)), "C"),
    Case("norm_before_padding", lambda b, c, x: c(b(x)), (norm(3), conv(padding=1)), "CC"),
    Case("scale_before_padding", lambda c, x: c(x * 3), (conv(padding=1),), "C"),
    Case("two_norms", lambda c, b, d, x: d(b(c(x))), (conv(), norm(6), norm(6)), "C"),
    Case("norm_of_a_pool", lambda b, c, x: c(b(F.max_pool2d(x, 2))), (norm(3), conv()), "PC"),
    Case("norm_and_relu", lambda c, b, d, x: d(b(torch.cat([c(x), c(x)], 1)).relu()),
         (conv(), norm(12), conv(12, 4)), "CCKCC", False),
    Case("norm_of_shared", lambda c, b, x: torch.cat([c(x), b(c(x))], 1),
         (conv(), norm(6)), "CCK", False),
    Case("shared_map", lambda c, b, x: (lambda y: torch.cat([y, b(y)], 1))(c(x)),
         (conv(), norm(6)), "CCK"),
    Case("vector_norm", lambda c, d, b, x: b(d(c(x).flatten(1))),
         (conv(3, 2, 6, stride=2), linear(32, 8), lambda: nn.BatchNorm1d(8)), "CC"),
    Case("constants", lambda c, x: 1 - (c((pair(x) - 2.0) / 4 + 1) * 0.5), (conv(),), "C"),
    Case("scaled_map", lambda c, x: torch.add(torch.ones(1), c(x), alpha=3.0), (conv(),), "C"),
    Case("negated", lambda c, x: -c(-x), (conv(),), "C"),
    # activations
    Case("relu", lambda c, x: c(x).relu(), (conv(),), "C"),
    Case("relu6", lambda c, x: F.relu6(c(x)), (conv(),), "C"),
    Case("hardtanh", lambda c, x: F.hardtanh(c(x), 0, 9.0), (conv(),), "C"),
    Case("clamp", lambda c, x: c(x).clamp(max=5.0), (conv(),), "C"),
    Case("clamp_min", lambda c, x: c(x).clamp(min=0), (conv(),), "C"),
    Case("leaky", lambda c, x: F.leaky_relu(c(x), 0.125), (conv(),), "C"),
    Case("prelu", lambda c, p, x: p(c(x)), (conv(), nn.PReLU), "C"),
    Case("relu_then_clamp", lambda c, x: c(x).relu().clamp(0, 7).relu(), (conv(),), "C"),
    Case("leaky_then_clamp", lambda c, x: F.leaky_relu(c(x), 0.25).clamp(max=3), (conv(),), "C"),
    Case("after_pool", lambda c, x: F.max_pool2d(c(x), 2).relu(), (conv(),), "CP"),
    Case("after_upsampling", lambda c, x: F.interpolate(c(x), scale_factor=2.0).relu(),
         (conv(),), "CU"),
    Case("after_shared", lambda c, x: (lambda y: y + y.relu())(c(x)), (conv(),), "CCA"),
    Case("after_concat", lambda c, d, x: torch.cat([c(x), d(x)], 1).relu(),
         (conv(), conv()), "CCKC"),
    Case("after_average", lambda c, x: F.avg_pool2d(c(x), 2).relu(), (conv(),), "CVC"),
    Case("no_use_after_relu", lambda c, x: F.avg_pool2d(c(x).relu(), 2).relu(), (conv(),), "CV"),
    # pools
    Case("max_pool", lambda x: F.max_pool2d(x, 3, 2, 1), (), "P"),
    Case("max_pool_ceil", lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), (), "P"),
    Case("max_pool_ceil_padded", lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), (), "P"),
    Case("max_pool_of_negative", lambda c, x: F.max_pool2d(c(x), 3, 1, 1), (conv(),), "CP"),
    Case("average", lambda x: F.avg_pool2d(x, (2, 3), 2), (), "V"),
    Case("average_padded", lambda x: F.avg_pool2d(x, 3, 2, 1), (), "V"),
    Case("average_whole", lambda x: F.avg_pool2d(x, 12), (), "G"),
    Case("average_ceil_even", lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True), (), "V"),
    Case("average_uncounted", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (), "V"),
    Case("average_ceil", lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), (), "V"),
    Case("average_ceil_padded", lambda x: F.avg_pool2d(x, 4, 3, 1, ceil_mode=True), (), "V"),
    Case("average_ceil_uncounted", lambda c, x: F.avg_pool2d(
        F.pad(c(x), (1, 0, 0, 1)), 3, 2, 1, ceil_mode=True, count_include_pad=False), (conv(),),
        "CV"),
    Case("adaptive_one", lambda x: F.adaptive_avg_pool2d(x, 1), (), "G"),
    Case("adaptive", lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (), "V"),
    Case("adaptive_max", lambda x: F.adaptive_max_pool2d(x, 4), (), "P"),
    Case("mean", lambda x: x.mean((2, 3), keepdim=True), (), "G"),
    Case("mean_of_flat", lambda c, x: c(x).flatten(2).mean(-1), (conv(),), "CG"),
    Case("mean_of_one", lambda x: F.adaptive_avg_pool2d(x, 1).mean((2, 3)), (), "G"),
    # joining
    Case("add", lambda c, d, x: (c(x) + d(x)).relu(), (conv(), conv()), "CCA"),
    Case("add_of_positive", lambda c, d, x: c(x).relu() + d(x).relu(), (conv(), conv()), "CCA"),
    Case("add_in_place", lambda c, d, x: c(x).add_(d(x)), (conv(), conv()), "CCA"),
    Case("concat_of_three", lambda c, x: torch.cat([x, c(x), x * 2], 1), (conv(padding=1),), "CCK"),
    Case("concat_of_vectors", lambda c, d, x: d(torch.cat([c(x).mean((2, 3)), x.mean((2, 3))], 1)),
         (conv(), linear(9, 4)), "CGGKC"),
    Case("concat_of_flat", lambda c, e, d, x: d(torch.cat([c(x).flatten(1), e(x).flatten(1)], 1)),
         (conv(3, 2, 6, stride=3), conv(3, 3, 6, stride=3), linear(45, 4)), "CCKC"),
    # shapes
    Case("flatten_map", lambda c, d, x: d(torch.flatten(c(x), 1)),
         (conv(3, 4, 6), linear(196, 5)), "CC"),
    Case("view", lambda c, d, x: d(c(x).view(x.size(0), -1)),
         (conv(3, 4, 6), linear(196, 5)), "CC"),
    Case("reshape_and_back", lambda c, d, x: d(c(x).reshape(-1, 6, 100).view(-1, 6, 10, 10)),
         (conv(), conv(6, 2)), "CC"),
    Case("squeeze", lambda d, x: d(x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1)),
         (linear(3, 4),), "GC"),
    Case("unsqueeze", lambda c, x: c(x.mean((2, 3)).unsqueeze(-1).unsqueeze(-1)),
         (conv(k=1),), "GC"),
    Case("permute_of_one",
         lambda d, x: d(x.mean((2, 3), keepdim=True).permute(0, 2, 3, 1).flatten(1)),
         (linear(3, 4),), "GC"),
    Case("matmul", lambda d, x: x.mean((2, 3)) @ d.weight.t() + d.bias, (linear(3, 4),), "GC"),
    Case("two_linear", lambda d, e, x: e(d(x.mean((2, 3))).relu()),
         (linear(3, 8), linear(8, 4)), "GCC"),
    Case("dropout", lambda c, p, q, x: q(p(c(x))), (conv(), nn.Dropout, nn.Dropout2d), "C"),
    Case("identity", lambda c, i, x: i(c(x)).contiguous(), (conv(), nn.Identity), "C"),
    # upsampling and padding
    Case("upsample", lambda u, x: u(x), (lambda: nn.Upsample(scale_factor=2),), "U"),
    Case("upsample_4", lambda x: F.interpolate(x, size=(48, 48)), (), "UU"),
    Case("pad_conv", lambda c, x: c(F.pad(x, (0, 1, 2, 3))), (conv(stride=2, padding=1),), "C"),
    Case("pad_module", lambda p, c, x: c(p(x)), (lambda: nn.ZeroPad2d((1, 0, 1, 0)), conv()), "C"),
    Case("pad_pool", lambda c, x: F.max_pool2d(F.pad(c(x).relu(), (0, 1, 0, 1)), 3, 2),
         (conv(),), "CP"),
    Case("pad_pool_signed", lambda c, x: F.max_pool2d(F.pad(c(x), (0, 1, 0, 1)), 3, 2),
         (conv(),), "CCP"),
    Case("norm_pad_pool", lambda b, x: F.max_pool2d(F.pad(b(F.avg_pool2d(x, 2)), (1, 1, 1, 1)), 3),
         (norm(3),), "VCCP"),
    Case("pad_padded_pool", lambda x: F.max_pool2d(F.pad(x, (2, 2, 2, 2)), 3, 2, 1), (), "CP"),
    Case("norm_mean_relu", lambda b, x: b(F.avg_pool2d(x, 2)).mean((2, 3)).relu(),
         (norm(3),), "VCGC"),
    Case("pad_average", lambda c, x: F.avg_pool2d(F.pad(c(x), (1, 1, 1, 1)), 2), (conv(),), "CV"),
    Case("pad_relu_conv", lambda c, d, x: d(F.pad(c(x), (1, 1, 1, 1)).relu()),
         (conv(), conv(6, 2)), "CC"),
    Case("norm_pad_relu", lambda b, c, x: c(F.relu6(F.pad(b(F.max_pool2d(x, 2)), (1, 1, 1, 1)))),
         (norm(3), conv()), "PCC"),
    Case("norm_pad_conv", lambda b, c, x: c(F.pad(b(x), (1, 1, 1, 1))), (norm(3), conv()), "CC"),
    Case("pad_twice_and_add", lambda c, x: F.pad(F.pad(c(x), (1, 0, 0, 0)), (0, 1, 1, 1)) + x,
         (conv(3, 3),), "CCA"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operation(case: Case, tmp_path: Path) -> None:
    module, x = case.module(), pictures(2, *SHAPE[:2])
    want = module(x.float())
    graphs = [from_module(module, SHAPE)]
    if case.onnx:
        graphs.append(from_onnx(write_onnx(module, tmp_path / "net.onnx", SHAPE, new=False)))
    for graph in graphs:
        assert_close(graph.run(x)[graph.output], want, 1e-5)
        kinds = "".join(KINDS[type(node).__name__] for node in graph.nodes)
        assert kinds == case.nodes
        assert all(n.weight.dtype == torch.float32 for n in graph.nodes if isinstance(n, ConvNode))
    pairs = zip(graphs[0].nodes, graphs[-1].nodes, strict=True)
    for node, other in pairs:
        if isinstance(node, ConvNode) and isinstance(other, ConvNode):
            assert torch.allclose(node.weight, other.weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "function", "layers", "says"), [
    ("kernel", lambda c, x: c(x), (conv(k=9),), "kernel 9 x 9, engines run 1..7"),
    ("dilation", lambda c, x: c(x), (conv(dilation=3),), "dilation 3 x 3"),
    ("reflect", lambda c, x: c(x), (conv(padding=1, padding_mode="reflect"),), "pad with zeros"),
    ("crop", lambda c, x: c(F.pad(x, (-1, 0, 0, 0))), (conv(),), "not cropped"),
    ("divisor", lambda x: F.avg_pool2d(x, 2, divisor_override=3), (), "divisor"),
    ("adaptive", lambda x: F.adaptive_avg_pool2d(x, 5), (), "windows of several sizes"),
    ("factor", lambda x: F.interpolate(x, scale_factor=3), (), "only factors of 2, 4, 8"),
    ("bilinear", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (), "nearest"),
    ("hardtanh", lambda c, x: F.hardtanh(c(x)), (conv(),), "cuts to -1.0..1.0"),
    ("bound", lambda c, x: torch.clamp(c(x), min=torch.tensor(0.0)), (conv(),), "TypeError"),
    ("slope", lambda c, x: F.leaky_relu(c(x), -0.5), (conv(),), "slope -0.5"),
    ("rows", lambda c, x: torch.cat([c(x), c(x)], 2), (conv(),), "along axis 2"),
    ("sizes", lambda c, x: c(x) + c(x)[:, :1], (conv(),), "aten.slice"),
    ("broadcast", lambda c, x: c(x) + x.mean((2, 3), keepdim=True)[:, :1], (conv(),), "slice"),
    ("spread", lambda c, x: c(x) + c(x).mean((2, 3), keepdim=True), (conv(),), "equal shapes"),
    ("column", lambda c, x: c(x) + torch.arange(10.0), (conv(),), "shape (10,)"),
    ("transpose", lambda c, x: c(x).transpose(2, 3), (conv(),), "reorders the dimensions"),
    ("channels_last", lambda d, x: d(x.permute(0, 2, 3, 1)), (linear(3, 4),), "channels first"),
    ("map_linear", lambda d, x: d(x), (linear(12, 4),), "flatten to one vector"),
    ("mixed", lambda c, x: c(x.reshape(-1, 12, 12, 3)), (conv(12, 3),), "wants a map"),
    ("one_mean", lambda x: x.mean(1), (), "mean over all rows and columns"),
    ("indices", lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), (), "result"),
    ("inside", lambda c, x: c(x.softmax(1)), (conv(),), "inside the network"),
    ("axis", lambda c, x: c(x).softmax(2), (conv(),), "axis 2"),
])  # fmt: skip
def test_refused(
    name: str,
    function: Callable[..., Tensor],
    layers: tuple[Callable[[], nn.Module], ...],
    says: str,
) -> None:
    module = Case(name, function, layers, "").module()
    with pytest.raises(UnsupportedError) as caught:
        from_module(module, SHAPE)
    line = str(caught.value)
    assert says in line and "\n" not in line
    assert line.startswith("node '") and "module " in line and "; " in line
