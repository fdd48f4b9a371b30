from pathlib import Path

import pytest

from shiftwork.sim.runner import build, run
from shiftwork.sim.scoreboard import BENCH, FAST, SLOW

PORT = Path(__file__).parent / "verilog" / "memory_port.v"
MEMORY = next(path for path in BENCH if path.name == "axi_memory.v")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("latency", [FAST, SLOW], ids=["fast", "slow"])
def test_a_foreign_master_reads_what_it_wrote(simulator, latency, tmp_path):
    compiled = build([MEMORY, PORT], "memory_port", simulator, public=True)
    for seed in (1, 2) if simulator == "icarus" else (3,):
        environment = {"SEED": str(seed), "STALL": str(latency.stall)}
        plusargs = [*latency.plusargs(), f"+seed={seed}"]
        done = run(
            compiled, "tests.sim.memory_tb", work=tmp_path / str(seed), plusargs=plusargs,
            environment=environment,
        )  # fmt: skip
        assert len(done.tests) == 2
