"""The engine's own AXI4 master and AXI4-Lite slave against models by others (cocotbext-axi)."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np
import pytest

from shiftwork.flow.emit import emit
from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.cycles import predict_cycles
from shiftwork.sim.builder import NetworkBuilder
from shiftwork.sim.expected import expect
from shiftwork.sim.runner import Build, build, run
from shiftwork.sim.scoreboard import BENCH

PORT = Path(__file__).parent / "verilog" / "engine_port.v"
CHECKER = next(path for path in BENCH if path.name == "axi_checker.v")
ENGINES = {
    64: EngineConfig(name="axi64", rows=2, cols=3, hold=16, buffer_words=512, burst_beats=8,
                     weight_fifo=8),
    128: EngineConfig(name="axi128", rows=4, cols=2, hold=32, buffer_words=512, burst_beats=16,
                      weight_fifo=16, bus_bits=128),
}  # fmt: skip


def network() -> NetworkBuilder:
    """A branch, an addition, a pool and a concatenation whose parts share bus words."""
    b = NetworkBuilder(11, 3, 8, 7, zero_point=128)
    stem = b.conv(5, (3, 3), (2, 1), (1, 1, 1, 1), terms=1)
    other = b.conv(5, terms=1)
    both = b.add(stem, other)
    left = b.conv(3, source=both)
    right = b.max_pool((3, 3), (1, 1), (1, 1, 1, 1), source=both)
    b.concat(left, right)
    b.global_average()
    return b


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Build]:
    """Both engines in their port."""
    folder = tmp_path_factory.mktemp("rtl")
    return {
        bits: build(
            [CHECKER, PORT, emit(config, folder).verilog], "engine_port", "icarus",
            defines={"ENGINE": config.module_name, "BUS_BITS": bits},
        )
        for bits, config in ENGINES.items()
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "stall"), [(64, 0.0), (64, 0.4), (128, 0.4)])
def test_a_network_on_memory_and_host_of_others(
    bits: int, stall: float, compiled: dict[int, Build], tmp_path: Path
) -> None:
    config, builder = ENGINES[bits], network()
    net, x = builder.build(), builder.picture()
    program = compile_network(net, config, keep_all=True)
    wanted = expect(program, {net.input: x[0]}, golden.run(net, x, exact="integer"), seed=5,
                    word_bytes=config.bus_bytes)  # fmt: skip
    for name in ("image", "want", "check", "allow"):
        np.save(tmp_path / f"{name}.npy", getattr(wanted, name))
    job = {"program": program.first_descriptor, "size": len(wanted.image)}
    (tmp_path / "job.json").write_text(json.dumps(job))
    run(compiled[bits], "tests.sim.engine_port_tb", work=tmp_path,
        environment={"STALL": str(stall), "SEED": "7"})  # fmt: skip
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["checked"] == sum(prod(net.tensors[plan.output].shape) for plan in program.layers)
    predicted = predict_cycles(program, config)
    assert seen["read"] == predicted.bytes_read
    assert seen["written"] <= predicted.bytes_written  # strobes leave bytes out
    assert sum(seen["bursts"]["read"]) * config.bus_bytes == predicted.bytes_read
    assert sum(seen["bursts"]["write"]) * config.bus_bytes == predicted.bytes_written
    for lengths in seen["bursts"].values():
        assert 1 < max(lengths) <= config.burst_beats
