"""Trained weights: forward values, gradients and codes against the papers' formulae."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shiftwork.model.codebook import Codebook
from shiftwork.model.train.deepshift import DeepShiftPS, DeepShiftQ
from shiftwork.model.train.layers import ShiftConv2d, ShiftLinear, shift_parameter
from shiftwork.model.train.method import Method, power_of_two
from shiftwork.model.train.shiftcnn import ShiftCNN

METHODS: tuple[Method, ...] = ("shiftcnn", "deepshift_q", "deepshift_ps")


def weights(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


@pytest.mark.parametrize("bits", range(2, 6))
def test_q_rounds_the_logarithm_and_has_no_zero(bits: int) -> None:
    w = torch.cat([weights(bits, 300), torch.tensor([0.0, 1.0, -1.0, 0.7072, 0.7071, 3.0, 1e-9])])
    part = DeepShiftQ(w, bits, "unit")
    for value, got in zip(w.tolist(), part().tolist(), strict=True):
        lowest = -(2 ** (bits - 1) - 1)
        p = lowest if value == 0 else max(lowest, min(0, round(math.log2(abs(value)))))
        assert got == math.copysign(2.0**p, value if value else 1.0)


def test_qs_gradient_passes_straight_through() -> None:
    part = DeepShiftQ(weights(1, 4, 5), 4)
    upstream = weights(2, 4, 5)
    (part() * upstream).sum().backward()
    assert part.weight.grad is not None
    assert torch.equal(part.weight.grad, upstream)


@pytest.mark.parametrize("bits", range(2, 6))
def test_ps_is_ternary_sign_times_power(bits: int) -> None:
    part = DeepShiftPS(weights(1, 6), bits, "unit")
    lowest = -(2 ** (bits - 1) - 2)
    with torch.no_grad():
        part.shift.copy_(torch.tensor([0.4, -0.6, -99.0, 5.0, lowest - 0.3, -0.4]))
        part.sign.copy_(torch.tensor([0.51, -0.51, 2.0, -0.5, 1.0, 0.2]))
    second = float(max(-1, lowest))
    want = [1.0, -(2.0**second), 2.0**lowest, 0.0, 2.0**lowest, 0.0]
    assert part().tolist() == want
    assert part.shift_weights().dequantize().tolist() == want
    assert part.codebook == Codebook(1, bits)


@pytest.mark.parametrize("scale", ["unit", "layer", "channel"])
def test_ps_gradients_are_the_papers(scale: str) -> None:
    w = weights(3, 5, 7)
    part = DeepShiftPS(w, 4, scale)
    upstream = weights(4, 5, 7)
    got = part()
    (got * upstream).sum().backward()
    assert part.shift.grad is not None and part.sign.grad is not None
    s = part.scale.view(-1, 1) if part.scale.ndim else part.scale
    # w = s 2^p: dL/dp = dL/dw w ln 2; dL/ds = dL/dw, not times 2^p; the layer's scale is a factor
    assert torch.allclose(part.shift.grad, upstream * got.detach() * math.log(2.0))
    assert torch.allclose(part.sign.grad, upstream * s)


def test_ps_gradient_beyond_the_clamp_only_leads_back() -> None:
    part = DeepShiftPS(torch.full((4,), 0.5), 4, "unit")
    with torch.no_grad():
        part.shift.copy_(torch.tensor([1.0, 1.0, -8.0, -8.0]))
    (part() * torch.tensor([1.0, -1.0, 1.0, -1.0])).sum().backward()
    assert part.shift.grad is not None
    # descent: a positive gradient lowers p
    assert [bool(g) for g in part.shift.grad] == [True, False, False, True]


def test_ps_regulariser_is_half_the_sum_of_squared_powers() -> None:
    part = DeepShiftPS(weights(5, 3, 4), 5, "unit")
    assert part.regulariser().item() == pytest.approx(
        0.5 * sum((2.0**p) ** 2 for p in part.shift.flatten().tolist()), rel=1e-5
    )
    assert ShiftCNN(weights(5, 3, 4), Codebook(2, 4)).regulariser().item() == 0.0


def test_ps_starts_near_the_float_weights() -> None:
    w = weights(6, 16, 30)
    for bits, limit in ((5, 0.04), (4, 0.04), (3, 0.1)):
        error = (DeepShiftPS(w, bits)() - w).square().mean() / w.square().mean()
        assert error < limit, bits


@pytest.mark.parametrize(
    "book", [Codebook(n, b) for n in range(1, 5) for b in range(2, 6)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", ["layer", "channel"])
def test_shiftcnns_codes_are_the_codebooks(book: Codebook, dtype: torch.dtype, scale: str) -> None:
    w = weights(book.bits, 8, 40).to(dtype)
    w[0] = torch.arange(-20, 20).to(dtype) / 16  # ties
    w[1] = 0.0
    want = book.quantize(w, scale)  # type: ignore[arg-type]
    part = ShiftCNN(w, book, scale)
    got = part.shift_weights()
    assert torch.equal(got.codes, want.codes)
    assert torch.equal(got.scale, want.scale)
    assert torch.allclose(part().double(), want.dequantize(), rtol=1e-6, atol=0.0)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(2, 5),
)
@settings(deadline=None, max_examples=60)
def test_shiftcnns_codes_of_any_floats(values: list[float], terms: int, bits: int) -> None:
    w = torch.tensor(values, dtype=torch.float32)
    w = torch.where(w.abs() > w.abs().max() * 2.0**-50, w, torch.zeros_like(w))  # no denormals
    book = Codebook(terms, bits)
    assert torch.equal(ShiftCNN(w, book).shift_weights().codes, book.quantize(w).codes)


def test_shiftcnns_gradient_passes_straight_through() -> None:
    part = ShiftCNN(weights(7, 4, 5), Codebook(2, 4))
    upstream = weights(8, 4, 5)
    (part() * upstream).sum().backward()
    assert part.weight.grad is not None
    assert torch.equal(part.weight.grad, upstream)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", ["unit", "layer", "channel"])
def test_what_is_computed_with_is_what_is_exported(method: Method, scale: str) -> None:
    part = shift_parameter(weights(9, 6, 3, 3, 3), method, 1, 4, scale)  # type: ignore[arg-type]
    stored = part.shift_weights().dequantize()
    assert torch.allclose(part().double(), stored, rtol=1e-6, atol=0.0)
    unit = stored / stored.abs().max()
    assert len(unit.abs().unique()) <= part.codebook.magnitudes + 1 if scale != "channel" else True


def test_powers_of_two_are_exact() -> None:
    k = torch.arange(1, -64, -1)
    for dtype in (torch.float32, torch.float64):
        assert power_of_two(k, dtype).tolist() == [2.0 ** int(i) for i in k]


@pytest.mark.parametrize("method", METHODS)
def test_layers_are_drop_in(method: Method) -> None:
    x = weights(10, 2, 4, 9, 9)
    layer = nn.Conv2d(4, 6, 3, 2, 1, dilation=1, groups=2)
    shift = ShiftConv2d.from_float(layer, method=method, bits=4)
    layer.weight.data = shift.weight.detach().clone()
    assert torch.equal(shift(x), layer(x))
    assert ShiftConv2d(4, 6, 3, 2, "valid", method=method)(x).shape == (2, 6, 4, 4)
    linear = nn.Linear(9, 5)
    shifted = ShiftLinear.from_float(linear, method=method, bits=4)
    linear.weight.data = shifted.weight.detach().clone()
    assert torch.equal(shifted(x), linear(x))
    assert ShiftLinear(9, 5, bias=False, method=method).bias is None


def test_bad_arguments_are_refused() -> None:
    w = weights(1, 2, 2)
    for method, terms, bits, scale, message in [
        ("shift", 1, 4, "layer", "method must be 'shiftcnn', 'deepshift_q' or 'deepshift_ps'"),
        ("deepshift_q", 2, 4, "layer", "deepshift_q has one term per weight, not 2"),
        ("deepshift_ps", 1, 6, "layer", "bits must be an integer in 2..5, not 6"),
        ("shiftcnn", 1, 4, "tensor", "scale must be 'unit', 'layer' or 'channel', not 'tensor'"),
        ("deepshift_q", 1, 4, "tensor", "scale must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            shift_parameter(w, method, terms, bits, scale)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="padded with zeros, not 'reflect'"):
        ShiftConv2d.from_float(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"))
