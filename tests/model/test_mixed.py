from __future__ import annotations

import pytest
import torch

from shiftwork.model.calibrate import calibrate
from shiftwork.model.mixed import (
    Sensitivity,
    choose_mix,
    divergence,
    measure_sensitivity,
    mix_curve,
)

from .rounding.test_driver import PICTURES, blocks


def layer(name: str, weights: int, divergence: float) -> Sensitivity:
    return Sensitivity(name, weights, divergence, 0.1, 0.01)


LAYERS = [layer("a", 100, 0.5), layer("b", 600, 0.6), layer("c", 300, 0.9)]


def test_sensitive_and_cheap_layers_come_first() -> None:
    curve = mix_curve(LAYERS)
    assert [mix.mean_terms for mix in curve] == pytest.approx([1.0, 1.1, 1.4, 2.0])
    assert [mix.predicted for mix in curve] == pytest.approx([2.0, 1.5, 0.6, 0.0])
    assert curve[1].terms == {"a": 2, "b": 1, "c": 1}
    assert [mix.cost for mix in curve] == pytest.approx([mix.mean_terms for mix in curve])


@pytest.mark.parametrize(
    ("budget", "high"),
    [(1.0, ""), (1.09, ""), (1.1, "a"), (1.39, "a"), (1.4, "ac"), (1.7, "ab"[:1] + "c"),
     (2.0, "abc"), (9.0, "abc")],
)  # fmt: skip
def test_a_budget_is_kept_and_used(budget: float, high: str) -> None:
    mix = choose_mix(LAYERS, budget)
    assert {name for name, n in mix.terms.items() if n == 2} == set(high)
    assert mix.mean_terms <= budget + 1e-9


def test_what_does_not_fit_is_passed_over() -> None:
    mix = choose_mix([layer("big", 900, 9.0), layer("small", 100, 0.1)], 1.5)
    assert mix.terms == {"big": 1, "small": 2}


def test_a_budget_of_cycles() -> None:
    cycles = {"a": (10, 10), "b": (100, 190), "c": (100, 400)}
    assert [mix.cost for mix in mix_curve(LAYERS, cycles)] == [210, 210, 300, 600]
    mix = choose_mix(LAYERS, 300, cycles)
    assert mix.terms == {"a": 2, "b": 2, "c": 1} and mix.cost == 300
    with pytest.raises(ValueError, match="budget must be at least 210 cycles, not 200"):
        choose_mix(LAYERS, 200, cycles)


def test_bad_budgets_are_refused() -> None:
    for budget in (0.9, -1.0, float("nan")):
        with pytest.raises(ValueError, match="budget must be at least 1 terms per weight"):
            choose_mix(LAYERS, budget)


def test_divergence_is_that_of_probabilities() -> None:
    scores = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert divergence(scores, scores + 3.0) == pytest.approx(0.0, abs=1e-12)
    other = torch.tensor([[2.0, 0.0]]).log()
    other = torch.tensor([[3.0, 1.0]]).log()
    want = 0.5 * torch.tensor(0.5 / 0.75).log() + 0.5 * torch.tensor(0.5 / 0.25).log()
    assert divergence(scores[:1], other) == pytest.approx(float(want))


def test_measured_on_a_network() -> None:
    graph = blocks()
    scales = calibrate(graph, PICTURES.split(8))
    told: list[int] = []
    found = measure_sensitivity(
        graph, scales, PICTURES[:16].split(8), PICTURES[16:], bits=3,
        progress=lambda _name, number: told.append(number),
    )  # fmt: skip
    assert [s.name for s in found] == ["stem", "deep", "project", "down", "logits"]
    assert told == list(range(1, 11))
    assert all(s.divergence >= 0.0 and s.error_low > s.error_high > 0.0 for s in found)
    assert sum(s.divergence for s in found) > 0.0
    with pytest.raises(ValueError, match="at least one picture to judge on"):
        measure_sensitivity(graph, scales, [PICTURES], PICTURES[:0])
