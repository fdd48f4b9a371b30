"""Encoder and decoder by themselves: their Verilog on both simulators against the tables."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from amaranth.back import verilog

from shiftwork.hw.codec.decoder import Decoder
from shiftwork.hw.codec.encoder import Encoder
from shiftwork.hw.codec.layout import heap_order, pack_word
from shiftwork.model import golden
from shiftwork.model.codec.table import TableCode
from shiftwork.sim.fuzz_codes import random_code
from shiftwork.sim.runner import build, run
from tests.networks import NetworkBuilder

LANES = 16


def maps(seed: int) -> torch.Tensor:
    """Feature maps of a random network of leaky and clamped layers, uint8 (1, 16, H, W)."""
    b = NetworkBuilder(seed, 3, 14, 13)
    b.conv(LANES, (3, 3), limits=(0, 200))
    b.max_pool((2, 2), (1, 1))
    network = b.build()
    return golden.run(network, b.picture())[network.output]


def concatenated(values: Any, width: int) -> int:
    """Return values one behind another, the first lowest."""
    return sum(int(value) << n * width for n, value in enumerate(values))


def job(kind: str, code: TableCode, a: torch.Tensor) -> dict[str, Any]:
    """Tables to write, words to send and words to come, as the block's ports hold them."""
    k = code.bits
    values = a[0].flatten(1).T.numpy()  # (pixels, lanes)
    codes = code.encode(a)[0].flatten(1).T.numpy()
    k_bits = 3  # of `bits`, 0..4
    if kind == "encoder":
        trees = code.thresholds.numpy()[:, heap_order(k)]
        tables = [(h + 1, concatenated(trees[:, h], 8)) for h in range(trees.shape[1])]
        words = [concatenated(v, 8) | k << 8 * LANES for v in values]
        return {"tables": tables, "words": words, "want": [concatenated(c, 8) for c in codes]}
    levels = code.levels.numpy()
    tables = [(h, concatenated(levels[:, h], 8)) for h in range(levels.shape[1])]
    words = [pack_word(c.tolist(), k) | k << 8 * LANES for c in codes]
    words[-1] |= 1 << 8 * LANES + k_bits  # last
    read = code(a)[0].flatten(1).T.numpy()
    want = [concatenated(v, 8) for v in read]
    want[-1] |= 1 << 8 * LANES
    return {"tables": tables, "words": words, "want": want}


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_codes_maps_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (Encoder if kind == "encoder" else Decoder)(LANES, 8, 4, 1)
    path = tmp_path / f"{kind}.v"
    path.write_text(verilog.convert(block, name=kind, emit_src=False))
    compiled = build([path], kind, simulator, public=True, root=tmp_path)
    for seed, (bits, stall) in enumerate([(4, 0.0), (4, 0.4), (3, 0.4), (1, 0.2)]):
        code = random_code(Random(seed), LANES, bits)
        work = tmp_path / str(seed)
        work.mkdir()
        found = job(kind, code, maps(seed))
        assert len(np.unique([str(word) for word in found["words"]])) > 4
        (work / "job.json").write_text(json.dumps(found))
        done = run(compiled, "tests.sim.codec_tb", work=work,
                   environment={"STALL": str(stall), "SEED": str(seed)})  # fmt: skip
        assert len(done.tests) == 1
