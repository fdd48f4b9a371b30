from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftwork.model import fast, golden
from shiftwork.model.codebook import Codebook
from shiftwork.model.fixed import Requantiser, requantise
from shiftwork.model.network import (
    Conv,
    GlobalAveragePool,
    MaxPool,
    Network,
    TensorInfo,
)
from tests.networks import random_conv


@pytest.mark.parametrize("seed", range(200))
def test_random_layer_equals_torchs_own_integer_convolution(seed: int) -> None:
    network, x = random_conv(seed)
    layer = network.layers[0]
    assert isinstance(layer, Conv)
    w_int, zero = layer.weights.integers(), network.tensors["x"].zero_point
    top, left, bottom, right = layer.padding
    padded = F.pad(x.long() - zero, (left, right, top, bottom))
    acc = F.conv2d(padded, w_int, None, layer.stride, 0, layer.dilation)
    got = golden.accumulate(
        x,
        w_int,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        zero_point=zero,
    )
    assert torch.equal(got, acc)
    out = golden.run(network, x, exact="integer")["y"]
    assert torch.equal(out, requantise(acc, layer.requantiser))
    assert len(out.unique()) > 1 or out.numel() < 100  # the comparison is about something
    assert torch.equal(golden.run(network, x, exact="fast")["y"], out)


def test_accumulator_of_a_worked_example() -> None:
    x = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
    w = torch.tensor([[[[1, -2], [4, 8]]]])
    got = golden.accumulate(x, w, padding=(1, 0, 0, 0), zero_point=1)
    # the padded row is the zero point: 0; then 4 (1 - 1) + 8 (2 - 1), and so on
    assert got.tolist() == [[[[8], [0 - 2 + 8 + 24]]]]


def test_layers_too_large_for_float32_stay_exact() -> None:
    book = Codebook(4, 5)
    signs = torch.randint(0, 2, (3, 64, 5, 5), generator=torch.Generator().manual_seed(3))
    weights = book.quantize((signs * 2 - 1).float() * torch.linspace(0.6, 1.0, 5))
    bound = fast.partial_sum_bound(weights.integers(), 0, 255)
    assert fast.FLOAT32_EXACT < bound < fast.FLOAT64_EXACT
    for scale in (1e-7, 400.0):  # with the second the requantiser leaves float64's range too
        rq = Requantiser.from_real(np.full(3, scale), np.array([3.5, 7.0, 2.0**33]), 0, 255)
        tensors = {"x": TensorInfo("x", 64, 9, 9, 0), "y": TensorInfo("y", 3, 5, 5, 0)}
        layer = Conv("c", "x", "y", (5, 5), (1, 1), (0, 0, 0, 0), weights, rq)
        network = Network("one", "x", "y", tensors, [layer])
        x = torch.randint(0, 256, (1, 64, 9, 9), dtype=torch.uint8)
        a, b = (golden.run(network, x, exact=e)["y"] for e in ("fast", "integer"))  # type: ignore[arg-type]
        assert torch.equal(a, b)


def test_fast_path_is_exact_when_torch_is_allowed_to_round_products() -> None:
    network, x = random_conv(5)
    want = golden.run(network, x, exact="integer")["y"]
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(golden.run(network, x)["y"], want)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("size", [(6, 7), (13, 13), (5, 4)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_max_pool_in_ceil_mode_equals_torchs(
    size: tuple[int, int], kernel: int, stride: int
) -> None:
    x = torch.randint(0, 256, (2, 5, *size), dtype=torch.uint8)
    want = F.max_pool2d(x.float(), kernel, stride, ceil_mode=True)
    spare = [(stride - (n - kernel) % stride) % stride for n in size]
    layer = MaxPool("p", "x", "y", (kernel, kernel), (stride, stride), (0, 0, *spare))  # type: ignore[arg-type]
    assert torch.equal(golden.max_pool(layer, x).float(), want)


@pytest.mark.parametrize("zero", [0, 128])
def test_global_average_pool(zero: int) -> None:
    tensors = {
        "x": TensorInfo("x", 4, 13, 11, 2, zero),
        "y": TensorInfo("y", 4, 1, 1, 2, zero),
    }
    rq = Requantiser.from_real(np.full(4, 1 / 143), np.array(float(zero)))
    layer = GlobalAveragePool("g", "x", "y", rq)
    network = Network("one", "x", "y", tensors, [layer])
    x = torch.randint(0, 256, (3, 4, 13, 11), dtype=torch.uint8)
    got = golden.run(network, x)["y"].double()
    mean = x.double().mean((2, 3), keepdim=True)
    assert got.shape == mean.shape
    assert float((got - mean).abs().max()) < 0.5 + 0.006 * 128


def test_concat_keeps_order() -> None:
    a, b = torch.zeros(1, 2, 1, 1, dtype=torch.uint8), torch.ones(1, 3, 1, 1, dtype=torch.uint8)
    assert golden.concat([a, b]).flatten().tolist() == [0, 0, 1, 1, 1]


def test_bad_inputs_are_refused() -> None:
    network, x = random_conv(0)
    with pytest.raises(ValueError, match=r"not torch\.float32"):
        golden.run(network, x.float())
    with pytest.raises(ValueError, match="input must be uint8"):
        golden.run(network, x[:, :, :-1])
    with pytest.raises(ValueError, match="no layer or tensor 'fire12'"):
        golden.run(network, x, until="fire12")
    with pytest.raises(ValueError, match="'fast' or 'integer'"):
        golden.run(network, x, exact="float")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="activations must be uint8"):
        golden.accumulate(x.long(), torch.ones(1, x.shape[1], 1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\)"):
        golden.accumulate(x, torch.ones(1, 1, 1, 1, dtype=torch.int64)[:, :1])
