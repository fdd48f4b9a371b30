"""Timing and power of a netlist of modules and memories: on a design small enough to work out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from shiftwork.flow.asic import parts
from shiftwork.flow.asic.engine import MEMORY, map_engine
from shiftwork.flow.asic.engine_power import (
    PERIOD,
    Timed,
    check_values,
    run_engine,
    time_engine,
)
from shiftwork.flow.asic.library import Library
from shiftwork.flow.asic.simulate import Toggles, count_toggles, fine_models
from shiftwork.flow.asic.sta import NotAnnotated, engine_power
from shiftwork.flow.asic.surroundings import for_simulation, recorder
from shiftwork.flow.emit import emit
from shiftwork.flow.engine_workload import corner
from shiftwork.flow.tools import ToolError, run_tool
from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden

# An engine's ports as far as the recorder needs them; words written come back doubled.
DESIGN = """module doubler(input clk, input [7:0] d, output [8:0] q, output one);
  reg [7:0] kept;
  always @(posedge clk) kept <= d;
  assign q = kept + kept + kept;
  assign one = 1'b1;
endmodule
module top(input clk, input rst, input [7:0] d, output m_axi_arvalid, output irq,
    output [8:0] q, output one, output same);
  reg [7:0] words [0:3];
  reg [1:0] to;
  reg [7:0] got;
  reg [4:0] count;
  assign m_axi_arvalid = count == 3;
  assign irq = count == 19;
  assign same = irq;
  always @(posedge clk) begin
    to <= rst ? 0 : to + 1;
    count <= rst ? 0 : count == 19 ? 19 : count + 1;
    words[to] <= d;
    got <= words[to + 2'd2];
  end
  doubler array(.clk(clk), .d(got), .q(q), .one(one));
endmodule
"""
BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1;
  reg [7:0] d = 0;
  wire [8:0] q;
  wire one, same, irq;
  integer i;
  top engine(.clk(clk), .rst(rst), .d(d), .q(q), .one(one), .same(same), .irq(irq));
  always #20 clk = ~clk;
  initial begin
    repeat (3) @(posedge clk);
    rst <= 0;
    for (i = 0; i < 24; i = i + 1) begin
      @(posedge clk);
      if (i > 9) $display("%0d %b %b", q, one, same);
      d <= i * STEP;
    end
    $finish;
  end
endmodule
"""


@pytest.fixture(scope="module")
def timed(library: Library, tmp_path_factory: pytest.TempPathFactory) -> tuple[Timed, Path]:
    work = tmp_path_factory.mktemp("timed")
    source = work / "source.v"
    source.write_text(DESIGN)
    map_engine(source, "top", library, work)
    return time_engine(work, "top"), work


def shown(timed: tuple[Timed, Path], library: Library, step: int) -> tuple[list[str], Toggles]:
    """Run the bench; return what it printed, and the toggles of all cycles."""
    found, work = timed
    text = for_simulation(found.hierarchy, "top", found.delays, recorder(found.hierarchy))
    (work / "simulation.v").write_text(text)
    (work / "bench.v").write_text(BENCH.replace("STEP", str(step)))
    models = map(str, fine_models(library, work))
    files = ["bench.v", "simulation.v", "engine.v", str(MEMORY), *models]
    flags = ["-g2005", "-gspecify", "-Tmax", "-s", "bench", "-o", "bench.vvp"]
    run_tool("iverilog", [*flags, *files], cwd=work, log=work / "log")
    run_tool("vvp", ["-n", "bench.vvp"], cwd=work, log=work / "log")
    log = (work / "log").read_text()
    assert "SDF" not in log
    cycles = int((work / "cycles.txt").read_text())
    assert cycles == 16
    lines = [line for line in log.splitlines() if line.count(" ") == 2]
    return lines, Toggles(count_toggles(work / "dump.vcd", undefined=True)[0], cycles, 1)


def test_parts_change_nothing(
    timed: tuple[Timed, Path], library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells in many parts and in one per module: the same values, and toggles of the same nets."""
    before, _ = timed
    monkeypatch.setattr(parts, "SIZE", 4)
    source = tmp_path / "source.v"
    source.write_text(DESIGN)
    map_engine(source, "top", library, tmp_path)
    found = time_engine(tmp_path, "top")
    assert len(before.delays) == 2 and len(found.delays) > 15
    cells = found.hierarchy.cells
    assert (found.critical, cells) == (before.critical, before.hierarchy.cells)
    text = "".join(path.read_text() for path in found.delays.values())
    assert text.count("(CELLTYPE") == len(cells)
    assert shown((found, tmp_path), library, 5) == shown(timed, library, 5)


def test_timing_keeps_to_what_is_mapped(timed: tuple[Timed, Path]) -> None:
    found, work = timed
    assert 0.5 < found.critical < PERIOD
    assert {cell.block for cell in found.hierarchy.cells.values()} == {"top", "array"}
    (memory,) = found.hierarchy.memories.values()
    assert memory.parameters["SIZE"] * memory.parameters["WIDTH"] == 32
    assert memory.enables == (0,) * 8  # the bits of a word have one enable, so one pin
    sdf = (work / "netlist.sdf").read_text()
    assert sdf.count("(CELLTYPE") == len(found.hierarchy.cells)
    assert sdf.count("(") == sdf.count(")") and "auto_ff" not in sdf


def test_power_is_that_of_what_runs(timed: tuple[Timed, Path], library: Library) -> None:
    found, work = timed
    lines, toggles = shown(timed, library, 5)
    # A word is written, read 2 cycles later, and 3 times as much leaves.
    assert lines[0].endswith(" 1 0") and lines[-1].endswith(" 1 1")
    values = [int(line.split()[0]) for line in lines]
    assert {later - one for one, later in pairwise(values)} == {15}
    cells, design = found.hierarchy.cells, found.design
    one, share = engine_power(cells, toggles, work, PERIOD, design)
    assert share > 0.99 and set(one) == {"top", "array"}
    assert all(of.internal > 0 and of.leakage > 0 for of in one.values())
    more, _ = engine_power(cells, shown(timed, library, 43)[1], work, PERIOD, design)
    assert more["array"].switching > 1.2 * one["array"].switching
    clock = {n: c if n.endswith("p_clk") else 0 for n, c in toggles.nets.items()}
    still, _ = engine_power(cells, replace(toggles, nets=clock), work, PERIOD, design)
    # The clock's charge of one gate's pin is left: nothing is spread from inputs or memories.
    assert still["array"].switching == pytest.approx(0.0151e-12 * 1.8**2 / 40e-9, rel=0.02)
    assert still["array"].internal < 1e-6 * one["array"].internal


def test_every_cell_that_moves_takes_energy(timed: tuple[Timed, Path], library: Library) -> None:
    """Logic behind gated flip-flops too, which no clock reaches where gates drive them."""
    found, work = timed
    _, toggles = shown(timed, library, 5)
    each = {name: replace(cell, block=name) for name, cell in found.hierarchy.cells.items()}
    power, _ = engine_power(each, toggles, work, PERIOD, found.design)
    twice = {n: c if n.endswith("p_clk") else 2 * c for n, c in toggles.nets.items()}
    double, _ = engine_power(each, replace(toggles, nets=twice), work, PERIOD, found.design)
    assert any(name.startswith("i_dut/i_array/g") for name in each)
    moved = 0
    for name, cell in each.items():
        outputs = (cell.pins.get(pin) for pin in ("Y", "Q", "YS", "YC"))
        counted = sum(toggles.nets[net] for net in outputs if net)
        energy = (power[name].internal + power[name].switching) * PERIOD * 1e-9 * toggles.cycles
        assert energy >= 1e-15 * counted, (name, cell, energy)
        if "Q" not in cell.pins and not any(
            (net or "").endswith("p_clk") for net in cell.pins.values()
        ):
            more = (double[name].internal + double[name].switching) * PERIOD * 1e-9 * toggles.cycles
            assert more == pytest.approx(2 * energy, rel=1e-3, abs=1e-18), (name, cell)
        moved += counted > 0
    assert moved > 50


def test_power_without_toggles_is_refused(timed: tuple[Timed, Path]) -> None:
    found, work = timed
    with pytest.raises(NotAnnotated, match=r"^only 0\.0% of the netlist's pins have toggles"):
        engine_power(found.hierarchy.cells, Toggles({}, 8, 1), work, PERIOD, found.design)


def test_power_of_pins_that_never_had_a_value_is_refused() -> None:
    check_values(0.95)
    with pytest.raises(NotAnnotated, match=r"^only 94\.9% of the netlist's pins ever had a value"):
        check_values(0.949)


@pytest.mark.slow
def test_an_engine_runs_with_delays(library: Library, tmp_path: Path) -> None:
    config = EngineConfig(name="pair", rows=2, cols=2, hold=8, buffer_words=1024, max_terms=2,
                          burst_beats=8, weight_fifo=8, max_fan_in=512)  # fmt: skip
    emitted = emit(config, tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    map_engine(emitted.verilog, emitted.top, library, work)
    timed = time_engine(work, emitted.top)
    scene = corner(config, blocks=1, size=2)
    want = golden.run(scene.network, scene.acts[None], exact="integer")
    inputs = {scene.network.input: scene.acts}
    run = run_engine(config, timed, library, scene.program, inputs, want, work)
    assert run.annotated > 0.99 and run.checked == 2 * 2 * 2
    assert 0 < run.beats < run.cycles
    assert run.power["array"]["internal"] > 0 and run.power["array"]["switching"] > 0
    wrong = {name: (255 - x if name == scene.network.output else x) for name, x in want.items()}
    with pytest.raises(ToolError, match=r"^the netlist of engine pair, shift, differs from the"):
        run_engine(config, timed, library, scene.program, inputs, wrong, work)
