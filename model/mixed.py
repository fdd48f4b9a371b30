"""Mixed terms: a second term per weight only for the layers that need it.

Every convolution is rounded with both N in a network whose other layers have the higher one; what
the lower N alone does to the outputs is its sensitivity. Layers then get the higher N in the order
of sensitivity per cost, while a budget lasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from .codebook import Codebook
from .golden import apply_layer, run
from .graph import ConvNode, Graph
from .network import Network
from .predict import to_scores
from .quantize import conv_layer, quantize
from .rounding import Rounded, open_method, round_steps

LOW, HIGH = 1, 2  # the two N
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Sensitivity:
    """What one convolution's lower N costs and saves.

    Attributes
    ----------
    name : str
    weights : int
    divergence : float
        Mean over pictures of the Kullback-Leibler divergence, in nats, of the class probabilities
        with only this layer at the lower N from those with all layers at the higher.
    error_low, error_high : float
        Variance of the error of the layer's output before its activation, over the variance of
        the output itself, with each N.
    """

    name: str
    weights: int
    divergence: float
    error_low: float
    error_high: float


@dataclass(frozen=True)
class Mix:
    """N by convolution, what it costs, and what it is predicted to do.

    Attributes
    ----------
    terms : dict[str, int]
    mean_terms : float
        N averaged over the weights.
    cost : float
        In the unit of the budget: terms per weight, or cycles.
    predicted : float
        Sum of the divergences of the layers with the lower N.
    """

    terms: dict[str, int]
    mean_terms: float
    cost: float
    predicted: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def measure_sensitivity(
    graph: Graph,
    frac_bits: dict[str, int],
    batches: Iterable[torch.Tensor],
    judges: torch.Tensor,
    *,
    method: str = "compensated",
    bits: int = 4,
    act_bits: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Sensitivity]:
    """Measure every convolution's sensitivity to one term less.

    Parameters
    ----------
    graph : Graph
    frac_bits : dict[str, int]
    batches : iterable of Tensor uint8 (B, C, H, W)
        Pictures to round with.
    judges : Tensor uint8 (P, C, H, W)
        Pictures on which outputs are compared, none of them in ``batches``.
    method : str
        Of ``METHODS``.
    bits, act_bits, seed : int
        As in :func:`.rounding.round_graph`.
    progress : callable, optional
        Called with a convolution's name and a number that rises by 1, to twice the number of
        convolutions.

    Returns
    -------
    list[Sensitivity]
        In the order of the network.

    Raises
    ------
    ValueError
        As in :func:`.rounding.round_graph`, or if there are no judges.
    """
    if not len(judges):
        raise ValueError("sensitivity needs at least one picture to judge on")
    small = Codebook(LOW, bits)
    rounder = open_method(method)
    high: dict[str, Rounded] = {}
    low: dict[str, Rounded] = {}
    errors: dict[str, tuple[float, float]] = {}
    steps = round_steps(
        graph, frac_bits, batches, method=method, terms=HIGH, bits=bits, act_bits=act_bits,
        seed=seed,
    )  # fmt: skip
    for number, step in enumerate(steps, start=1):
        name = step.problem.node.name
        high[name] = step.rounded
        low[name] = rounder(replace(step.problem, book=small))
        errors[name] = (step.problem.error(low[name]), step.problem.error(high[name]))
        if progress:
            progress(name, number)
    network = quantize(graph, frac_bits, bits=bits, act_bits=act_bits, rounded=high)
    divergences = _divergences(graph, network, low, judges, len(high), progress)
    return [
        Sensitivity(name, high[name].weights.codes[0].numel(), divergences[name], *errors[name])
        for name in high
    ]


def _divergences(
    graph: Graph,
    network: Network,
    low: Mapping[str, Rounded],
    judges: torch.Tensor,
    done: int,
    progress: Progress | None,
) -> dict[str, float]:
    """Return each layer's divergence; only what follows the layer is computed again."""
    nodes = {node.name: node for node in graph.nodes}
    totals = dict.fromkeys(low, 0.0)
    parts = judges.split(8)
    base = [run(network, part) for part in parts]
    for number, (name, rounded) in enumerate(low.items(), start=done + 1):
        node = nodes[name]
        assert isinstance(node, ConvNode)
        changed = conv_layer(node, network.tensors, rounded)
        for tensors in base:
            fresh: dict[str, torch.Tensor] = {}
            for layer in network.layers:
                if layer.name != name and fresh.keys().isdisjoint(layer.inputs):
                    continue
                inputs = [fresh.get(source, tensors[source]) for source in layer.inputs]
                used = changed if layer.name == name else layer
                fresh[layer.output] = apply_layer(network, used, inputs)
            want = to_scores(network, tensors[network.output])
            totals[name] += divergence(want, to_scores(network, fresh[network.output])) * len(want)
        if progress:
            progress(name, number)
    return {name: total / len(judges) for name, total in totals.items()}


def divergence(want: torch.Tensor, got: torch.Tensor) -> float:
    """Return the mean Kullback-Leibler divergence in nats of scores (B, C) from those wanted."""
    return float(divergences(want, got).mean())


def divergences(want: torch.Tensor, got: torch.Tensor) -> torch.Tensor:
    """Return each picture's divergence, float64 (B,)."""
    p, q = want.double().log_softmax(1), got.double().log_softmax(1)
    return (p.exp() * (p - q)).sum(1)


def mix_curve(
    sensitivities: Sequence[Sensitivity], cycles: Mapping[str, tuple[int, int]] | None = None
) -> list[Mix]:
    """Return all mixes that the greedy choice passes, cheapest first: all low to all high.

    Parameters
    ----------
    sensitivities : sequence of Sensitivity
    cycles : mapping of str to (int, int), optional
        Cycles of each convolution with the lower and the higher N; the cost is then their sum.
        By default it is terms per weight.
    """
    weights = sum(s.weights for s in sensitivities)

    def extra(s: Sensitivity) -> float:
        if cycles is None:
            return s.weights * (HIGH - LOW) / weights
        return float(cycles[s.name][1] - cycles[s.name][0])

    terms = {s.name: LOW for s in sensitivities}
    mixes = [_mix(terms, sensitivities, cycles)]
    for s in sorted(sensitivities, key=lambda s: _worth(s.divergence, extra(s)), reverse=True):
        terms = terms | {s.name: HIGH}
        mixes.append(_mix(terms, sensitivities, cycles))
    return mixes


def choose_mix(
    sensitivities: Sequence[Sensitivity],
    budget: float,
    cycles: Mapping[str, tuple[int, int]] | None = None,
) -> Mix:
    """Return the mix for a budget of mean terms per weight, or of cycles.

    Layers in the order of sensitivity per cost get the higher N where the budget still allows it.

    Parameters
    ----------
    sensitivities : sequence of Sensitivity
    budget : float
        Mean terms per weight; with ``cycles``, cycles of the convolutions.
    cycles : mapping, optional
        As in :func:`mix_curve`.

    Raises
    ------
    ValueError
        If even the lower N everywhere is over the budget, or the budget is not a number.
    """
    curve = mix_curve(sensitivities, cycles)
    least = curve[0].cost
    if not budget >= least:
        unit = "terms per weight" if cycles is None else "cycles"
        raise ValueError(f"budget must be at least {least:g} {unit}, not {budget:g}")
    most = budget * (1 + 1e-9)

    def keeps(terms: Mapping[str, int]) -> bool:
        return _mix(terms, sensitivities, cycles).cost <= most

    return pick_mix(sensitivities, keeps, cycles)


def pick_mix(
    sensitivities: Sequence[Sensitivity],
    keeps: Callable[[Mapping[str, int]], bool],
    cycles: Mapping[str, tuple[int, int]] | None = None,
) -> Mix:
    """Return the mix in which layers, in the order of the curve, get the higher N where allowed.

    Parameters
    ----------
    sensitivities : sequence of Sensitivity
    keeps : callable
        Whether N by convolution is within the budget.
    cycles : mapping, optional
        As in :func:`mix_curve`.
    """
    curve = mix_curve(sensitivities, cycles)
    terms = dict(curve[0].terms)
    for before, after in pairwise(curve):
        name = next(n for n in after.terms if after.terms[n] != before.terms[n])
        if keeps(terms | {name: HIGH}):
            terms[name] = HIGH
    return _mix(terms, sensitivities, cycles)


def _worth(gain: float, cost: float) -> float:
    return gain / cost if cost > 0 else math.inf


def _mix(
    terms: Mapping[str, int],
    sensitivities: Sequence[Sensitivity],
    cycles: Mapping[str, tuple[int, int]] | None,
) -> Mix:
    weights = sum(s.weights for s in sensitivities)
    mean = sum(s.weights * terms[s.name] for s in sensitivities) / max(weights, 1)
    spent = mean
    if cycles is not None:
        spent = float(sum(cycles[s.name][terms[s.name] - LOW] for s in sensitivities))
    left = sum((s.divergence for s in sensitivities if terms[s.name] == LOW), 0.0)
    return Mix(dict(terms), mean, spent, left)
