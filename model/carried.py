"""How an engine's arithmetic carries a layer's weights: its codes, and what it adds too much.

Shift engines carry sums of powers of two. Integer engines carry any weights whose integers fit,
powers of two among them, in one pass.
"""

from __future__ import annotations

import numpy as np
import torch

from ..hw.config import EngineConfig
from ..hw.digits import code_of, inverted
from .codebook import ShiftWeights
from .integers import IntegerBook


def check_arithmetic(name: str, weights: ShiftWeights, config: EngineConfig) -> None:
    """Check that an engine's arithmetic can carry a layer's weights.

    Raises
    ------
    ValueError
        Naming the layer and what to do.
    """
    engine = f"engine {config.name!r} of {config.arithmetic} arithmetic"
    if config.arithmetic == "shift":
        if isinstance(weights.codebook, IntegerBook):
            raise ValueError(
                f"layer {name!r}: {engine} cannot multiply by integers of "
                f"{weights.codebook.bits} bits: convert the network with arithmetic 'shift'"
            )
        return
    largest = int(weights.integers().abs().max()) if weights.codes.numel() else 0
    if largest > config.magnitudes:
        raise ValueError(
            f"layer {name!r}: weights must be integers of at most {config.magnitudes} on {engine}, "
            f"in one pass, not {largest}: convert the network with arithmetic {config.arithmetic!r}"
        )


def engine_codes(weights: ShiftWeights, config: EngineConfig) -> np.ndarray:
    """Return the codes as the engine takes them, int8 (passes, \\*shape); 0 stays 0.

    A code c of a layer with M magnitudes stands for a shift by M - |c| (codebook n adds N - n), the
    engine's for one by M_engine - |c|: |c| grows by their difference. So a layer of a narrower
    codebook has the same accumulators on every engine, and what is folded into its records does not
    depend on the engine's M.
    """
    if config.arithmetic != "shift":
        return code_of(weights.integers().numpy(), config.code_bits).astype(np.int8)[None]
    codes = weights.codes.numpy()
    beyond = config.magnitudes - weights.codebook.magnitudes
    return (codes + np.sign(codes) * beyond).astype(np.int8)


def channel_sums(weights: ShiftWeights, config: EngineConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return of each output channel the sum of weights, and of what is inverted, int64 (Cout,).

    Where a part of a weight is negative, -p, the array adds (2^A - 1 - a) p in place of -a p, so
    its sum is too large by (2^A - 1) p: the second sum is that of all p.
    """
    if config.arithmetic != "shift":
        integers = weights.integers()
        parts = torch.from_numpy(inverted(integers.numpy(), config.code_bits))
        return integers.sum((1, 2, 3)), parts.sum((1, 2, 3))
    wide = weights.codes.to(torch.int64)
    position = torch.arange(wide.shape[0] - 1, -1, -1).view(-1, 1, 1, 1, 1)  # N - n
    shift = weights.codebook.magnitudes - wide.abs() + position
    size = torch.where(wide != 0, 1 << shift, 0)
    return (size * wide.sign()).sum((0, 2, 3, 4)), (size * (wide < 0)).sum((0, 2, 3, 4))
