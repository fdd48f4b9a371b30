"""Plane codes: Verilog of encoder and decoder on both simulators, on a real map, as the model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from shiftwork.hw.codec.plane_code import PlaneCoder, PlaneShape
from shiftwork.hw.codec.plane_decoder import PlaneDecoder
from shiftwork.hw.codec.plane_encoder import PlaneEncoder
from shiftwork.model.codec.frozen import FrozenPlanes
from shiftwork.model.codec.threshold import fit
from tests.hw.codec.plane_bench import code_of, empty_code, pixels, rows_of_layers, writes

from .codec_jobs import LANES, SIMULATORS, check, compiled_block, concatenated, real_map

SHAPES = {
    "channel": PlaneShape(lanes=LANES, bits=4, cycles=16),
    "grouped": PlaneShape(lanes=LANES, bits=4, group=4),
    "spatial": PlaneShape(lanes=LANES, bits=4, group=4, cycles=16, spatial=True, max_width=32),
    "integer": PlaneShape(lanes=LANES, bits=4, group=4, cycles=16, weight_bits=8, depth=2),
}


SLOW = {name: pytest.mark.slow for name in ("grouped", "integer")}


@cache
def real() -> torch.Tensor:
    return real_map()


def fitted(shape: PlaneShape) -> FrozenPlanes:
    """A code of some steps on ResNet8's first map."""
    code = empty_code(shape, 1)
    errors = fit(code, real(), steps=100, batch=1, rate=0.01)
    assert min(errors) < 1000  # mean squared error
    return code.frozen()


def job(dut: PlaneCoder, code: FrozenPlanes, a: torch.Tensor, *, inward: bool) -> dict[str, Any]:
    """Rows to write, words to send and words to come, as the block's ports hold them."""
    size = (a.shape[2], a.shape[3])
    stored = code.encode(a)
    coded = [concatenated(bits, 1) for bits in pixels(stored)]
    if inward:
        words, want = [concatenated(v, 8) for v in pixels(a)], coded
    else:
        words, want = coded, [concatenated(v, 8) for v in pixels(code.decode(stored, size))]
    sizes = {"size": [size[0] | size[1] << 16]} if dut.shape.spatial else {}
    rows = rows_of_layers(dut, [code], inward=inward)
    tables = [ports for number, own in enumerate(rows) for ports in writes(own, 1 << number)]
    return {"tables": tables, "words": {**sizes, "i": words}, "want": want}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("inward", [True, False], ids=["encoder", "decoder"])
@pytest.mark.parametrize("kind", [pytest.param(name, marks=SLOW.get(name, ())) for name in SHAPES])
def test_planes_are_coded_bit_for_bit(
    kind: str, inward: bool, simulator: str, tmp_path: Path
) -> None:
    dut = (PlaneEncoder if inward else PlaneDecoder)(SHAPES[kind])
    name = f"plane_{'encoder' if inward else 'decoder'}"
    compiled = compiled_block(dut, name, simulator, tmp_path)
    a = real()
    for seed, (height, width, stall) in enumerate([(4, 32, 0.0), (5, 7, 0.4), (3, 21, 0.2)]):
        code = code_of(dut.shape, seed) if seed else fitted(dut.shape)
        found = job(dut, code, a[:, :, seed : height + seed, :width], inward=inward)
        check(compiled, found, tmp_path / str(seed), seed, stall)
