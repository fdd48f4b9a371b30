"""Encoder and decoder of switched tables: Verilog on both simulators against the model."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from shiftwork.hw.codec.layout import heap_order, pack_word
from shiftwork.hw.codec.switched import edge_bits, edges, packed_ranges
from shiftwork.hw.codec.switched_decoder import SwitchedDecoder
from shiftwork.hw.codec.switched_encoder import Part, SwitchedEncoder
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.options import Profile
from shiftwork.model.codec.switched import Neighbours, SwitchedTable
from shiftwork.sim.fuzz_codes import random_code

from .codec_jobs import LANES, SIMULATORS, check, compiled_block, concatenated, real_map

TABLES, BITS = 4, 4
LENGTHS = 3  # bits of `bits`, 0..4


def fitted(a: torch.Tensor) -> SwitchedTable:
    """Return the tables with the least squared error in a map."""
    counts = torch.stack([torch.bincount(of.flatten().long(), minlength=256) for of in a[0]])
    found = best_tables(counts.double(), [2, BITS])
    neighbours = Neighbours(Profile(counts.double(), counts.double()))
    neighbours.add(a)
    return neighbours.switched(BITS, found[BITS], found[2])


def random_switched(seed: int, bits: int) -> SwitchedTable:
    """Return random tables; levels need not lie in their intervals."""
    rng = Random(seed)
    return SwitchedTable(random_code(rng, LANES, 2), random_code(rng, TABLES * LANES, bits))


def pixels(a: torch.Tensor) -> list[list[int]]:
    """Return a map (1, C, H, W) as words of values, row by row."""
    return a[0].flatten(1).T.tolist()


def encoder_tables(code: SwitchedTable) -> list[dict[str, Any]]:
    """Return what writes an encoder's tables."""
    thresholds = code.tables.thresholds.view(LANES, TABLES, -1)
    levels = code.tables.levels.view(LANES, TABLES, -1)
    found = [
        edges(code.ranges.thresholds[c].tolist(), thresholds[c].tolist(), levels[c].tolist())
        for c in range(LANES)
    ]
    order = heap_order(edge_bits(TABLES))
    parts = [(Part.EDGES, 0, 1, [[at[n] for n in order] for at, _ in found]),
             (Part.NEXT, 0, 0, [following for _, following in found])]  # fmt: skip
    parts += [
        (Part.THRESHOLDS, r, 1, thresholds[:, r, heap_order(code.bits)].tolist())
        for r in range(TABLES)
    ]
    return [
        {"w_en": 1, "w_part": part.value, "w_word": r, "w_entry": first + n,
         "w_values": concatenated(values, 8)}
        for part, r, first, of in parts for n, values in enumerate(zip(*of, strict=True))
    ]  # fmt: skip


def decoder_tables(code: SwitchedTable) -> list[dict[str, Any]]:
    """Return what writes a decoder's tables."""
    levels = code.tables.levels.view(LANES, -1).tolist()
    limits = code.ranges.thresholds.tolist()
    ranges = [packed_ranges(*of) for of in zip(limits, levels, strict=True)]
    entries: list[dict[str, Any]] = []
    for n in range(TABLES << code.bits):
        if n % 4 == 0:
            word = concatenated([of[n // 4] for of in ranges], 8)
            entries.append({"w_en": 1, "w_ranges": 1, "w_values": word})
        entries.append({
            "w_en": 1, "w_ranges": 0, "w_word": n >> code.bits, "w_entry": n % (1 << code.bits),
            "w_values": concatenated([of[n] for of in levels], 8),
        })  # fmt: skip
    return entries


def job(kind: str, code: SwitchedTable, a: torch.Tensor) -> dict[str, Any]:
    """Tables to write, words to send and words to come, as the block's ports hold them."""
    k, width = code.bits, a.shape[3]
    codes = pixels(code.encode(a))
    starts = [n % width == 0 for n in range(len(codes))]
    if kind == "encoder":
        words = [
            concatenated(v, 8) | (k | first << LENGTHS) << 8 * LANES
            for v, first in zip(pixels(a), starts, strict=True)
        ]
        want = [concatenated(c, 8) for c in codes]
        return {"tables": encoder_tables(code), "words": {"i": words}, "want": want}
    words = [
        pack_word(c, k) | (k | first << LENGTHS + 1) << 8 * LANES
        for c, first in zip(codes, starts, strict=True)
    ]
    words[-1] |= 1 << 8 * LANES + LENGTHS  # last
    want = [concatenated(v, 8) for v in pixels(code(a))]
    want[-1] |= 1 << 8 * LANES
    return {"tables": decoder_tables(code), "words": {"i": words}, "want": want}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_codes_a_map_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (SwitchedEncoder if kind == "encoder" else SwitchedDecoder)(LANES, 8, BITS, 1, TABLES)
    compiled = compiled_block(block, kind, simulator, tmp_path)
    a = real_map()
    code = fitted(a)
    limits = code.ranges.thresholds
    left = code(a)[..., :-1]
    used = (left[:, :, None] >= limits.view(1, LANES, -1, 1, 1)).sum(2)
    assert all(len(used[0, c].unique()) == TABLES for c in range(LANES))  # each table is used
    narrow = a[:, :, :9].reshape(1, LANES, -1, 1)  # rows of a pixel
    cases = [
        (code, a, 0.0),
        (code, a[:, :, 9:20, 5:18], 0.4),
        (code, narrow, 0.2),
        (random_switched(1, BITS), a[:, :, :8], 0.3),
        (random_switched(2, 1), a[:, :, 3:8], 0.4),
    ]
    for seed, (each, part, stall) in enumerate(cases):
        check(compiled, job(kind, each, part), tmp_path / str(seed), seed, stall)
