from __future__ import annotations

from itertools import product

import pytest
import torch

from shiftwork.model.codebook import Codebook
from shiftwork.model.rounding.levels import levels

BOOKS = [(1, 2), (1, 4), (2, 3), (2, 4), (3, 4)]


@pytest.mark.parametrize(("terms", "bits"), BOOKS)
def test_levels_are_the_codebooks_and_their_codes_say_so(terms: int, bits: int) -> None:
    book = Codebook(terms, bits)
    found = levels(book)
    assert found.values.tolist() == book.levels.tolist()
    weights = found.pick(torch.arange(len(found.values)), torch.tensor(1.0))
    assert weights.dequantize().tolist() == found.values.tolist()


@pytest.mark.parametrize(("terms", "bits"), BOOKS[:4])
def test_no_other_codes_of_a_level_have_fewer_terms(terms: int, bits: int) -> None:
    book = Codebook(terms, bits)
    found = levels(book)
    fewest = dict.fromkeys(found.values.tolist(), terms)
    books = [[0.0, *(s * 2.0**e for e in book.exponents(n) for s in (1, -1))]
             for n in range(1, terms + 1)]  # fmt: skip
    for choice in product(*books):
        value, used = sum(choice), sum(v != 0 for v in choice)
        fewest[value] = min(fewest[value], used)
    assert found.terms.tolist() == list(fewest.values())


def test_nearest_is_the_nearest() -> None:
    found = levels(Codebook(2, 3))
    x = torch.linspace(-2, 2, 1001, dtype=torch.float64)
    want = (x[:, None] - found.values).abs().min(1).values
    assert torch.equal((x - found.values[found.nearest(x)]).abs(), want)
