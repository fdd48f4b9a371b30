"""Encoders and decoders by themselves: their Verilog on both simulators against the model."""

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
from shiftwork.hw.codec.zero_decoder import ZeroDecoder
from shiftwork.hw.codec.zero_encoder import ZeroEncoder
from shiftwork.model import golden
from shiftwork.model.codec.table import TableCode
from shiftwork.model.codec.zeros import ZeroMask
from shiftwork.model.zoo import MODELS
from shiftwork.sim.fuzz_codes import random_code
from shiftwork.sim.runner import Build, build, run
from tests.networks import NetworkBuilder

LANES = 16


def maps(seed: int) -> torch.Tensor:
    """Feature maps of a random network of leaky and clamped layers, uint8 (1, 16, H, W)."""
    b = NetworkBuilder(seed, 3, 14, 13)
    b.conv(LANES, (3, 3), limits=(0, 200))
    b.max_pool((2, 2), (1, 1))
    network = b.build()
    return golden.run(network, b.picture())[network.output]


def real_map() -> torch.Tensor:
    """The first map of ResNet8 from its picture, uint8 (1, 16, 32, 32)."""
    loader = MODELS["resnet8"]
    network = loader.load_quantized(pictures=4)
    return golden.run(network, loader.input())[network.layers[0].output]


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
        want = [concatenated(c, 8) for c in codes]
        return {"tables": tables, "words": {"i": words}, "want": want}
    levels = code.levels.numpy()
    tables = [(h, concatenated(levels[:, h], 8)) for h in range(levels.shape[1])]
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


SIMULATORS = ["icarus", pytest.param("verilator", marks=pytest.mark.slow)]


def check(compiled: Build, found: dict[str, Any], work: Path, seed: int, stall: float) -> None:
    """Run a block on its words and compare all that comes out."""
    assert min(len(set(words)) for name, words in found["words"].items() if name == "i") > 4
    work.mkdir()
    (work / "job.json").write_text(json.dumps(found))
    done = run(compiled, "tests.sim.codec_tb", work=work,
               environment={"STALL": str(stall), "SEED": str(seed)})  # fmt: skip
    assert len(done.tests) == 1


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_codes_maps_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (Encoder if kind == "encoder" else Decoder)(LANES, 8, 4, 1)
    path = tmp_path / f"{kind}.v"
    path.write_text(verilog.convert(block, name=kind, emit_src=False))
    compiled = build([path], kind, simulator, public=True, root=tmp_path)
    for seed, (bits, stall) in enumerate([(4, 0.0), (4, 0.4), (3, 0.4), (1, 0.2)]):
        code = random_code(Random(seed), LANES, bits)
        check(compiled, job(kind, code, maps(seed)), tmp_path / str(seed), seed, stall)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["zero_encoder", "zero_decoder"])
def test_zeros_are_left_out_bit_for_bit(kind: str, simulator: str, tmp_path: Path) -> None:
    block = (ZeroEncoder if kind == "zero_encoder" else ZeroDecoder)(LANES, 8, 64)
    path = tmp_path / f"{kind}.v"
    path.write_text(verilog.convert(block, name=kind, emit_src=False))
    compiled = build([path], kind, simulator, public=True, root=tmp_path)
    a = real_map()
    assert a.shape[1] == LANES and 0.2 < float((a == 0).double().mean()) < 0.8
    for seed, (pixels, stall) in enumerate([(192, 0.0), (31, 0.4), (1, 0.2)]):
        found = zero_job(kind, a[:, :, seed : 6 + seed], pixels)
        check(compiled, found, tmp_path / str(seed), seed, stall)
