"""Benches of threshold layers: their weights are written, then words run."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import torch

from shiftwork.hw.codec.plane_code import PlaneCoder, PlaneShape
from shiftwork.hw.codec.threshold_layer import ThresholdLayer
from shiftwork.hw.codec.threshold_rows import mirrored_words_of, words_of
from shiftwork.model.codec.frozen import FrozenPlanes
from shiftwork.model.codec.threshold import PlaneCode

Rows = list[tuple[int, ...]]  # set, output, part, data


def rows_of(layer: ThresholdLayer, weights: np.ndarray, thresholds: np.ndarray) -> Rows:
    """Return (set, output, part, data) of all that is written.

    Parameters
    ----------
    layer : ThresholdLayer
    weights : ndarray (sets, outputs, inputs of a group)
    thresholds : ndarray (outputs,)
    """
    return [
        (chosen, output, part, value)
        for chosen, each in enumerate(weights)
        for output, (own, threshold) in enumerate(zip(each, thresholds, strict=True))
        for part, value in enumerate(layer.layout.row(own, int(threshold)))
    ]


def writes(rows: Rows, enable: int = 1) -> list[dict[str, int]]:
    """Return what a circuit's ports are in the cycles in which rows are written."""
    names = ("w_set", "w_output", "w_part", "w_data")
    return [{"w_en": enable, **dict(zip(names, row, strict=True))} for row in rows]


async def write(ctx: Any, dut: Any, rows: Rows, enable: int = 1) -> None:
    """Write rows through a circuit's port."""
    for ports in writes(rows, enable):
        for name, value in ports.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
    ctx.set(dut.w_en, 0)


def outputs_of(bits: list[int], weights: np.ndarray, thresholds: np.ndarray) -> Iterator[int]:
    """Yield the bits of a layer of one group by definition."""
    for own, threshold in zip(weights, thresholds, strict=True):
        yield int(sum(int(w) for w, bit in zip(own, bits, strict=True) if bit) >= threshold)


def integer(bits: Any) -> int:
    """Return bits as an integer, the first lowest."""
    return sum(int(bit) << n for n, bit in enumerate(bits))


def random_word(rng: Random, size: int) -> list[int]:
    """Return bits, of all shares of ones."""
    share = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    return [int(rng.random() < share) for _ in range(size)]


def empty_code(shape: PlaneShape, seed: int) -> PlaneCode:
    """Return a code as it starts."""
    return PlaneCode(
        shape.lanes, shape.bits, kind="spatial" if shape.spatial else "channel", depth=shape.depth,
        mode="ternary" if shape.weight_bits == 2 else "int8", group=shape.group or None, seed=seed,
        hidden=shape.hidden or shape.act_bits,
    )  # fmt: skip


def code_of(shape: PlaneShape, seed: int) -> FrozenPlanes:
    """Return a code of any weights, whose thresholds are sometimes reached."""
    code = empty_code(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layers: list[Any] = [*code.there, *code.back]
        for layer in layers:
            layer.latent.copy_(torch.randn(layer.latent.shape, generator=generator))
            layer.level.copy_(2 * torch.randn(layer.level.shape, generator=generator))
    return code.frozen()


def rows_of_layers(dut: PlaneCoder, codes: list[FrozenPlanes], *, inward: bool) -> list[Rows]:
    """Return what is written to each layer of an encoder or a decoder, of a code for each word."""
    found = []
    for number, layer in enumerate(dut.layers):
        rows: Rows = []
        for word, code in enumerate(codes):
            own = (code.there if inward else code.back)[number]
            weights = own.weights.numpy()
            sets = mirrored_words_of(weights, own.groups) if own.mirrored else words_of(weights)
            rows += [
                (word * len(sets) + chosen, *row)
                for chosen, *row in rows_of(layer, sets, own.thresholds.numpy())
            ]
        found.append(rows)
    return found


def pixels(a: torch.Tensor) -> np.ndarray:
    """Return a map (1, C, H, W) as (H W, C)."""
    return a[0].flatten(1).T.numpy()
