from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.hw.config import MULTIPLIER_SHIFT_MAX, RIGHT_SHIFT_MAX
from shiftwork.model.fixed import Requantiser, fit_multiplier, requantise


def make(
    terms: list[tuple[int, int]], bias: int, right: int, lo: int = 0, hi: int = 255
) -> Requantiser:
    padded = terms + [(0, 0)] * (4 - len(terms))
    return Requantiser(
        torch.tensor([[sign for sign, _ in padded]], dtype=torch.int8),
        torch.tensor([[shift for _, shift in padded]], dtype=torch.uint8),
        torch.tensor([bias]),
        torch.tensor([right], dtype=torch.uint8),
        lo,
        hi,
    )


def slow(acc: int, rq: Requantiser) -> int:
    """The formula in Python's own integers."""
    terms = zip(rq.sign[0].tolist(), rq.shift[0].tolist(), strict=True)
    m = sum(sign * 2**shift for sign, shift in terms)
    r = int(rq.right[0])
    half = 2 ** (r - 1) if r else 0
    return min(max((acc * m + int(rq.bias[0]) + half) // 2**r, rq.lo), rq.hi)


@pytest.mark.parametrize("right", [0, 1, 3, 7])
@pytest.mark.parametrize("terms", [[], [(1, 0)], [(-1, 2)], [(1, 3), (-1, 0)]])
def test_every_small_accumulator(terms: list[tuple[int, int]], right: int) -> None:
    acc = torch.arange(-600, 601).view(1, 1, 1, -1)
    for bias, (lo, hi) in product((-77, 0, 5), ((0, 255), (0, 15), (128, 200))):
        rq = make(terms, bias, right, lo, hi)
        got = requantise(acc, rq)
        assert got.dtype == torch.uint8
        assert got.flatten().tolist() == [slow(a, rq) for a in range(-600, 601)]


@given(
    st.lists(
        st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, MULTIPLIER_SHIFT_MAX)),
        min_size=4, max_size=4,
    ),
    st.integers(-(2**47), 2**47 - 1), st.integers(0, RIGHT_SHIFT_MAX),
    st.integers(-(2**40), 2**40),
)  # fmt: skip
@settings(deadline=None)
def test_any_requantisation(terms: list[tuple[int, int]], bias: int, right: int, acc: int) -> None:
    rq = make(terms, bias, right)
    assert requantise(torch.tensor([[[[acc]]]]), rq).item() == slow(acc, rq)


def test_halves_round_up() -> None:
    acc = torch.tensor([1, 3, 5, -1, -3]).view(1, 1, 1, -1)
    assert requantise(acc, make([(1, 0)], 20, 1)).flatten().tolist() == [11, 12, 13, 10, 9]


def multipliers() -> np.ndarray:
    """All sums of at most four signed powers of two the hardware can form."""
    powers = [0] + [s << k for k in range(MULTIPLIER_SHIFT_MAX + 1) for s in (1, -1)]
    pairs = {a + b for a in powers for b in powers}
    return np.array(sorted({a + b for a in pairs for b in pairs if a + b > 0}))


def test_multiplier_is_the_nearest_there_is() -> None:
    scale = np.exp(np.random.default_rng(7).uniform(np.log(2e-4), np.log(500), 1500))
    sign, shift, right = fit_multiplier(scale)
    fitted = value(sign, shift, right)
    assert int(shift.max()) <= MULTIPLIER_SHIFT_MAX and int(right.min()) >= 1
    best = np.full(scale.shape, np.inf)
    for r in range(1, 26):
        choices = multipliers() * 2.0**-r
        at = np.searchsorted(choices, scale).clip(1, len(choices) - 1)
        nearest = np.minimum(abs(choices[at] - scale), abs(choices[at - 1] - scale))
        best = np.minimum(best, nearest)
    assert (abs(fitted - scale) <= best * (1 + 1e-9)).all()


def value(sign: torch.Tensor, shift: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    m = (sign.long() << shift.long()).sum(1).double()
    return np.ldexp(m.numpy(), -right.numpy().astype(int))


def test_four_terms_are_within_six_thousandths() -> None:
    scale = np.geomspace(2.0**-36, 2.0**9, 200_001)
    worst = np.abs(value(*fit_multiplier(scale)) / scale - 1).max()
    assert 0.004 < worst <= 0.006


def test_signs_zeros_and_tiny_scales() -> None:
    scale = np.array([0.0, -0.3, 1.0, 2.0**-47, 3e-14, 1e-30])
    sign, shift, right = fit_multiplier(scale)
    got = value(sign, shift, right)
    assert got[0] == 0.0 and got[2] == 1.0 and got[3] == 2.0**-47
    assert abs(got[1] + 0.3) < 0.002 and got[5] == 0.0
    assert abs(got[4] - 3e-14) <= 2.0**-48
    assert int(right.max()) <= RIGHT_SHIFT_MAX


@given(st.floats(2.0**-30, 2.0**8), st.floats(-(2.0**20), 2.0**20), st.booleans())
@settings(deadline=None)
def test_from_real_keeps_headroom_and_is_near(scale: float, offset: float, down: bool) -> None:
    scale = -scale if down else scale
    rq = Requantiser.from_real(np.array([scale]), np.array([offset]))
    assert abs(int(rq.bias[0])) <= 2 ** (47 - 4)
    unit = 2.0 ** -int(rq.right[0])
    assert abs(int(rq.bias[0]) * unit - offset) <= unit
    assert abs(int(rq.multiplier[0]) * unit - scale) <= max(abs(scale) * 0.006, unit)


def test_bad_parameters_are_refused_by_name() -> None:
    good = make([(1, 0)], 0, 1)
    with pytest.raises(ValueError, match=r"shift must be in 0\.\.10"):
        make([(1, 11)], 0, 1)
    with pytest.raises(ValueError, match=r"right must be in 0\.\.47"):
        make([(1, 0)], 0, 48)
    with pytest.raises(ValueError, match="bias must be in"):
        make([(1, 0)], 2**47, 1)
    with pytest.raises(ValueError, match="sign must be in"):
        make([(2, 0)], 0, 1)
    with pytest.raises(ValueError, match="lo <= hi"):
        make([(1, 0)], 0, 1, 9, 3)
    with pytest.raises(ValueError, match=r"sign must be torch\.int8"):
        Requantiser(good.sign.long(), good.shift, good.bias, good.right)
    with pytest.raises(ValueError, match="int64"):
        requantise(torch.zeros(1, 1, 1, 1), good)
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\)"):
        requantise(torch.zeros(1, 2, 1, 1, dtype=torch.int64), good)
    with pytest.raises(ValueError, match="finite"):
        fit_multiplier(np.array([np.nan]))
    with pytest.raises(ValueError, match="too large"):
        fit_multiplier(np.array([5000.0]))
    with pytest.raises(ValueError, match="offset must be finite"):
        Requantiser.from_real(np.array([1.0]), np.array([np.inf]))
    with pytest.raises(ValueError, match="too large"):
        Requantiser.from_real(np.array([1.0]), np.array([2.0**60]))


@pytest.mark.parametrize("limit", [1, 4, 9, 17])
def test_digits_that_cannot_be_kept_are_dropped_from_the_smallest_on(limit: int) -> None:
    """Scales too small for the shift: round to 2^-limit, then the nearest power again and again."""
    scale = np.ldexp(np.random.default_rng(limit).uniform(-3, 3, 500), -limit)
    sign, shift, right = fit_multiplier(scale, limit)
    for channel, real in enumerate(np.abs(scale)):
        if right[channel] < limit:
            continue
        left, terms = round(float(np.ldexp(real, limit))), []
        exact = int((sign[channel].long() << shift[channel].long()).sum()) * int(
            np.sign(scale[channel])
        )
        while left and len(terms) < 4:
            near = min(
                (s << k for k in range(20) for s in (1, -1)), key=lambda t: (abs(left - t), abs(t))
            )
            terms.append(near)
            left -= near
        assert abs(exact - np.ldexp(real, limit)) <= abs(sum(terms) - np.ldexp(real, limit)) + 1e-9
        assert abs(exact - np.ldexp(real, limit)) <= 0.5 + 2.0**-30 * abs(exact)


def test_a_wide_layer_is_fitted_at_once() -> None:
    """As each channel alone, of all 70,000: no work that grows with their square."""
    scale = 2.0 ** np.random.default_rng(5).uniform(-40, 8, 70_000)
    limit = np.random.default_rng(6).integers(1, 48, 70_000)
    together = fit_multiplier(scale, limit)
    for channel in range(0, 70_000, 700):
        alone = fit_multiplier(scale[channel : channel + 1], limit[channel : channel + 1])
        assert all(
            torch.equal(a[channel : channel + 1], b) for a, b in zip(together, alone, strict=True)
        )


def test_cut_multipliers_stay_within_their_shifts() -> None:
    # 1537 is nearer to 2^11 than to 2^10, and the field ends at 10
    sign, shift, right = fit_multiplier(np.array([1537.0 * 2.0**-22]), 22)
    assert int(shift.max()) <= MULTIPLIER_SHIFT_MAX and right.tolist() == [22]
    assert int((sign.long() << shift.long()).sum()) == 1537
