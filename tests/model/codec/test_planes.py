"""Planes: exact both ways, gradients of the right weight, and the words' layout."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.model.codec.planes import from_planes, pack_words, to_planes, unpack_words


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_value_goes_and_comes(bits: int) -> None:
    a = torch.arange(1 << bits, dtype=torch.float32).view(1, 1, -1).repeat(1, 3, 1)
    planes = to_planes(a, bits)
    assert planes.shape == (1, 3 * bits, 1 << bits)
    assert set(planes.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(planes[0, 0], a[0, 0] % 2)  # least significant plane first
    assert torch.equal(from_planes(planes, bits), a)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_way_there_and_back_has_the_gradient_of_the_identity(bits: int) -> None:
    a = torch.randint(1 << bits, (2, 3, 5)).float().requires_grad_()
    want = torch.randn(2, 3, 5)
    grad = torch.autograd.grad((from_planes(to_planes(a, bits), bits) * want).sum(), a)[0]
    assert torch.allclose(grad, want)


def test_gradients_of_the_published_code() -> None:
    a = torch.zeros(1, 1, 1, requires_grad=True)
    pull = torch.tensor([1.0, 2.0, 4.0, 9.0]).view(1, 4, 1)
    grad = torch.autograd.grad((to_planes(a, 4, "even") * pull).sum(), a)[0]
    assert float(grad) == 2 / 4 * 16
    grad = torch.autograd.grad((to_planes(a, 4) * pull).sum(), a)[0]
    assert float(grad) == pytest.approx((1 + 4 + 16 + 72) / 85)
    with pytest.raises(ValueError, match="'value' or 'even', not 'odd'"):
        to_planes(a, 4, "odd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="5 planes are not those of values of 4 bits"):
        from_planes(torch.zeros(1, 5, 1), 4)


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 40), st.integers(1, 3))
def test_words_are_plane_major(bits: int, rows: int, channels: int, pixels: int) -> None:
    generator = np.random.default_rng(channels)
    codes = generator.integers(1 << bits, size=(pixels, channels)).astype(np.uint8)
    words = pack_words(codes, bits, rows)
    assert words.shape == (pixels, -(-channels // rows), bits * rows)
    for channel in range(channels):
        for j in range(bits):
            bit = words[0, channel // rows, j * rows + channel % rows]
            assert bit == codes[0, channel] >> j & 1
    assert np.array_equal(unpack_words(words, bits, channels), codes)
