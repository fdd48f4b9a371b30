"""What a code of one map really costs: that map alone coded, on pictures held out.

The loss that gradients predict (:meth:`.options.Profile.loss`) takes errors for independent and of
both signs. Where they add up, over the pixels of an average or the window of a depthwise
convolution, it is far too low, and weights that look so good spoil a code. So options are tried.

Behind the coded map nothing is rounded. Where it is, the least change somewhere makes values all
over the network round the other way, which costs as much as a good code does, and does not add up.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..mixed import divergence
from .coded import BATCH, CodedGraph, Lossy
from .parts import Part, with_parts

if TYPE_CHECKING:
    from .options import Option


def measured(
    network: CodedGraph,
    options: Mapping[str, Sequence[Option]],
    pictures: torch.Tensor,
    parts: Mapping[str, Part] | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> dict[str, list[Option]]:
    """Return the options with the losses that are measured, each map coded by itself.

    Parameters
    ----------
    network : CodedGraph
    options : Mapping[str, sequence of Option]
        By name of map.
    pictures : Tensor uint8 (B, C, H, W)
        Unlabelled, other ones than the codes were fitted to.
    parts : Mapping[str, Part], optional
        Maps that lie in others, see :func:`.parts.parts_of`.
    tell : callable, optional
        Called with the pictures done and how many there are.

    Raises
    ------
    ValueError
        If there are no pictures.
    """
    ways = {
        name: [with_parts({name: option.code}, parts or {}) for option in several]
        for name, several in options.items()
    }
    found = losses(network, ways, pictures, tell)
    return {
        name: [replace(o, loss=loss) for o, loss in zip(several, found[name], strict=True)]
        for name, several in options.items()
    }


def losses(
    network: CodedGraph,
    ways: Mapping[str, Sequence[Mapping[str, Lossy]]],
    pictures: torch.Tensor,
    tell: Callable[[int, int], None] | None = None,
) -> dict[str, list[float]]:
    """Return the losses of several ways to store each map, in nats, each by itself.

    Parameters
    ----------
    network : CodedGraph
    ways : Mapping[str, sequence of Mapping[str, callable]]
        By name of map, the codes of the tensors that store it: the same ones in each way, and one
        way or more.
    pictures, tell
        As :func:`measured` takes them.

    Raises
    ------
    ValueError
        If there are no pictures.
    """
    if not len(pictures):
        raise ValueError("measuring codes needs one picture or more, not 0")
    smooth = copy.copy(network)
    smooth.rounds = False
    found = {name: [0.0] * len(several) for name, several in ways.items()}
    done = 0
    for x in pictures.split(BATCH):
        kept: dict[str, torch.Tensor] = {}
        network.scores(x, {}, look=kept.__setitem__)
        for name, several in ways.items():
            exact = dict.fromkeys(several[0], _exactly)
            wanted = smooth.scores_after(x, kept, exact)
            for number, codes in enumerate(several):
                got = smooth.scores_after(x, kept, codes)
                found[name][number] += divergence(wanted, got) * len(x) / len(pictures)
        done += len(x)
        if tell:
            tell(done, len(pictures))
    return found


def _exactly(a: torch.Tensor) -> torch.Tensor:
    return a
