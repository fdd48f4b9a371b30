"""Bias correction: the mean output of every channel stays what it was."""

from __future__ import annotations

from ..rounded import Rounded
from .problem import Problem


def correct_bias(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Keep the weights of the step before, make their error's mean part of the bias.

    (Nagel et al., "Data-Free Quantization", arXiv 1906.04721, section 4.2, with measured means.)
    """
    assert before is not None
    return Rounded(before.weights, problem.compensated_bias(before.weights))
