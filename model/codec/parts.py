"""Maps that are channels of another map: parts of a concatenation that are read by themselves too.

A part lies in the memory of the whole, so its code is the whole's for its channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..graph import ConcatNode, Graph
from .maps import stored_maps
from .table import TableCode

if TYPE_CHECKING:
    from .options import Profile


@dataclass(frozen=True)
class Part:
    """Channels ``start`` to ``stop`` - 1 of map ``whole``."""

    whole: str
    start: int
    stop: int


def parts_of(graph: Graph) -> dict[str, Part]:
    """Return which stored maps lie in which other stored map, parts of parts behind these."""
    names, shapes = stored_maps(graph), graph.shapes()
    found: dict[str, Part] = {}
    for node in reversed(graph.nodes):  # a whole before its parts
        if not isinstance(node, ConcatNode):
            continue
        place = found.get(node.output) or Part(node.output, 0, shapes[node.output][0])
        start = place.start
        for name in node.inputs:
            stop = start + shapes[name][0]
            found[name] = Part(place.whole, start, stop)
            start = stop
    return {n: part for n, part in found.items() if n in names and part.whole in names}


def whole_maps(graph: Graph) -> list[str]:
    """Return the stored maps that are no part of another one: those that can have a code."""
    parts = parts_of(graph)
    return [name for name in stored_maps(graph) if name not in parts]


def with_parts(
    codes: Mapping[str, TableCode], parts: Mapping[str, Part]
) -> dict[str, TableCode]:  # fmt: skip
    """Return the codes with those of the coded maps' parts."""
    shares = {
        name: codes[part.whole].select(part.start, part.stop)
        for name, part in parts.items()
        if part.whole in codes
    }
    return {**codes, **shares}


def joined(known: Mapping[str, Profile], parts: Mapping[str, Part]) -> dict[str, Profile]:
    """Return what is known of the wholes; an error in a part matters where the part is read too."""
    found = {name: profile for name, profile in known.items() if name not in parts}
    for name, part in parts.items():
        weights = found[part.whole].weights.clone()
        # what reads the whole is behind the part: its gradient has both
        weights[part.start : part.stop] = known[name].weights
        found[part.whole] = replace(found[part.whole], weights=weights)
    return found
