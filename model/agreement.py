"""How far an integer network's answers are from the float network's."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .golden import run
from .graph import Graph
from .mixed import divergence
from .network import Network
from .predict import to_scores

BATCH = 8


@dataclass(frozen=True)
class Agreement:
    """Two networks' answers to the same pictures.

    Attributes
    ----------
    share : float
        Pictures with the same likeliest class, 0..1.
    divergence : float
        Mean Kullback-Leibler divergence in nats of the class probabilities from float's.
    pictures : int
    """

    share: float
    divergence: float
    pictures: int


def has_classes(graph: Graph) -> bool:
    """Return whether the network's one output is a score for each of several classes."""
    channels, height, width = graph.shapes()[graph.output]
    return (height, width) == (1, 1) and channels > 1 and len(graph.outputs) == 1


def measure_agreement(graph: Graph, network: Network, pictures: torch.Tensor) -> Agreement:
    """Compare a network with the one it was made from.

    Parameters
    ----------
    graph : Graph
        Of a network for which :func:`has_classes` holds.
    network : Network
        The integer one.
    pictures : Tensor uint8 (P, C, H, W)
        Stored inputs, at least one.

    Raises
    ------
    ValueError
        If there are no pictures.
    """
    if not len(pictures):
        raise ValueError("agreement needs at least one picture to judge on")
    parts = pictures.split(BATCH)
    want = torch.cat([graph.run(x)[graph.output].flatten(1) for x in parts])
    got = torch.cat(
        [to_scores(network, run(network, x, keep=False)[network.output]) for x in parts]
    )
    same = (got.argmax(1) == want.argmax(1)).double().mean()
    return Agreement(float(same), divergence(want, got), len(pictures))
