"""Small float modules of every kind of layer the training reads."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shiftwork.model.train.module import ShiftModule


class Residual(nn.Module):
    """Batch norm, ReLU6, a sum, a global mean, a linear layer."""

    shape = (3, 12, 10)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.conv = nn.Conv2d(8, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = F.relu(self.norm(self.conv(x)) + x)
        return self.head(x.mean((2, 3)))


class Branches(nn.Module):
    """Concatenation, max pooling in ceil mode, leaky ReLU, upsampling, depthwise, flatten."""

    shape = (4, 9, 9)

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 6, 1)
        self.b = nn.Conv2d(4, 5, 3, padding=1)
        self.act = nn.LeakyReLU(0.1)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.depth = nn.Conv2d(11, 11, 3, padding=1, groups=11)
        self.norm = nn.BatchNorm2d(11)
        self.up = nn.Upsample(scale_factor=2)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(11 * 4 * 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([F.relu(self.a(x)), self.act(self.b(x))], 1)
        x = F.hardtanh(self.norm(self.depth(self.pool(x))), 0.0, 6.0)
        x = F.avg_pool2d(self.up(x), 2)
        return self.fc(self.drop(x).view(x.size(0), -1))


class Maps(nn.Module):
    """Outputs that are maps, a padded convolution, linear bottlenecks, no batch norm."""

    shape = (2, 7, 8)

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.down = nn.Conv2d(2, 6, 3, 2)
        self.flat = nn.Conv2d(6, 6, 1)
        self.other = nn.Conv2d(6, 6, (1, 3), padding=(0, 1), dilation=1)
        self.pool = nn.AvgPool2d(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.flat(self.down(self.pad(x)))
        return self.pool(F.leaky_relu(x + self.other(x), 0.2))


class Functions(nn.Module):
    """What other toys do with modules, by functions and methods."""

    shape = (3, 10, 10)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 3))
        self.bn = nn.BatchNorm2d(4, affine=False)
        self.fc, self.last = nn.Linear(16, 12), nn.BatchNorm1d(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.a(x))
        x = torch.add(x, F.leaky_relu(self.b(x))).relu()
        x = F.interpolate(F.max_pool2d(x, 2), scale_factor=2)
        x = F.pad(F.adaptive_avg_pool2d(x, 4), (1, 0, 2, 1))
        x = F.dropout(torch.relu(self.bn(self.c(x))), training=False).mean([2, 3], keepdim=True)
        x = torch.cat([x, x], dim=1)
        x = torch.cat([x, x], dim=1)
        return self.last(self.fc(x.reshape(x.shape[0], -1)))


TOYS = (Residual, Branches, Maps, Functions)


def pictures(seed: int, count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms uneven numbers, some gammas negative, one zero."""
    rng = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            n = part.num_features
            if part.affine:
                part.weight.data = torch.randn(n, generator=rng)
                part.weight.data[0] = 0.0
                part.bias.data = torch.randn(n, generator=rng) * 0.3
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.copy_(torch.randn(n, generator=rng) * 0.2)
            part.running_var.copy_(torch.rand(n, generator=rng) + 0.2)
    return module


def step_of(module: ShiftModule, name: str) -> Any:
    """A step by its name, of whatever kind."""
    return {step.name: step for step in module.each()}[name]


def same_state(a: ShiftModule, b: ShiftModule) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
