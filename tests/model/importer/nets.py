"""Small modules in the style of known networks, and what the importer's tests compare."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from shiftwork.model.codebook import Codebook
from shiftwork.model.graph import ConvNode, Graph, apply_node

SIZE = 20
BOOK = Codebook(2, 4)


class Block(nn.Module):
    """Residual block with batch norm; a strided 1x1 convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.short(x)
        return self.relu(y)


class ResNetLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 12, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.pool(self.layer1(self.stem(x))), 1))


class MobileLike(nn.Module):
    """Inverted residuals: depthwise convolutions, ReLU6, linear ends, dropout."""

    def __init__(self) -> None:
        super().__init__()

        def layer(i: int, o: int, k: int, stride: int, groups: int) -> list[nn.Module]:
            conv = nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False)
            return [conv, nn.BatchNorm2d(o), nn.ReLU6(inplace=True)]

        self.stem = nn.Sequential(*layer(3, 8, 3, 2, 1))
        self.block = nn.Sequential(
            *layer(8, 24, 1, 1, 1), *layer(24, 24, 3, 1, 24),
            nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.block(x)
        return self.head(x.mean([2, 3])).softmax(1)


class SqueezeLike(nn.Module):
    """Fire module, ceil-mode pools, scores from a convolution; mean subtracted inside."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.expand1, self.expand3 = nn.Conv2d(4, 8, 1), nn.Conv2d(4, 8, 3, padding=1)
        self.conv10 = nn.Conv2d(16, 9, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.conv1(x - self.mean)))
        x = F.relu(self.squeeze(x))
        x = torch.cat([F.relu(self.expand1(x)), F.relu(self.expand3(x))], 1)
        return F.relu(self.conv10(self.pool(x))).mean((2, 3))


class UNetLike(nn.Module):
    """Down, up by nearest, concatenation with what was before; leaky ReLU; a map as result."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3, 2, 1)
        self.deep = nn.Conv2d(6, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.merge = nn.Conv2d(14, 6, 3)
        self.act = nn.LeakyReLU(0.1)
        self.out = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = self.act(self.down(x))
        low = self.act(self.norm(self.deep(high)))
        low = F.interpolate(low, scale_factor=2, mode="nearest")
        both = torch.cat([high, low], 1)
        return self.out(self.act(self.merge(F.pad(both, (1, 1, 1, 1)))))


NETS: tuple[type[nn.Module], ...] = (ResNetLike, MobileLike, SqueezeLike, UNetLike)


class GraphModule(nn.Module):
    """A graph as a module of PyTorch, to write it as ONNX."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for node in graph.nodes:
            if isinstance(node, ConvNode):
                self.register_buffer(f"{node.name}_weight", node.weight)
                self.register_buffer(f"{node.name}_bias", node.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tensors = {self.graph.input: x}
        for node in self.graph.nodes:
            tensors[node.output] = apply_node(node, [tensors[name] for name in node.inputs])
        return tensors[self.graph.output]


def make(kind: type[nn.Module], seed: int = 3) -> nn.Module:
    """Return a module with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    module = kind()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module.eval().requires_grad_(False)


def pictures(count: int = 3, channels: int = 3, size: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def assert_close(got: torch.Tensor, want: torch.Tensor, limit: float = 1e-4) -> None:
    """Compare a graph's result with a module's, relative to the largest value."""
    assert got.numel() == want.numel()
    error = (got.flatten() - want.flatten()).abs().max() / want.abs().max()
    assert float(error) < limit


def convolutions(graph: Graph) -> list[ConvNode]:
    return [node for node in graph.nodes if isinstance(node, ConvNode)]


def assert_same_codes(a: Graph, b: Graph) -> None:
    """Expect the same nodes with the same codes for every weight."""
    assert [type(node) for node in a.nodes] == [type(node) for node in b.nodes]
    pairs = list(zip(convolutions(a), convolutions(b), strict=True))
    assert pairs
    for one, other in pairs:
        for scale in ("layer", "channel"):
            first, second = (BOOK.quantize(node.weight, scale) for node in (one, other))
            assert torch.equal(first.codes, second.codes)
            assert torch.allclose(first.scale, second.scale, rtol=1e-6)
        assert torch.allclose(one.bias, other.bias, rtol=1e-5, atol=1e-6)
        for field in ("stride", "padding", "dilation", "groups", "relu", "ceiling"):
            assert getattr(one, field) == getattr(other, field)
        assert abs(one.leak - other.leak) < 1e-6


def write_onnx(module: nn.Module, path: Path, shape: tuple[int, ...], *, new: bool) -> Path:
    """Write a module by torch's new exporter, or by the old one that goes by tracing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, *shape),), path, dynamo=new, verbose=False,
            external_data=False, input_names=["image"], opset_version=18 if new else 17,
        )  # fmt: skip
    return path
