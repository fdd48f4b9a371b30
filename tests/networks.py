"""Random integer networks whose feature maps use their whole range."""

from __future__ import annotations

from random import Random

import torch

from shiftwork.model.codebook import Codebook
from shiftwork.model.fixed import Requantiser
from shiftwork.model.network import Conv, Network, TensorInfo, window_size
from shiftwork.sim.builder import NetworkBuilder

__all__ = ["NetworkBuilder", "random_conv"]


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
