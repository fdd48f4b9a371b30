"""The rounding methods by name, and how their steps are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from ..rounded import Rounded
from .bias import correct_bias
from .compensated import compensate
from .greedy import greedy
from .learned import learn
from .problem import Problem
from .scaled import search_scale


class Rounder(Protocol):
    """One step: rounds a convolution, or betters what the step before made of it."""

    def __call__(self, problem: Problem, before: Rounded | None = None) -> Rounded:
        """Return the convolution's rounded weights and bias."""
        ...


@dataclass(frozen=True)
class Method:
    """Steps that are applied one after another.

    Attributes
    ----------
    name : str
    steps : tuple of Rounder
    samples : bool
        Whether a step wants input columns, not only their moments.
    """

    name: str
    steps: tuple[Rounder, ...]
    samples: bool = False

    def __call__(self, problem: Problem) -> Rounded:
        """Return what the last step returns."""
        rounded: Rounded | None = None
        with _one_thread():
            for step in self.steps:
                rounded = step(problem, rounded)
        assert rounded is not None
        return rounded


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep to one thread: the steps are thousands of small operations.

    Threads that wait for each other after every one of them gain little on free cores, and take
    forty times as long where something else wants the cores too.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


STEPS: dict[str, Callable[..., Rounded]] = {
    "greedy": greedy,
    "scale": search_scale,
    "bias": correct_bias,
    "compensated": compensate,
    "learned": learn,
}
WANT_SAMPLES: frozenset[str] = frozenset({"learned"})
METHODS = tuple(STEPS)


def open_method(name: str) -> Method:
    """Return a method by its name: steps joined by ``+``.

    Raises
    ------
    ValueError
        If a step is unknown, or the first one only betters what another made.
    """
    names = name.split("+")
    for part in names:
        if part not in STEPS:
            raise ValueError(f"no rounding method {part!r}; there are {', '.join(STEPS)}")
    if names[0] == "bias":
        raise ValueError(f"method {name!r}: 'bias' follows another, as in 'scale+bias'")
    return Method(name, tuple(STEPS[part] for part in names), not WANT_SAMPLES.isdisjoint(names))
