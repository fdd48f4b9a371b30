from __future__ import annotations

import math

import pytest
import torch

from shiftwork.model.train.activation import ActivationQuantiser


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("frac_bits", [-2, 0, 5])
def test_values_are_rounded_half_up_and_clamped(bits: int, signed: bool, frac_bits: int) -> None:
    part = ActivationQuantiser(bits, signed)
    part.set(frac_bits)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    x = torch.arange(-4 * 2**bits, 4 * 2**bits) * 0.25 * 2.0**-frac_bits  # every tie
    want = [max(low, min(high, math.floor(v * 2.0**frac_bits + 0.5))) for v in x.tolist()]
    assert (part(x) * 2.0**frac_bits).tolist() == want
    assert part.zero_point == -low


def test_the_gradient_stops_where_values_are_clamped() -> None:
    part = ActivationQuantiser(4, signed=True)
    part.set(1)
    x = torch.tensor([-9.0, -4.0, 0.3, 3.5, 3.9], requires_grad=True)
    part(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_before_calibration_values_pass() -> None:
    x = torch.tensor([0.3, -7.7])
    assert torch.equal(ActivationQuantiser()(x), x)


def test_bits_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"act_bits must be in 2\.\.8, not 9"):
        ActivationQuantiser(9)
