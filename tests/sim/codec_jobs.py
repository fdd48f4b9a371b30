"""What benches of the codec's blocks share: a map, and how a job is run on a simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from amaranth.back import verilog

from shiftwork.model import golden
from shiftwork.model.zoo import MODELS
from shiftwork.sim.runner import Build, build, run

LANES = 16
SIMULATORS = ["icarus", pytest.param("verilator", marks=pytest.mark.slow)]


def real_map() -> torch.Tensor:
    """The first map of ResNet8 from its picture, uint8 (1, 16, 32, 32)."""
    loader = MODELS["resnet8"]
    network = loader.load_quantized(pictures=4)
    return golden.run(network, loader.input())[network.layers[0].output]


def concatenated(values: Any, width: int) -> int:
    """Return values one behind another, the first lowest."""
    return sum(int(value) << n * width for n, value in enumerate(values))


def compiled_block(block: Any, name: str, simulator: str, root: Path) -> Build:
    """Compile a block's Verilog."""
    path = root / f"{name}.v"
    path.write_text(verilog.convert(block, name=name, emit_src=False))
    return build([path], name, simulator, public=True, root=root)


def check(compiled: Build, found: dict[str, Any], work: Path, seed: int, stall: float) -> None:
    """Run a block on its words and compare all that comes out."""
    assert min(len(set(words)) for name, words in found["words"].items() if name == "i") > 4
    work.mkdir()
    (work / "job.json").write_text(json.dumps(found))
    done = run(compiled, "tests.sim.codec_tb", work=work,
               environment={"STALL": str(stall), "SEED": str(seed)})  # fmt: skip
    assert len(done.tests) == 1
