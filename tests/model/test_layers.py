"""Groups, sums, average pooling, upsampling and slopes against torch and plain integers."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model import golden
from shiftwork.model.codebook import Codebook
from shiftwork.model.fixed import Requantiser, fit_slope, requantise
from shiftwork.model.network import (
    Add,
    AveragePool,
    Conv,
    Layer,
    Network,
    TensorInfo,
    Upsample,
    window_size,
)

LEAK = fit_slope(0.1)


def pixels(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def one(layer: Layer, *tensors: TensorInfo) -> Network:
    return Network("one", "x", "y", {t.name: t for t in tensors}, [layer])


def both(network: Network, x: torch.Tensor) -> torch.Tensor:
    """The output by the integer path, after checking that the fast one gives the same bits."""
    slow = golden.run(network, x, exact="integer")
    fast = golden.run(network, x, exact="fast")
    assert all(torch.equal(fast[name], slow[name]) for name in slow)
    return slow[network.output]


def grouped_conv(seed: int) -> tuple[Network, torch.Tensor]:
    """A convolution with groups of a random shape, with and without a slope, and its input."""
    rng = Random(seed)
    while True:
        kernel = (rng.randint(1, 5), rng.randint(1, 5))
        stride = (rng.randint(1, 3), rng.randint(1, 3))
        dilation = rng.choice([(1, 1), (1, 1), (1, 2), (2, 2)])
        padding = (rng.randint(0, 3), rng.randint(0, 3), rng.randint(0, 3), rng.randint(0, 3))
        size = (rng.randint(1, 20), rng.randint(1, 20))
        out = window_size(size, kernel, stride, padding, dilation)
        if min(out) >= 1:
            break
    groups = rng.randint(2, 24)
    inputs, outputs = rng.choice([1, 1, 1, 2, 3]), rng.choice([1, 1, 2, 5])
    shape = (groups * outputs, inputs, *kernel)
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    weights = Codebook(rng.randint(1, 3), 4).quantize(w, rng.choice(["layer", "channel"]))
    zero_in, zero = rng.choice([0, 128]), rng.choice([0, 128])
    spread = 60.0 / (weights.integers().double().flatten(1).norm(dim=1) * 100 + 1)
    offset = np.full(shape[0], zero + 20.0)
    slope = LEAK if seed % 3 == 0 else ()
    rq = Requantiser.from_real(spread.numpy(), offset, 0, 255, slope, zero if slope else 0)
    layer = Conv(
        "c", "x", "y", kernel, stride, padding, weights, rq, dilation, groups
    )  # fmt: skip
    network = one(
        layer,
        TensorInfo("x", groups * inputs, *size, 0, zero_in),
        TensorInfo("y", groups * outputs, *out, 0, zero),
    )
    return network, pixels(seed, 2, groups * inputs, *size)


@pytest.mark.parametrize("seed", range(60))
def test_grouped_convolution_equals_torchs_own_integer_one(seed: int) -> None:
    network, x = grouped_conv(seed)
    layer = network.layers[0]
    assert isinstance(layer, Conv)
    zero = network.tensors["x"].zero_point
    top, left, bottom, right = layer.padding
    acc = F.conv2d(
        F.pad(x.long() - zero, (left, right, top, bottom)),
        layer.weights.integers(), None, layer.stride, 0, layer.dilation, layer.groups,
    )  # fmt: skip
    assert torch.equal(both(network, x), requantise(acc, layer.requantiser))


def test_groups_that_do_not_divide_are_refused() -> None:
    weights = Codebook(1, 4).quantize(torch.ones(4, 2, 1, 1))
    rq = Requantiser.from_real(np.ones(4), np.zeros(4))
    for groups in (0, 3):
        layer = Conv(
            "c", "x", "y", (1, 1), (1, 1), (0, 0, 0, 0), weights, rq, (1, 1), groups
        )  # fmt: skip
        with pytest.raises(ValueError, match="layer 'c': groups must divide 4 input and 4"):
            one(layer, TensorInfo("x", 4, 1, 1, 0), TensorInfo("y", 4, 1, 1, 0))


def slow_bend(acc: int, m: int, bias: int, right: int, k: int, zero: int) -> int:
    """The formula of the leaky requantiser in Python's own integers."""
    value = (acc * m + bias + (2 ** (right - 1) if right else 0)) // 2**right
    value = min(max(value, zero - 2048), zero + 2047)
    if value < zero:
        value = zero - ((zero - value) * k + 64) // 128
    return min(max(value, 0), 255)


@given(
    st.lists(st.integers(-(2**30), 2**30) | st.integers(-4000, 4000), min_size=1, max_size=30),
    st.integers(-(2**30), 2**30),
    st.integers(0, 20),
    st.floats(0.0, 1.0),
    st.sampled_from([0, 128, 16]),
)
@settings(deadline=None)
def test_any_leaky_requantisation(
    acc: list[int], bias: int, right: int, slope: float, zero: int
) -> None:
    terms = fit_slope(slope)
    k = sum(sign * 2**shift for sign, shift in terms)
    rq = Requantiser(
        torch.tensor([[1, 1, 0, 0]], dtype=torch.int8),
        torch.tensor([[3, 1, 0, 0]], dtype=torch.uint8),
        torch.tensor([bias]),
        torch.tensor([right], dtype=torch.uint8),
        slope=terms,
        zero=zero,
    )
    got = requantise(torch.tensor(acc).view(1, 1, 1, -1), rq).flatten().tolist()
    assert got == [slow_bend(a, 10, bias, right, k, zero) for a in acc]


def test_slopes_are_the_nearest_there_are() -> None:
    sums = {0}
    for _ in range(3):
        sums |= {a + s * 2**k for a in sums for s in (1, -1) for k in range(8)}
    made = sorted(k for k in sums if 0 <= k <= 128)
    for slope in np.linspace(0, 1, 257):
        k = sum(sign << shift for sign, shift in fit_slope(float(slope)))
        assert abs(k - slope * 128) == min(abs(k - slope * 128) for k in made)
    assert sum(sign << shift for sign, shift in LEAK) == 13
    assert len(fit_slope(0.25)) == 1
    with pytest.raises(ValueError, match=r"slope of a leaky ReLU must be in 0\.\.1"):
        fit_slope(1.5)


@pytest.mark.parametrize("slope", [((2, 1),), ((1, 8),), ((1, 0),) * 4, ((-1, 3),)])
def test_bad_slopes_are_refused(slope: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="slope must be up to 3 terms"):
        Requantiser.from_real(np.ones(1), np.zeros(1), slope=slope)


@pytest.mark.parametrize("seed", range(20))
def test_sum_of_two_tensors_is_exact_for_scales_of_powers_of_two(seed: int) -> None:
    rng = Random(seed)
    fa, fb = rng.randint(-3, 3), rng.randint(-3, 3)
    fo = rng.randint(-4, 3)
    za, zb, zo = (rng.choice([0, 128]) for _ in range(3))
    shifts = (max(fb - fa, 0), max(fa - fb, 0))
    step = 2.0 ** (fo - max(fa, fb))
    rq = Requantiser.from_real(np.full(5, step), np.full(5, float(zo)))
    b_info = TensorInfo("b", 5, 4, 6, fb, zb)
    # b is x requantised: the constant 255 - x
    flip = Conv(
        "flip", "x", "b", (1, 1), (1, 1), (0, 0, 0, 0),
        Codebook(1, 4).quantize(torch.eye(5).view(5, 5, 1, 1)),
        Requantiser.from_real(np.full(5, -(2.0**-6)), np.full(5, 255.0 - za)),
    )  # fmt: skip
    tensors = [TensorInfo("x", 5, 4, 6, fa, za), b_info, TensorInfo("y", 5, 4, 6, fo, zo)]
    layer = Add("add", ("x", "b"), "y", shifts, rq)
    network = Network("sum", "x", "y", {t.name: t for t in tensors}, [flip, layer])
    x = pixels(seed, 2, 5, 4, 6)
    got = both(network, x)
    b = golden.run(network, x)["b"]
    real = (x.double() - za) * 2.0**-fa + (b.double() - zb) * 2.0**-fb
    assert torch.equal(got.double(), ((real * 2.0**fo + zo) + 0.5).floor().clamp(0, 255))


def test_sums_that_do_not_fit_are_refused() -> None:
    rq = Requantiser.from_real(np.ones(2), np.zeros(2))

    def build(shifts: tuple[int, int], frac_bits: int = 0) -> Network:
        tensors = [TensorInfo("x", 2, 3, 3, 0), TensorInfo("u", 2, 6, 6, 0)]
        y = TensorInfo("y", 2, 3, 3, frac_bits)
        layers: list[Layer] = [Upsample("u", "x", "u"), Add("s", ("x", "x"), "y", shifts, rq)]
        return Network("sum", "x", "y", {t.name: t for t in [*tensors, y]}, layers)

    assert build((0, 0)).output == "y"
    with pytest.raises(ValueError, match=r"layer 's': shifts must be in 0\.\.6, not \(7, 7\)"):
        build((7, 7))
    with pytest.raises(ValueError, match=r"layer 's': shifts \(0, 1\) do not align scales"):
        build((0, 1))
    tensors = {
        "x": TensorInfo("x", 2, 3, 3, 0),
        "u": TensorInfo("u", 2, 6, 6, 0),
        "y": TensorInfo("y", 2, 3, 3, 0),
    }
    wrong = [Upsample("u", "x", "u"), Add("s", ("x", "u"), "y", (0, 0), rq)]
    with pytest.raises(ValueError, match="layer 's': two inputs of one shape are added"):
        Network("sum", "x", "y", tensors, wrong)


@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 1, 1)])
def test_average_pool_counts_padding_as_zero(zero: int, padding: tuple) -> None:
    size = window_size((9, 8), (3, 2), (2, 2), padding, (1, 1))
    rq = Requantiser.from_real(np.full(4, 1 / 6), np.full(4, float(zero)))
    layer = AveragePool("p", "x", "y", (3, 2), (2, 2), padding, rq)
    network = one(layer, TensorInfo("x", 4, 9, 8, 1, zero), TensorInfo("y", 4, *size, 1, zero))
    x = pixels(3, 2, 4, 9, 8)
    top, left, bottom, right = padding
    padded = F.pad(x.double() - zero, (left, right, top, bottom))
    total = (F.avg_pool2d(padded, (3, 2), 2) * 6).round().long()
    assert torch.equal(both(network, x), requantise(total, rq))
    mean = F.avg_pool2d(padded, (3, 2), 2) + zero
    assert float((both(network, x).double() - mean).abs().max()) < 0.5 + 0.006 * 128


def test_upsampling_equals_torchs_nearest() -> None:
    network = one(
        Upsample("u", "x", "y"), TensorInfo("x", 3, 4, 5, 0), TensorInfo("y", 3, 8, 10, 0)
    )
    x = pixels(1, 2, 3, 4, 5)
    want = F.interpolate(x.double(), scale_factor=2, mode="nearest")
    assert torch.equal(both(network, x).double(), want)
    with pytest.raises(ValueError, match="must share scale"):
        one(Upsample("u", "x", "y"), TensorInfo("x", 3, 4, 5, 0), TensorInfo("y", 3, 8, 10, 1))


def branched() -> Network:
    """Groups, a slope, averages, upsampling and a sum, with three outputs."""
    weights = Codebook(2, 4).quantize(torch.randn(6, 1, 3, 3), "channel")
    zeros = np.full(6, 128.0)
    leaky = Requantiser.from_real(np.full(6, 1e-3), zeros, slope=LEAK, zero=128)
    half = Requantiser.from_real(np.full(6, 0.25), zeros)
    tensors = [
        TensorInfo("x", 6, 8, 8, 0, 128), TensorInfo("c", 6, 8, 8, 1, 128),
        TensorInfo("p", 6, 4, 4, 1, 128), TensorInfo("u", 6, 8, 8, 1, 128),
        TensorInfo("s", 6, 8, 8, 0, 128),
    ]  # fmt: skip
    layers: list[Layer] = [
        Conv("c", "x", "c", (3, 3), (1, 1), (1, 1, 1, 1), weights, leaky, (1, 1), 6),
        AveragePool("p", "c", "p", (2, 2), (2, 2), (0, 0, 0, 0), half),
        Upsample("u", "p", "u"),
        Add("s", ("x", "u"), "s", (1, 0), half),
    ]
    return Network("b", "x", "s", {t.name: t for t in tensors}, layers, extra_outputs=("c", "p"))


def test_new_layers_come_back_from_disk_the_same(tmp_path: Path) -> None:
    network = branched()
    again = Network.load(network.save(tmp_path / "net"))
    assert again.outputs == ("s", "c", "p")
    first, layer = network.layers[0], again.layers[0]
    assert isinstance(first, Conv) and isinstance(layer, Conv)
    assert layer.groups == 6 and layer.requantiser.slope == LEAK and layer.requantiser.zero == 128
    x = pixels(4, 2, 6, 8, 8)
    want, got = golden.run(network, x), golden.run(again, x)
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert set(golden.run(network, x, keep=False)) == {"s", "c", "p"}


def test_networks_of_the_first_format_are_still_read(tmp_path: Path) -> None:
    import json

    x = TensorInfo("x", 2, 2, 2, 0)
    network = one(Upsample("u", "x", "y"), x, TensorInfo("y", 2, 4, 4, 0))
    path = network.save(tmp_path / "net") / "network.json"
    document = json.loads(path.read_text())
    document["version"] = 1
    del document["extra_outputs"], document["sha256"]["extra_outputs"]
    path.write_text(json.dumps(document))
    assert Network.load(path.parent).outputs == ("y",)


def test_output_that_no_layer_writes_and_slope_off_zero_are_refused() -> None:
    good = branched()
    with pytest.raises(ValueError, match="no layer writes the output tensor 'q'"):
        Network("b", "x", "s", good.tensors, good.layers, extra_outputs=("q",))
    tensors = good.tensors | {"c": TensorInfo("c", 6, 8, 8, 1, 0)}
    with pytest.raises(ValueError, match="layer 'c': the slope bends at 128, but 'c' has"):
        Network("b", "x", "s", tensors, good.layers)
