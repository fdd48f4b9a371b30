"""Which feature maps of a network an engine may store without their zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..hw.codec.layout import mask_bytes, segment_pixels
from ..hw.config import EngineConfig
from . import golden
from .bands import MOST, Window, least_words
from .coded import codable, with_zeros_left_out
from .copies import insert_copies
from .layout import Blocks, is_depthwise, slots_of
from .network import AveragePool, Concat, Conv, Layer, Network


def zero_groups(network: Network, config: EngineConfig) -> list[tuple[str, ...]]:
    """Return the tensors that an engine may store without zeros, in groups of all or none.

    As `coded.codable`, less those that `check_zeros` would refuse, or a copy of which it would,
    and those of which no segment fits the activation buffer.
    """
    copied, copies = insert_copies(network, config.rows)
    slots = slots_of(copied, copied.layers, config.rows)
    unfit = {
        copies.get(layer.output, layer.output)
        for layer in copied.layers
        if _written(layer)
        and (
            _edged(layer)
            or _has_holes(slots[layer.output])
            or _overflows(copied, layer, slots[layer.inputs[0]], config)
        )
    }
    for layer in reversed(network.layers):  # a copied concatenation is its parts
        if isinstance(layer, Concat) and layer.output in unfit:
            unfit |= set(layer.inputs)
    return [group for group in codable(network) if not unfit & set(group)]


def without_zeros(network: Network, config: EngineConfig, pictures: torch.Tensor) -> Network:
    """Return the network with those maps stored without zeros that are smaller so.

    A group of maps is judged by what it moves on pictures uint8 (B, C, H, W): masks, values and
    half a bus beat for each segment, whose end is not a beat's, against all of its words.

    Raises
    ------
    ValueError
        If there are no pictures, or the engine has no ``zero_maps``.
    """
    if not config.zero_maps or not len(pictures):
        raise ValueError(
            f"maps without zeros need pictures and an engine with zero_maps, not "
            f"{len(pictures)} pictures and {config.name!r}: add --set zero_maps=true"
        )
    copied, _ = insert_copies(network, config.rows)
    slots = slots_of(copied, copied.layers, config.rows)
    tensors = golden.run(network, pictures)
    chosen: list[str] = []
    for group in zero_groups(network, config):
        whole, less = 0.0, 0.0
        for name in group:
            info = network.tensors[name]
            planes = -(-(int(slots[name].max()) + 1) // config.rows)
            words = planes * info.height * info.width
            segments = words / segment_pixels(config, info.width)
            whole += words * config.word_bytes
            less += words * mask_bytes(config) + segments * config.bus_bytes / 2
            less += int((tensors[name] != 0).sum()) / len(pictures)
        if less < whole:
            chosen += group
    return with_zeros_left_out(network, chosen)


def check_zeros(
    network: Network, layers: Sequence[Layer], blocks: Blocks, config: EngineConfig
) -> None:
    """Check what is stored without zeros against what an engine can do.

    Raises
    ------
    ValueError
        Naming the layer, the tensor and why.
    """
    for layer in layers:
        name = layer.output
        if name not in network.zeros:
            continue
        if not config.zero_maps:
            raise ValueError(
                f"layer {layer.name!r}: tensor {name!r} is stored without zeros, but engine "
                f"{config.name!r} has no zero_maps: turn them on or keep its zeros"
            )
        if _edged(layer):
            raise ValueError(
                f"layer {layer.name!r}: its runs of pixels are no segments: keep the zeros of "
                f"tensor {name!r}"
            )
        if _written(layer) and _has_holes(blocks.slots[name]):
            raise ValueError(
                f"layer {layer.name!r}: tensor {name!r} has lanes without a channel on "
                f"engine {config.name!r}, whose values are not known: keep its zeros"
            )


def _written(layer: Layer) -> bool:
    return not isinstance(layer, Concat)


def _overflows(network: Network, layer: Layer, slots: np.ndarray, config: EngineConfig) -> bool:
    """Whether a segment of what a layer writes takes more than the buffer, see `cut_bands`.

    Rows take what they take without segments, too.
    """
    info, out = network.tensors[layer.inputs[0]], network.tensors[layer.output]
    window = Window(
        (info.height, info.width), (out.height, out.width), getattr(layer, "kernel", (1, 1)),
        getattr(layer, "stride", (1, 1)), getattr(layer, "padding", (0, 0, 0, 0)), (1, 1),
        -(-(int(slots.max()) + 1) // config.rows),
        not isinstance(layer, Conv) or is_depthwise(network.tensors, layer), len(layer.inputs),
    )  # fmt: skip
    words = least_words(window, config, segment_pixels(config, out.width))
    return window.pointwise and words > min(config.buffer_words, MOST)


def _edged(layer: Layer) -> bool:
    return isinstance(layer, AveragePool) and bool(layer.edges)


def _has_holes(slots: np.ndarray) -> bool:
    return int(slots.max()) + 1 != len(slots)
