from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model.codebook import Codebook, ShiftWeights

BOOKS = [Codebook(n, b) for n in range(1, 5) for b in range(2, 6)]


def slow_codes(w: float, s: float, book: Codebook) -> list[int]:
    """The definition, one weight at a time, in exact fractions."""
    m = 2 ** (book.bits - 1) - 1
    r = Fraction(w) / Fraction(s)
    codes = []
    for n in range(1, book.terms + 1):
        code = 0
        if r:
            k = 0
            while Fraction(2) ** k > abs(r):
                k -= 1
            while Fraction(2) ** (k + 1) <= abs(r):
                k += 1
            if abs(r) > Fraction(3, 2) * Fraction(2) ** k:
                k += 1
            if 2 - n - k <= m:
                sign = 1 if r > 0 else -1
                code = sign * (2 - n - k)
                r -= sign * Fraction(2) ** k
        codes.append(code)
    return codes


@pytest.mark.parametrize("book", BOOKS, ids=str)
def test_every_weight_of_a_grid_equals_the_slow_formula(book: Codebook) -> None:
    for scale in (1.0, 0.7, 3.0 * 2**-40):
        w = np.arange(-384, 385) / 384 * scale  # 384 = 3 * 128: every tie is on the grid
        got = book.quantize(w)
        peak = float(np.abs(w).max())
        assert float(got.scale) == peak
        want = [slow_codes(float(x), peak, book) for x in w]
        assert got.codes.T.tolist() == want


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=12),
    st.sampled_from(BOOKS),
)
@settings(deadline=None)
def test_any_floats_equal_the_slow_formula(values: list[float], book: Codebook) -> None:
    w = torch.tensor(values, dtype=torch.float32)
    got = book.quantize(w)
    peak = float(w.abs().max()) or 1.0
    near = [x if abs(x) > peak * 2**-60 else 0.0 for x in w.tolist()]  # keeps fractions small
    assert got.codes.T.tolist() == [slow_codes(x, peak, book) for x in near]


def test_ties_go_down() -> None:
    got = Codebook(1, 4).quantize(torch.tensor([1.0, 0.75, 0.7500001, 0.375, -0.375]))
    assert got.codes.tolist() == [[1, 2, 1, 3, -3]]


@pytest.mark.parametrize("book", BOOKS, ids=str)
def test_levels_are_all_sums_of_one_value_of_each_codebook(book: Codebook) -> None:
    sums = {Fraction(0)}
    for n in range(1, book.terms + 1):
        term = [Fraction(2) ** (2 - n - m) for m in range(1, book.magnitudes + 1)]
        sums = {a + b for a in sums for b in (*term, *(-t for t in term), 0)}
    assert [Fraction(x) for x in book.levels] == sorted(sums)


@pytest.mark.parametrize("book", BOOKS, ids=str)
def test_integers_and_levels_tell_the_same_values(book: Codebook) -> None:
    w = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 5, 3, 2)))
    for scale in ("layer", "channel"):
        got = book.quantize(w, scale)
        real = got.integers().double() * 2.0**-book.fraction_bits
        assert np.isin(real.numpy(), book.levels).all()
        step = got.scale.view(-1, 1, 1, 1) if scale == "channel" else got.scale
        assert torch.equal(got.dequantize(), real * step)


def test_channel_scale_is_each_channels_peak() -> None:
    w = torch.tensor([[0.5, -2.0], [0.0, 0.0], [1e-3, 5e-4]], dtype=torch.float64)
    got = Codebook(2, 4).quantize(w, "channel")
    assert got.scale.tolist() == [2.0, 1.0, 1e-3]
    assert got.codes[:, 1].abs().sum() == 0
    assert torch.equal(got.dequantize(), w)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 1, 1)])
@pytest.mark.parametrize("scale", ["layer", "channel"])
def test_empty_weights(shape: tuple[int, ...], scale: str) -> None:
    got = Codebook(2, 4).quantize(torch.zeros(shape), scale)  # type: ignore[arg-type]
    assert got.codes.shape == (2, *shape)
    assert got.dequantize().shape == shape
    assert got.nonzero_terms() == 0.0


def test_all_zero_weights_have_scale_one() -> None:
    got = Codebook(3, 4).quantize(torch.zeros(2, 3))
    assert float(got.scale) == 1.0 and not got.codes.any()


@pytest.mark.parametrize(
    ("value", "message"),
    [(float("nan"), r"weight at \(1, 2\) is NaN"), (-float("inf"), r"at \(1, 2\) is infinite")],
)
def test_weights_that_are_not_finite_are_refused_by_name(value: float, message: str) -> None:
    w = torch.zeros(2, 3)
    w[1, 2] = value
    with pytest.raises(ValueError, match=message):
        Codebook(2, 4).quantize(w)


def test_bad_arguments_are_refused() -> None:
    for terms, bits, message in [
        (0, 4, "terms must be an integer in 1..4, not 0"),
        (5, 4, "terms"),
        (2, 9, "bits must be an integer in 2..5, not 9"),
        (2, 1, "bits"),
        (True, 4, "terms"),
        (2.0, 4, "terms"),
    ]:
        with pytest.raises(ValueError, match=message):
            Codebook(terms, bits)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'layer' or 'channel', not 'tensor'"):
        Codebook(1, 4).quantize(torch.ones(1), "tensor")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="floating point"):
        Codebook(1, 4).quantize(torch.ones(1, dtype=torch.int32))
    with pytest.raises(ValueError, match="output channel axis"):
        Codebook(1, 4).quantize(torch.tensor(1.0), "channel")
    one = torch.tensor(1.0, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"codes must be in -3\.\.3"):
        ShiftWeights(torch.tensor([[4]], dtype=torch.int8), one, Codebook(1, 3))
    with pytest.raises(ValueError, match="2 terms first"):
        ShiftWeights(torch.tensor([[1]], dtype=torch.int8), one, Codebook(2, 3))
    with pytest.raises(ValueError, match="positive"):
        ShiftWeights(torch.tensor([[1]], dtype=torch.int8), -one, Codebook(1, 3))


def test_squeezenets_number_of_weights_in_a_second() -> None:
    w = torch.randn(1235, 1000, generator=torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        Codebook(2, 4).quantize(w)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.0


@pytest.mark.parametrize("bits", range(2, 6))
def test_the_codebook_without_zero_has_every_sign_and_exponent(bits: int) -> None:
    book = Codebook(1, bits, zero=False)
    assert book.code_bits == bits + 1
    powers = [2.0**-k for k in range(2 ** (bits - 1))]
    assert book.levels.tolist() == sorted([*powers, *(-p for p in powers)])
    magnitudes = torch.arange(1, book.magnitudes + 1, dtype=torch.int8)
    codes = torch.cat([magnitudes, -magnitudes])[None]
    weights = ShiftWeights(codes, torch.tensor(1.0, dtype=torch.float64), book)
    assert weights.dequantize().tolist() == [*powers, *(-p for p in powers)]
    assert int(weights.integers().abs().min()) == 1


def test_the_codebook_without_zero_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="one term, not 2"):
        Codebook(2, 4, zero=False)
    with pytest.raises(ValueError, match="greedy rounding needs a codebook with zero"):
        Codebook(1, 4, zero=False).quantize(torch.ones(2))
    one = torch.tensor(1.0, dtype=torch.float64)
    with pytest.raises(ValueError, match="must not be 0"):
        ShiftWeights(torch.tensor([[0]], dtype=torch.int8), one, Codebook(1, 3, zero=False))
