"""Where tensors lie in memory: channel blocks as planes, concatenation by address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.codec.layout import mask_bytes, segment_pixels, word_bytes
from ..hw.config import EngineConfig
from .network import Concat, Conv, Layer, Network, TensorInfo
from .program import ALIGN, Place, round_up


def is_depthwise(tensors: Mapping[str, TensorInfo], layer: Conv) -> bool:
    """Whether every channel goes its own way."""
    channels = tensors[layer.input].channels
    return channels > 1 and layer.groups == channels == tensors[layer.output].channels


def slots_of(network: Network, layers: Sequence[Layer], rows: int) -> dict[str, np.ndarray]:
    """Return each tensor's channel slots: plane x rows + lane, int (C,).

    A convolution's output and the network's input are dense. The parts of a concatenation start
    at fresh planes, so it has holes where a part's channels are no multiple of rows. Layers that
    keep channels apart (pooling, depthwise, addition) keep the slots of their input.
    """
    slots = {network.input: np.arange(network.tensors[network.input].channels)}
    for layer in layers:
        slots[layer.output] = output_slots(network.tensors, layer, slots, rows)
    return slots


def output_slots(
    tensors: Mapping[str, TensorInfo], layer: Layer, slots: Mapping[str, np.ndarray], rows: int
) -> np.ndarray:
    """Return the slots, int (C,), of what a layer writes, from those of what it reads."""
    if isinstance(layer, Conv) and not is_depthwise(tensors, layer):
        return np.arange(tensors[layer.output].channels)
    if isinstance(layer, Concat):
        parts, start = [], 0
        for name in layer.inputs:
            parts.append(slots[name] + start)
            start += round_up(int(slots[name].max()) + 1, rows)
        return np.concatenate(parts)
    return slots[layer.inputs[0]]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The tensors of a network as blocks of memory: a concatenation is one block with its parts.

    Attributes
    ----------
    slots : dict[str, ndarray]
        See `slots_of`.
    parts : dict[str, (str, int)]
        Of each part the concatenation it lies in and its first plane there.
    plane_bytes : dict[str, int]
        Least bytes from plane to plane, a multiple of ALIGN.
    planes : dict[str, int]
        Planes spanned, holes included.
    words : dict[str, int]
        Bytes of a pixel word: of codes, or of values.
    segments : dict[str, int]
        Pixels of a segment of tensors that are stored without zeros, 0 of the others.
    """

    slots: dict[str, np.ndarray]
    parts: dict[str, tuple[str, int]]
    plane_bytes: dict[str, int]
    planes: dict[str, int]
    words: dict[str, int]
    segments: dict[str, int]

    def whole(self, name: str) -> str:
        """Return the tensor whose block a tensor lies in, itself if it is no part."""
        while name in self.parts:
            name = self.parts[name][0]
        return name

    @property
    def wholes(self) -> list[str]:
        """The tensors that are no parts, in order of first use."""
        return [name for name in self.slots if name not in self.parts]

    def size(self, name: str) -> int:
        """Return the least bytes of a tensor."""
        return self.planes[name] * self.plane_bytes[name]


def blocks_of(network: Network, layers: Sequence[Layer], config: EngineConfig) -> Blocks:
    """Return the blocks of memory of some layers.

    Raises
    ------
    ValueError
        If a tensor is a part of two concatenations, or of one twice, or is the network's input.
    """
    slots = slots_of(network, layers, config.rows)
    planes = {name: -(-(int(each.max()) + 1) // config.rows) for name, each in slots.items()}
    parts: dict[str, tuple[str, int]] = {}
    for layer in layers:
        if isinstance(layer, Concat):
            start = 0
            for name in layer.inputs:
                if name in parts or name == network.input:
                    raise ValueError(
                        f"layer {layer.name!r}: tensor {name!r} already has its place in memory; "
                        "concatenate a copy of it, a max pool of 1 x 1"
                    )
                parts[name] = (layer.output, start)
                start += planes[name]
    words = {
        name: word_bytes(config, network.codes[name].bits if name in network.codes else 0)
        for name in slots
    }
    segments = {
        name: segment_pixels(config, network.tensors[name].width) if name in network.zeros else 0
        for name in slots
    }
    plane_bytes = {
        name: round_up(
            network.tensors[name].height * network.tensors[name].width
            * (words[name] + (mask_bytes(config) if segments[name] else 0)), ALIGN,
        )
        for name in slots
    }  # fmt: skip
    return Blocks(slots, parts, plane_bytes, planes, words, segments)


def place_tensors(
    network: Network,
    blocks: Blocks,
    config: EngineConfig,
    addresses: Mapping[str, int],
    strides: Mapping[str, int],
) -> dict[str, Place]:
    """Return the place of every tensor.

    Parameters
    ----------
    network : Network
    blocks : Blocks
    config : EngineConfig
    addresses : dict[str, int]
        Byte address of every whole.
    strides : dict[str, int]
        Bytes from plane to plane of wholes for which that is not their ``plane_bytes``.
    """
    places: dict[str, Place] = {}
    for name, slots in blocks.slots.items():
        whole, plane = name, 0
        while whole in blocks.parts:
            whole, first = blocks.parts[whole]
            plane += first
        stride = strides.get(whole, blocks.plane_bytes[whole])
        info = network.tensors[name]
        places[name] = Place(
            addresses[whole] + plane * stride, stride, blocks.planes[name], slots, info.height,
            info.width, config.rows, blocks.words[name], network.codes.get(name),
            blocks.segments[name],
        )  # fmt: skip
    return places


def one_after_another(blocks: Blocks, address: int = 0) -> tuple[dict[str, int], int]:
    """Return addresses at which every whole has its own memory, and the first free one."""
    addresses: dict[str, int] = {}
    for name in blocks.wholes:
        addresses[name] = address
        address += blocks.size(name)
    return addresses, address
