"""A classifier's stored outputs in real units: probabilities and labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .network import Network


@dataclass(frozen=True)
class Prediction:
    """One class: its number, its name (the number where there are no names), its probability."""

    index: int
    label: str
    probability: float


def to_scores(network: Network, output: torch.Tensor) -> torch.Tensor:
    """Return the output tensor's real values, float64 (B, C), of its stored ones (B, C, 1, 1)."""
    info = network.tensors[network.output]
    if output.ndim != 4 or tuple(output.shape[1:]) != info.shape:
        raise ValueError(
            f"output must be (pictures, {', '.join(map(str, info.shape))}), "
            f"not {tuple(output.shape)}"
        )
    return (output.double() - info.zero_point).flatten(1) * 2.0**-info.frac_bits


def to_probabilities(
    network: Network, output: torch.Tensor, top: int = 5
) -> list[list[Prediction]]:
    """Return the likeliest classes of each picture, most likely first.

    Parameters
    ----------
    network : Network
        Whose output is one score per class.
    output : Tensor uint8 (B, C, 1, 1)
        Stored values of the network's output tensor.
    top : int
        How many classes to return per picture, 1..C.
    """
    probabilities = to_scores(network, output).softmax(1)
    values, indices = probabilities.topk(min(top, probabilities.shape[1]))
    names = network.classes or [str(index) for index in range(probabilities.shape[1])]
    return [
        [Prediction(index, names[index], value) for value, index in zip(row, places, strict=True)]
        for row, places in zip(values.tolist(), indices.tolist(), strict=True)
    ]
