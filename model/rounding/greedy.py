"""The paper's rounding: every weight by itself, term after term."""

from __future__ import annotations

from ..rounded import Rounded
from .problem import Problem


def greedy(problem: Problem, before: Rounded | None = None) -> Rounded:
    """Round with ``Codebook.quantize``, keep the bias (Gudovskiy & Rigazio, arXiv 1706.02393)."""
    node = problem.node
    return Rounded(problem.book.quantize(node.weight, problem.scale), node.bias.double())
