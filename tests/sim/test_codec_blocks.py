"""Encoders and decoders by themselves: their Verilog on both simulators against the model."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from shiftwork.hw.codec.decoder import Decoder
from shiftwork.hw.codec.encoder import Encoder
from shiftwork.hw.codec.layout import heap_order, pack_word
from shiftwork.hw.codec.zero_decoder import ZeroDecoder
from shiftwork.hw.codec.zero_encoder import ZeroEncoder
from shiftwork.model import golden
from shiftwork.model.codec.table import TableCode
from shiftwork.model.codec.zeros import ZeroMask
from shiftwork.sim.fuzz_codes import random_code
from tests.networks import NetworkBuilder

from .codec_jobs import LANES, SIMULATORS, check, compiled_block, concatenated, real_map


def maps(seed: int) -> torch.Tensor:
    """Feature maps of a random network of leaky and clamped layers, uint8 (1, 16, H, W)."""
    b = NetworkBuilder(seed, 3, 14, 13)
    b.conv(LANES, (3, 3), limits=(0, 200))
    b.max_pool((2, 2), (1, 1))
    network = b.build()
    return golden.run(network, b.picture())[network.output]


def entry(number: int, values: Any) -> dict[str, int]:
    """What writes an entry of the tables of all lanes."""
    return {"w_en": 1, "w_entry": number, "w_values": concatenated(values, 8)}


def job(kind: str, code: TableCode, a: torch.Tensor) -> dict[str, Any]:
    """Tables to write, words to send and words to come, as the block's ports hold them."""
    k = code.bits
    values = a[0].flatten(1).T.numpy()  # (pixels, lanes)
    codes = code.encode(a)[0].flatten(1).T.numpy()
    k_bits = 3  # of `bits`, 0..4
    if kind == "encoder":
        trees = code.thresholds.numpy()[:, heap_order(k)]
        tables = [entry(h + 1, trees[:, h]) for h in range(trees.shape[1])]
        words = [concatenated(v, 8) | k << 8 * LANES for v in values]
        want = [concatenated(c, 8) for c in codes]
        return {"tables": tables, "words": {"i": words}, "want": want}
    levels = code.levels.numpy()
    tables = [entry(h, levels[:, h]) for h in range(levels.shape[1])]
    words = [pack_word(c.tolist(), k) | k << 8 * LANES for c in codes]
    words[-1] |= 1 << 8 * LANES + k_bits  # last
    read = code(a)[0].flatten(1).T.numpy()
    want = [concatenated(v, 8) for v in read]
    want[-1] |= 1 << 8 * LANES
    return {"tables": tables, "words": {"i": words}, "want": want}


def zero_job(kind: str, a: torch.Tensor, run: int) -> dict[str, Any]:
    """The same for zero-value compression, in runs of a number of pixels, 64 bits to a beat."""
    values, beats, lengths = [], [], []
    pixels = a[0].flatten(1)  # (lanes, pixels)
    for part in pixels.split(run, 1):
        words = [concatenated(v, 8) for v in part.T.numpy()]
        words[-1] |= 1 << 8 * LANES  # last
        bits = ZeroMask(rows=LANES).encode(part[:, None, :])
        whole = np.pad(bits, (0, -len(bits) % 64)).reshape(-1, 64)
        used = np.pad(np.ones_like(bits), (0, -len(bits) % 64)).reshape(-1, 64)[:, ::8]
        ends = np.arange(len(whole)) == len(whole) - 1
        values += words
        lengths.append(len(words))
        beats += [
            (concatenated(beat, 1), concatenated(mask, 1), int(end))
            for beat, mask, end in zip(whole, used, ends, strict=True)
        ]
    if kind == "zero_encoder":
        want = [beat | strobe << 64 | last << 72 for beat, strobe, last in beats]
        return {"tables": [], "words": {"i": values}, "want": want}
    given = [beat | last << 64 for beat, _, last in beats]
    return {"tables": [], "words": {"run": lengths, "i": given}, "want": values}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_codes_maps_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (Encoder if kind == "encoder" else Decoder)(LANES, 8, 4, 1)
    compiled = compiled_block(block, kind, simulator, tmp_path)
    for seed, (bits, stall) in enumerate([(4, 0.0), (4, 0.4), (3, 0.4), (1, 0.2)]):
        code = random_code(Random(seed), LANES, bits)
        check(compiled, job(kind, code, maps(seed)), tmp_path / str(seed), seed, stall)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["zero_encoder", "zero_decoder"])
def test_zeros_are_left_out_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (ZeroEncoder if kind == "zero_encoder" else ZeroDecoder)(LANES, 8, 64)
    compiled = compiled_block(block, kind, simulator, tmp_path)
    a = real_map()
    assert a.shape[1] == LANES and 0.2 < float((a == 0).double().mean()) < 0.8
    for seed, (pixels, stall) in enumerate([(192, 0.0), (31, 0.4), (1, 0.2)]):
        found = zero_job(kind, a[:, :, seed : 6 + seed], pixels)
        check(compiled, found, tmp_path / str(seed), seed, stall)
