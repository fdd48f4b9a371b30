"""Ways to round float weights to shift weights without labels.

Every method is one file with one function, ``(problem, before) -> Rounded``; ``driver`` takes it
through the network.
"""

from ..rounded import Rounded
from .driver import Step, round_graph, round_steps
from .methods import METHODS, open_method
from .problem import Moments, Problem

__all__ = [
    "METHODS",
    "Moments",
    "Problem",
    "Rounded",
    "Step",
    "open_method",
    "round_graph",
    "round_steps",
]
