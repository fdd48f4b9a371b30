from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch

from shiftwork.model.codebook import Codebook, Scale
from shiftwork.model.graph import ConvNode
from shiftwork.model.rounding import METHODS, Problem, Rounded, methods, open_method
from shiftwork.model.rounding import compensated as compensated_module
from shiftwork.model.rounding.compensated import compensate
from shiftwork.model.rounding.greedy import greedy
from shiftwork.model.rounding.learned import learn
from shiftwork.model.rounding.problem import MomentSum, Samples
from shiftwork.model.rounding.scaled import search_scale


def problem(
    groups: int = 1,
    outs: int = 12,
    size: int = 18,
    *,
    terms: int = 1,
    bits: int = 4,
    scale: Scale = "channel",
    noise: float = 0.0,
    price: float = 0.0,
    relu: bool = True,
) -> Problem:
    """Return a convolution with correlated positive inputs, seen with some noise."""
    generator = torch.Generator().manual_seed(groups * 100 + size)
    mixing = torch.randn(groups, size, size, generator=generator) + torch.eye(size)
    x_float = (torch.randn(groups, 2000, size, generator=generator) @ mixing + 1).relu()
    x = x_float + noise * torch.randn(x_float.shape, generator=generator)
    weight = torch.randn(groups * outs, size, 1, 1, generator=generator) * 0.1
    bias = torch.randn(groups * outs, generator=generator)
    node = ConvNode("c", "x", "y", weight, bias, relu=relu, groups=groups)
    total = MomentSum(groups, size)
    for a, b in zip(x_float.split(500, 1), x.split(500, 1), strict=True):
        total.add(a, b)
    flat = weight.reshape(groups, outs, size)
    target = x_float @ flat.transpose(1, 2) + bias.reshape(groups, 1, outs)
    return Problem(node, Codebook(terms, bits), scale, total.moments(), price, 0,
                   Samples(x, target))  # fmt: skip


def output_error(given: Problem, rounded: Rounded, activation: bool = False) -> float:
    """Return the mean squared output error on the columns themselves."""
    samples = given.samples
    assert samples is not None
    weight = given.by_group(rounded.weights.dequantize())
    bias = rounded.bias.reshape(given.node.groups, 1, -1)
    value, want = samples.x.double() @ weight.transpose(1, 2) + bias, samples.target.double()
    if activation:
        value, want = value.relu(), want.relu()
    return float((value - want).square().mean())


def test_moments_are_those_of_all_columns_at_once() -> None:
    given = problem(noise=0.2)
    assert given.samples is not None
    x = given.samples.x[0].double()
    assert torch.allclose(given.moments.second[0], torch.cov(x.T, correction=0), atol=1e-3)
    assert torch.allclose(given.moments.mean[0], x.mean(0), atol=1e-6)
    assert given.moments.count == 2000


@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize(("terms", "bits"), [(1, 4), (2, 3), (1, 3)])
def test_compensation_beats_scale_search_beats_greedy(groups: int, terms: int, bits: int) -> None:
    outs = 1 if groups == 12 else 4  # depthwise
    given = problem(groups, outs, 9, terms=terms, bits=bits)
    one, two, three = (
        output_error(given, open_method(name)(given))
        for name in ("greedy+bias", "scale+bias", "compensated")
    )
    assert three < 0.85 * two
    assert two < one


@pytest.mark.parametrize("method", ["greedy+bias", "scale+bias", "compensated", "learned"])
def test_the_mean_output_stays(method: str) -> None:
    given = problem(noise=0.3, relu=False)
    rounded = open_method(method)(given)
    weight = given.by_group(rounded.weights.dequantize())
    mean = (weight @ given.moments.mean[:, :, None]).flatten() + rounded.bias
    want = (given.weight @ given.moments.mean_float[:, :, None]).flatten() + given.node.bias
    slack = 1e-9 if method != "learned" else 0.05
    assert float((mean - want).abs().max()) < slack


def test_one_scale_per_layer_is_one_scale() -> None:
    for step in (greedy, search_scale, compensate, learn):
        given = problem(scale="layer")
        assert step(given).weights.scale.shape == (), step
    errors = [output_error(problem(), compensate(problem(scale=s))) for s in ("layer", "channel")]
    assert errors[1] < errors[0]


def test_the_target_makes_up_for_earlier_errors() -> None:
    given = problem(terms=3, noise=0.5)  # fine codes: what is left comes from the inputs
    plain = Rounded(given.book.quantize(given.node.weight, "channel"), given.node.bias.double())
    naive = Rounded(plain.weights, given.compensated_bias(plain.weights))
    assert output_error(given, compensate(given)) < 0.95 * output_error(given, naive)


def test_small_problems_are_solved_nearly_to_the_optimum() -> None:
    given = problem(1, 6, 4, bits=3)
    rounded = compensate(given)
    h, target = given.damped()
    values = given.levels.values
    every = torch.tensor(list(product(range(len(values)), repeat=4)))
    q = values[every]
    image = q @ h[0]
    below = (image * q).sum(1).clamp(min=1e-12)
    for channel, wanted in enumerate(target[0]):
        gain = ((image @ wanted).clamp(min=0)).square() / below
        best = float(wanted @ h[0] @ wanted) - float(gain.max())
        error = wanted - rounded.weights.dequantize().reshape(6, 4)[channel]
        assert float(error @ h[0] @ error) <= 2.0 * best + 1e-9


def test_coordinate_descent_ends_where_no_single_code_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compensated_module, "STILL", 0.0)
    monkeypatch.setattr(compensated_module, "ROUNDS", 60)
    given = problem(1, 5, 10)
    rounded = compensate(given)
    h, target = given.damped()
    scale = rounded.weights.scale[:, None]
    q = rounded.weights.dequantize().reshape(5, 10) / scale

    def cost(codes: torch.Tensor) -> torch.Tensor:
        error = target[0] - scale * codes
        return ((error @ h[0]) * error).sum(1)

    least = cost(q)
    for j, value in product(range(10), given.levels.values.tolist()):
        other = q.clone()
        other[:, j] = value
        assert bool((cost(other) >= least - 1e-9).all())


def test_a_price_of_terms_buys_zeros() -> None:
    used = []
    errors = []
    for price in (0.0, 0.02, 0.2):
        given = problem(terms=2, price=price)
        rounded = compensate(given)
        used.append(rounded.weights.nonzero_terms())
        errors.append(output_error(given, rounded))
    assert used[0] > used[1] > used[2]
    assert errors[0] < errors[1] < errors[2]


def test_learned_rounding_betters_the_answer_behind_the_activation() -> None:
    given = problem(noise=0.1)
    start, learned = compensate(given), learn(given)
    assert output_error(given, learned, True) < 0.97 * output_error(given, start, True)
    again = learn(given)
    assert torch.equal(again.weights.codes, learned.weights.codes)
    assert torch.equal(again.bias, learned.bias)


def test_dead_inputs_and_zero_weights_do_no_harm() -> None:
    given = problem(1, 3, 6)
    node = given.node
    node.weight.zero_()
    total = MomentSum(1, 6)
    total.add(torch.zeros(1, 50, 6), torch.zeros(1, 50, 6))
    for method in ("scale+bias", "compensated"):
        rounded = open_method(method)(Problem(node, given.book, "channel", total.moments()))
        assert int(rounded.weights.codes.abs().max()) == 0
        assert torch.equal(rounded.bias, node.bias.double())


def test_a_method_keeps_to_one_thread_and_gives_the_others_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def step(given: Problem, before: Rounded | None = None) -> Rounded:
        seen.append(torch.get_num_threads())
        if before:
            raise ValueError("as a step may")
        return greedy(given)

    monkeypatch.setitem(methods.STEPS, "spy", step)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="as a step may"):
            open_method("spy+spy")(problem())
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_methods_are_named_and_composed() -> None:
    assert {"greedy", "scale", "bias", "compensated", "learned"} == set(METHODS)
    assert open_method("compensated+learned").samples
    assert not open_method("scale+bias").samples
    with pytest.raises(ValueError, match="no rounding method 'magic'; there are greedy, "):
        open_method("scale+magic")
    with pytest.raises(ValueError, match="'bias' follows another"):
        open_method("bias")
    with pytest.raises(ValueError, match="layer 'c': learned rounding needs input columns"):
        given = problem()
        learn(Problem(given.node, given.book, "channel", given.moments))


STEPS: dict[str, Callable[..., Rounded]] = {"greedy": greedy, "scale": search_scale}


@pytest.mark.parametrize("name", list(STEPS))
def test_steps_without_compensation_keep_the_bias(name: str) -> None:
    given = problem()
    assert torch.equal(STEPS[name](given).bias, given.node.bias.double())
