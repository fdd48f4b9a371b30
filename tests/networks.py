"""Random integer networks whose feature maps use their whole range."""

from __future__ import annotations

from random import Random

import numpy as np
import torch

from shiftwork.model.codebook import Codebook
from shiftwork.model.fixed import Requantiser
from shiftwork.model.means import counts_of
from shiftwork.model.network import AveragePool, Conv, Network, TensorInfo, window_size
from shiftwork.sim.builder import NetworkBuilder

__all__ = ["NetworkBuilder", "dense_net", "edge_pool", "mean_of", "random_conv", "u_net"]


def mean_of(channels: int, count: int, zero_point: int) -> Requantiser:
    """The requantiser that divides by a count."""
    return Requantiser.from_real(np.full(channels, 1 / count), np.array(float(zero_point)))


def edge_pool(
    shape: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int, int, int], left_out: tuple[int, int, int, int], zero_point: int = 0,
) -> Network:  # fmt: skip
    """A network of one average pool, p, that leaves some of its padding out of the mean."""
    channels, *size = shape
    counts = counts_of((size[0], size[1]), kernel, stride, padding, left_out)
    whole = kernel[0] * kernel[1]
    edges = tuple((n, mean_of(channels, n, zero_point)) for n in counts.distinct if n != whole)
    rq = mean_of(channels, whole, zero_point)
    layer = AveragePool("p", "x", "y", kernel, stride, padding, rq, left_out, edges)
    out = window_size((size[0], size[1]), kernel, stride, padding, (1, 1))
    tensors = {"x": TensorInfo("x", *shape, 0, zero_point),
               "y": TensorInfo("y", channels, *out, 0, zero_point)}  # fmt: skip
    return Network("pool", "x", "y", tensors, [layer])


def dense_net(b: NetworkBuilder) -> None:
    """A DenseNet's block: every layer reads all before it, 3 channels each; then a transition."""
    features = [b.conv(6, (3, 3), padding=(1, 1, 1, 1), source="input")]
    for _ in range(4):
        squeezed = b.conv(8, source=b.concat(*features))
        features.append(b.conv(3, (3, 3), padding=(1, 1, 1, 1), source=squeezed))
    whole = b.concat(*features)
    shortcut = b.conv(18, source=features[0])
    b.add(whole, shortcut)
    b.average_pool((2, 2), (2, 2))


def u_net(b: NetworkBuilder) -> None:
    """A U-Net of two levels of 5 and 9 channels that joins the picture and every level again."""

    def double(channels: int) -> str:
        b.conv(channels, (3, 3), padding=(1, 1, 1, 1))
        return b.conv(channels, (3, 3), padding=(1, 1, 1, 1))

    levels = []
    for channels in (5, 9):
        levels.append(double(channels))
        b.max_pool((2, 2), (2, 2))
    double(7)
    for level, channels in ((levels[1], 9), (levels[0], 5)):
        size = b.tensors[level]
        up = b.upsample()
        if b.tensors[up].height != size.height or b.tensors[up].width != size.width:
            extra = (size.height - b.tensors[up].height, size.width - b.tensors[up].width)
            up = b.max_pool((1, 1), (1, 1), (0, 0, *extra))
        b.concat(level, up)
        double(channels)
    last = b.concat("input", levels[0], b.last)
    b.add(last, b.conv(b.tensors[last].channels, source=last))


def random_conv(seed: int) -> tuple[Network, torch.Tensor]:
    """A one-layer network of a random shape that has at least one output, and its input."""
    rng = Random(seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        kernel = (rng.randint(1, 7), rng.randint(1, 7))
        stride = (rng.randint(1, 4), rng.randint(1, 4))
        dilation = rng.choice([(1, 1), (1, 1), (2, 1), (2, 2)])
        padding = tuple(rng.randint(0, 3) for _ in range(4))
        size = (rng.randint(1, 40), rng.randint(1, 40))
        out = window_size(size, kernel, stride, padding, dilation)  # type: ignore[arg-type]
        if min(out) >= 1:
            break
    cin, cout, terms, bits = rng.randint(1, 70), rng.randint(1, 70), rng.randint(1, 3), 4
    act_bits = rng.choice([8, 8, 8, 5])
    zero = rng.choice([0, 0, 1 << (act_bits - 1)])
    float_weights = torch.randn(cout, cin, *kernel, generator=generator)
    weights = Codebook(terms, bits).quantize(float_weights, rng.choice(["layer", "channel"]))
    # outputs spread over about the stored range, some of them clamped
    spread = 60.0 / (weights.integers().double().flatten(1).norm(dim=1) * 2.0**act_bits + 1)
    offset = torch.rand(cout, generator=generator).double() * 200 - 40
    rq = Requantiser.from_real(spread.numpy(), offset.numpy(), rng.choice([0, 9]), 255)
    tensors = {
        "x": TensorInfo("x", cin, *size, 0, zero, act_bits),
        "y": TensorInfo("y", cout, *out, 0),
    }
    layer = Conv("layer", "x", "y", kernel, stride, padding, weights, rq, dilation)  # type: ignore[arg-type]
    x = torch.randint(0, 1 << act_bits, (1, cin, *size), generator=generator).to(torch.uint8)
    return Network("one", "x", "y", tensors, [layer]), x
