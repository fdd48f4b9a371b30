"""Where tensors lie in memory: channel blocks as planes, concatenation by address."""

from __future__ import annotations

import numpy as np

from ..hw.config import EngineConfig
from .network import Concat, Conv, Layer, Network
from .program import ALIGN, Place, round_up


def is_depthwise(network: Network, layer: Conv) -> bool:
    """Whether every channel goes its own way."""
    channels = network.tensors[layer.input].channels
    return channels > 1 and layer.groups == channels == network.tensors[layer.output].channels


def slots_of(network: Network, layers: list[Layer], rows: int) -> dict[str, np.ndarray]:
    """Return each tensor's channel slots: plane x rows + lane, int (C,).

    A convolution's output and the network's input are dense. The parts of a concatenation start
    at fresh planes, so it has holes where a part's channels are no multiple of rows. Layers that
    keep channels apart (pooling, depthwise, addition) keep the slots of their input.
    """
    slots = {network.input: np.arange(network.tensors[network.input].channels)}
    for layer in layers:
        if isinstance(layer, Conv) and not is_depthwise(network, layer):
            slots[layer.output] = np.arange(network.tensors[layer.output].channels)
        elif isinstance(layer, Concat):
            parts, start = [], 0
            for name in layer.inputs:
                parts.append(slots[name] + start)
                start += round_up(int(slots[name].max()) + 1, rows)
            slots[layer.output] = np.concatenate(parts)
        else:
            slots[layer.output] = slots[layer.inputs[0]]
    return slots


def place_tensors(
    network: Network, layers: list[Layer], config: EngineConfig, address: int
) -> tuple[dict[str, Place], int]:
    """Lay out every tensor from ``address`` on; return the places and the first free address.

    Every tensor keeps its own memory, so that all of them can be read after a run.

    Raises
    ------
    ValueError
        If a tensor is a part of two concatenations, or of one and also its layer's input twice.
    """
    slots = slots_of(network, layers, config.rows)
    owner: dict[str, tuple[str, int]] = {}  # part -> (concatenation, first plane)
    for layer in layers:
        if isinstance(layer, Concat):
            start = 0
            for name in layer.inputs:
                if name in owner or name == network.input:
                    raise ValueError(
                        f"layer {layer.name!r}: tensor {name!r} already has its place in memory; "
                        "concatenate a copy of it"
                    )
                owner[name] = (layer.output, start)
                start += -(-(int(slots[name].max()) + 1) // config.rows)

    places: dict[str, Place] = {}

    def place(name: str, at: int) -> Place:
        info = network.tensors[name]
        stride = round_up(info.height * info.width * config.word_bytes, ALIGN)
        planes = -(-(int(slots[name].max()) + 1) // config.rows)
        places[name] = Place(
            at, stride, planes, slots[name], info.height, info.width, config.rows, config.word_bytes
        )
        for part, (whole, plane) in owner.items():
            if whole == name:
                place(part, at + plane * stride)
        return places[name]

    for name in slots:
        if name not in owner:
            address += place(name, address).size
    return places, address
