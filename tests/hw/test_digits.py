"""Radix-4 digits of every weight: they add up, their codes differ, and nothing is larger."""

from __future__ import annotations

import numpy as np
import pytest

from shiftwork.hw.digits import code_of, digits, inverted, reach
from tests.terms import digit_parts


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_every_weight(bits: int) -> None:
    half = 1 << (bits - 1)
    weights = np.arange(-half, half)
    found = digits(weights, bits)
    assert len(found) == bits // 2
    assert all(set(low.tolist()) <= {-1, 0, 1, 2} for low in found[:-1])
    assert set(found[-1].tolist()) <= {-2, -1, 0, 1, 2}
    assert np.array_equal(sum(digit * 4**i for i, digit in enumerate(found)), weights)
    codes, negative = code_of(weights, bits), inverted(weights, bits)
    assert sorted(codes.tolist()) == weights.tolist()  # each once
    read = [digit_parts(code, bits) for code in codes.tolist()]
    assert [plus - minus for plus, minus in read] == weights.tolist()
    assert [minus for _, minus in read] == negative.tolist()
    assert reach(bits) == max(max(each) for each in read)


@pytest.mark.parametrize("bits", [4, 8])
def test_symmetric_weights_keep_clear_of_the_smallest_code(bits: int) -> None:
    half = 1 << (bits - 1)
    same = [-half, 0, 1, 2, half // 2]
    assert code_of(np.array(same), bits).tolist() == same
