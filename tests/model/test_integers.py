"""Integer weights: rounded to the nearest, refused where they cannot be, found by the rounders."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from shiftwork.model.codebook import Codebook
from shiftwork.model.golden import run
from shiftwork.model.graph import ConvNode, Graph
from shiftwork.model.integers import IntegerBook, open_book
from shiftwork.model.quantize import calibrate, quantize
from shiftwork.model.rounding import round_graph
from shiftwork.model.rounding.levels import levels


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_weight_of_a_grid_goes_to_the_nearest_integer(bits: int) -> None:
    book, top = IntegerBook(bits), (1 << (bits - 1)) - 1
    grid = np.arange(-8 * top, 8 * top + 1)
    for size in (1.0, 0.7, 3.0 * 2**-40):
        weights = book.quantize(grid / (8 * top) * size)
        near = [Fraction(int(w), 8) for w in grid]
        error = [abs(c - n) for c, n in zip(weights.codes[0].tolist(), near, strict=True)]
        assert max(error) == Fraction(1, 2) and weights.codes.abs().max() == top
        assert torch.equal(weights.integers(), weights.codes[0].long())
        largest = float(weights.dequantize().max())
        assert largest == pytest.approx(size, rel=1e-15)


def test_each_channel_has_its_own_scale() -> None:
    w = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    w[2] = 0.0
    weights = IntegerBook(8).quantize(w, "channel")
    assert weights.codes.shape == (1, 5, 3, 2, 2) and weights.scale.shape == (5,)
    peak = weights.codes.abs().flatten(2).amax(2)[0].tolist()
    assert peak == [127, 127, 0, 127, 127]
    step = w.double().flatten(1).abs().amax(1) / 127
    error = (weights.dequantize() - w.double()).abs().flatten(1).amax(1)
    assert bool((error <= step / 2 * (1 + 1e-12)).all())
    assert IntegerBook(8).quantize(w).scale.shape == ()


@pytest.mark.parametrize("bits", [1, 9, 4.0, True, None])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=r"^bits of an integer must be an integer in 2\.\.8, not"):
        IntegerBook(bits)


def test_what_is_no_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="is NaN; only finite weights"):
        IntegerBook(8).quantize(np.array([1.0, float("nan")]))
    with pytest.raises(ValueError, match=r"^scale must be 'layer' or 'channel', not 'net'$"):
        IntegerBook(8).quantize(np.ones(2), "net")  # type: ignore[arg-type]


def test_an_arithmetic_has_its_codebook() -> None:
    assert open_book("shift") == Codebook(2, 4)
    assert open_book("shift", 1, 3) == Codebook(1, 3)
    assert [open_book(name) for name in ("int8", "int4")] == [IntegerBook(8), IntegerBook(4)]
    with pytest.raises(ValueError, match=r"^arithmetic must be one of shift, int8, int4, not 'bf1"):
        open_book("bf16")
    with pytest.raises(ValueError, match=r"^int8 weights have bits of their own and no terms"):
        open_book("int8", terms=1)
    with pytest.raises(ValueError, match=r"leave out bits 4$"):
        open_book("int4", bits=4)


def test_the_rounders_see_all_integers() -> None:
    found = levels(IntegerBook(4))
    assert (found.values * 8).tolist() == list(range(-7, 8))
    assert found.codes.flatten().tolist() == list(range(-7, 8))


def test_int8_is_near_to_float_and_compensated_int4_nearer_than_plain() -> None:
    rng = torch.Generator().manual_seed(3)
    w = torch.randn(8, 6, 3, 3, generator=rng) / 6
    graph = Graph(
        "one", "x", "y", (6, 8, 8),
        [ConvNode("conv", "x", "y", w, torch.zeros(8), (1, 1), (1, 1, 1, 1), True)], frac_bits=8,
    )  # fmt: skip
    mixture = torch.randn(6, 6, generator=rng).softmax(1)  # so that channels go together
    pixels = torch.rand(8, 6, 8, 8, generator=rng)
    x = (torch.einsum("ij,bjhw->bihw", mixture, pixels) * 255).round().to(torch.uint8)
    scales = calibrate(graph, [x])
    want = graph.run(x)["y"]

    def error(bits: int, method: str) -> float:
        book, rounded = IntegerBook(bits), None
        if method != "nearest":
            rounded = round_graph(graph, scales, [x], method=method, book=book)
        network = quantize(graph, scales, scale="channel", book=book, rounded=rounded)
        assert next(network.convolutions()).weights.codebook == book
        got = run(network, x)["y"].double() * 2.0 ** -scales["y"]
        return float((got - want).square().mean() / want.var())

    assert error(8, "nearest") < 1e-3
    assert error(4, "compensated") < 0.6 * error(4, "nearest")
