"""Copies that the memory's layout asks for; they change no value, and the golden model has none.

Two rules of `layout` want them. A tensor is written once, so it lies in one place of one
concatenation: where it is to lie in another place too, or is written by the host, a copy of it
does. And the channels of two addends must lie in the same lanes: where a concatenation has left
holes, it is copied into dense planes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from .codebook import Codebook, ShiftWeights
from .coded import copied_codes
from .fixed import Requantiser
from .layout import output_slots
from .network import Add, Concat, Conv, Layer, MaxPool, Network, TensorInfo


@dataclass(frozen=True)
class Copy(MaxPool):
    """A tensor once more, lane by lane: the maximum of one value."""


@dataclass(frozen=True, eq=False)
class Realign(Conv):
    """A tensor once more, its channels in neighbouring lanes: weights of 1, requantised by 1."""


def insert_copies(network: Network, rows: int) -> tuple[Network, dict[str, str]]:
    """Return the network with the copies it needs, and of each one's tensor what it is a copy of.

    A copy runs right before the layer that needs it and is named after it, as ``concat1:copy``,
    ``concat1:copy2``. Where a concatenation begins or goes on with all parts of an earlier one,
    as in a DenseNet, that one is its part, and nothing is copied.

    Parameters
    ----------
    network : Network
    rows : int
        Channels of one plane.
    """
    inserter = _Inserter(network, rows)
    for layer in network.layers:
        inserter.add(layer)
    if inserter.layers == network.layers:
        return network, {}
    return (
        replace(
            network, tensors=inserter.tensors, layers=inserter.layers,
            codes=copied_codes(network.codes, inserter.copies),
            zeros=(
                *network.zeros,
                *(copy for copy, of in inserter.copies.items() if of in network.zeros),
            ),
        ),
        inserter.copies,
    )  # fmt: skip


class _Inserter:
    """Takes over layer after layer, each after the copies that it needs."""

    def __init__(self, network: Network, rows: int) -> None:
        self.rows = rows
        self.tensors = dict(network.tensors)
        self.layers: list[Layer] = []
        self.copies: dict[str, str] = {}
        self._slots = {network.input: np.arange(network.tensors[network.input].channels)}
        self._placed = {network.input}  # what cannot become a part any more
        self._joined: dict[tuple[str, ...], str] = {}  # concatenations by their parts
        self._dense: dict[str, str] = {}  # copies without holes
        self._names = {layer.name for layer in network.layers} | self.tensors.keys()

    def add(self, layer: Layer) -> None:
        """Append a layer and its copies."""
        if isinstance(layer, Concat):
            parts = self._nested(layer.inputs)
            self._joined.setdefault(layer.inputs, layer.output)
            layer = replace(layer, inputs=tuple(self._part(layer, name) for name in parts))
        elif isinstance(layer, Add):
            first, second = (self._slots[name] for name in layer.inputs)
            if not np.array_equal(first, second):
                first, second = (self._aligned(layer, name) for name in layer.inputs)
                layer = replace(layer, inputs=(first, second))
        self._append(layer)

    def _append(self, layer: Layer) -> None:
        self._slots[layer.output] = output_slots(self.tensors, layer, self._slots, self.rows)
        self.layers.append(layer)

    def _nested(self, names: tuple[str, ...]) -> list[str]:
        """Return the parts, runs of them that are earlier concatenations replaced by those."""
        parts: list[str] = []
        while names:
            for count in range(len(names), 0, -1):
                whole = self._joined.get(names[:count])
                if whole is not None and whole not in self._placed and whole not in parts:
                    parts.append(whole)
                    break
            else:
                count = 1
                parts.append(names[0])
            names = names[count:]
        return parts

    def _part(self, layer: Layer, name: str) -> str:
        """Return a tensor that may become a part: the one of this name or a copy."""
        if name in self._placed:
            info = self._copied(layer, name)
            self._append(Copy(info.name, name, info.name, (1, 1), (1, 1)))
            name = info.name
        self._placed.add(name)
        return name

    def _aligned(self, layer: Layer, name: str) -> str:
        """Return a tensor without holes: the one of this name or a copy."""
        channels = self.tensors[name].channels
        if np.array_equal(self._slots[name], np.arange(channels)):
            return name
        if name not in self._dense:
            info = self._copied(layer, name)
            self._append(_realign(name, info))
            self._dense[name] = info.name
        return self._dense[name]

    def _copied(self, layer: Layer, name: str) -> TensorInfo:
        """Return the tensor of a new copy, which is also the copy's name."""
        number, copy = 1, f"{layer.name}:copy"
        while copy in self._names:
            number += 1
            copy = f"{layer.name}:copy{number}"
        self._names.add(copy)
        self.copies[copy] = self.copies.get(name, name)
        self.tensors[copy] = replace(self.tensors[name], name=copy)
        return self.tensors[copy]


def _realign(source: str, info: TensorInfo) -> Realign:
    """Return the 1 x 1 convolution by the identity: 1 (a - z) + z, shifted right by nothing."""
    count = info.channels
    codes = torch.eye(count, dtype=torch.int8).view(1, count, count, 1, 1)
    weights = ShiftWeights(codes, torch.tensor(1.0, dtype=torch.float64), Codebook(1, 2))
    one = torch.tensor([1, 0, 0, 0])
    rq = Requantiser(
        one.to(torch.int8).repeat(count, 1), torch.zeros(count, 4, dtype=torch.uint8),
        torch.full((count,), info.zero_point), torch.zeros(count, dtype=torch.uint8), 0, info.top,
    )  # fmt: skip
    name = info.name
    return Realign(name, source, name, (1, 1), (1, 1), (0, 0, 0, 0), weights, rq)
