"""What an engine cannot do: errors of one line that name layer, value, limit and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..hw.config import EngineConfig
from .carried import check_arithmetic
from .copies import Realign
from .network import Conv, Layer

if TYPE_CHECKING:
    from .lowered import Lowered

Limit = tuple[int, int, str]  # value, the most it may be, what to do about it

SPLIT = "split the layer"


def check(layer: Layer, config: EngineConfig, limits: Mapping[str, Limit]) -> None:
    """Compare values of a layer with limits of the engine.

    Raises
    ------
    ValueError
        At the first one that is too large.
    """
    for label, (value, limit, remedy) in limits.items():
        if value > limit:
            raise ValueError(
                f"layer {layer.name!r}: {label} must be at most {limit} on engine "
                f"{config.name!r}, not {value}: {remedy}"
            )


def check_conv(layer: Conv, config: EngineConfig) -> None:
    """Check what does not depend on how a convolution is lowered."""
    codes = layer.weights.codes
    check_arithmetic(layer.name, layer.weights, config)
    if config.arithmetic == "shift":
        check(layer, config, {
            "terms per weight": (codes.shape[0], config.max_terms, "raise max_terms or use fewer"),
            "code bits": (
                layer.weights.codebook.code_bits, config.code_bits, "raise code_bits or use fewer"
            ),
        })  # fmt: skip
    check(layer, config, {
        "fan-in": (
            1 if isinstance(layer, Realign) else int(np.prod(codes.shape[2:])),
            config.max_fan_in, "raise max_fan_in or use more groups",
        ),
        "output channels": (codes.shape[1], 0xFFFF, SPLIT),
    })  # fmt: skip


def check_lowered(layer: Layer, lowered: Lowered, config: EngineConfig) -> None:
    """Check what must fit a descriptor's fields."""
    window = lowered.window
    kh, steps = window.kernel
    check(layer, config, {
        "kernel rows": (kh, 255, SPLIT),
        "kernel columns": (steps, 255, SPLIT),
        "stride": (max(window.stride), 15, "use a smaller one, then another layer"),
        "dilation": (max(window.dilation[0], lowered.step), 15, "use a smaller one"),
        "padding": (max(window.padding), 255, "pad the picture"),
        "output channels": (len(lowered.records), 0xFFFF, SPLIT),
        "weight blocks per column block": (
            lowered.blocks.shape[1], 0xFFFF, "raise rows or split the layer"
        ),
    })  # fmt: skip
