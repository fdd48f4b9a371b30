"""Clock gates: what they are made of, and what flip-flops behind them take, worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shiftwork.flow.asic.clock_gates import MOST
from shiftwork.flow.asic.engine import EngineNetlist, map_engine
from shiftwork.flow.asic.engine_power import PERIOD, Timed, time_engine
from shiftwork.flow.asic.library import Library
from shiftwork.flow.asic.simulate import Toggles, fine_models
from shiftwork.flow.asic.sta import delays, engine_power
from shiftwork.flow.asic.surroundings import for_simulation
from shiftwork.flow.tools import ToolError, run_tool

# Of 15 flip-flops 10 and 2 share an enable, the 2 with a reset; 1 and 2 have none to share. Another
# module has 8 without an enable, in the array or not.
BITS = 10
DESIGN = """module part(input clk, input rst, input go, input on, input [9:0] d, output reg [9:0] q,
    output reg [1:0] r, output reg [1:0] s, output reg t);
  always @(posedge clk) begin
    if (go) q <= d;
    if (on) r <= d[1:0];
    if (rst) r <= 0;
    s <= d[3:2];
    if (d[9]) t <= d[0];
  end
endmodule
module top(input clk, input rst, input go, input on, input [9:0] d, output [9:0] q,
    output [1:0] r, output [1:0] s, output t);
  part array(clk, rst, go, on, d, q, r, s, t);
endmodule
"""
CLOCK_PIN, GATE_PIN, CLOCK, GATE = 0.0279, 0.0151, 0.128, 0.122  # pF and pJ per pulse, from tables
CYCLES, PULSES = 100, 25


def mapped(library: Library, work: Path, least: int) -> tuple[EngineNetlist, Timed]:
    (work / "source.v").write_text(DESIGN)
    netlist = map_engine(work / "source.v", "top", library, work, least)
    return netlist, time_engine(work, "top")


def still(timed: Timed) -> Toggles:
    """Return toggles of the clock, and of a quarter of it behind gates; nothing else moves."""
    nets = {net: 0 for cell in timed.hierarchy.cells.values() for net in cell.pins.values() if net}
    for name, cell in timed.hierarchy.cells.items():
        if name in timed.hierarchy.enables:
            nets[cell.pins["Y"] or ""] = 2 * PULSES
    nets |= {net: 2 * CYCLES for net in nets if net.endswith("p_clk")}
    return Toggles(nets, CYCLES, 1)


def energies(timed: Timed, work: Path) -> tuple[float, float]:
    """Return internal and switching energy of the block, in pJ per cycle."""
    power, share = engine_power(timed.hierarchy.cells, still(timed), work, PERIOD, timed.design)
    assert share == 1
    return 1e3 * PERIOD * power["array"].internal, 1e3 * PERIOD * power["array"].switching


def test_what_is_gated_and_what_it_takes(library: Library, work: Path) -> None:
    netlist, timed = mapped(library, work, 2)
    assert (netlist.flip_flops, netlist.gated, netlist.gates) == (15, BITS + 2, 2 + 1)
    assert -(-BITS // MOST) == 2 and len(timed.hierarchy.enables) == 3
    assert all(cell.pins["A"].endswith("p_clk") for name, cell in timed.hierarchy.cells.items()
               if name in timed.hierarchy.enables and cell.pins["A"])  # fmt: skip
    assert 0.1 < timed.enables < PERIOD / 2
    sdf = (work / "netlist.sdf").read_text()
    ideal = re.findall(r"i_array/g\d+\)\n.*\n.*\n\s*\(IOPATH A Y \((.*)\) \((.*)\)\)", sdf)
    assert ideal == [("0.0000", "0.0000")] * 3
    internal, switching = energies(timed, work)
    share, volts = PULSES / CYCLES, 1.8**2
    # 12 flip-flops behind 3 gates a quarter of the time; 3 always; gates take the clock always.
    assert internal == pytest.approx(share * (12 * CLOCK + 3 * GATE) + 3 * CLOCK, rel=0.06)
    pins = share * 12 * CLOCK_PIN + 3 * CLOCK_PIN + 3 * GATE_PIN
    assert switching == pytest.approx(pins * volts, rel=0.02)


WIDE = """module NAME(input clk, input rst, input [7:0] d, output reg [7:0] q);
  always @(posedge clk) q <= rst ? 0 : d;
endmodule
module top(input clk, input rst, input [7:0] d, output [7:0] q);
  NAME part(clk, rst, d, q);
endmodule
"""


@pytest.mark.parametrize(("name", "gates"), [("x_core_drain", 1), ("x_core_array", 0)])
def test_registers_that_would_not_change_get_no_clock(
    name: str, gates: int, library: Library, work: Path
) -> None:
    (work / "source.v").write_text(WIDE.replace("NAME", name))
    netlist = map_engine(work / "source.v", "top", library, work)
    assert (netlist.flip_flops, netlist.gated, netlist.gates) == (8, 8 * gates, gates)
    assert map_engine(work / "source.v", "top", library, work, 0).gates == 0


BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0;
  wire [9:0] q;
  top engine(.clk(clk), .rst(1'b0), .d(10'd5), .q(q) PINS);
  initial begin
    repeat (3) #20 clk = ~clk;
    #19 $display("Q %b", q);
  end
endmodule
"""


@pytest.mark.parametrize(
    ("source", "pins", "stops", "shown"),
    [
        (DESIGN, ", .go(1'bx), .on(1'b0)", False, "0000000101"),
        (DESIGN, ", .go(1'bx), .on(1'b0)", True, "xxxxxxxxxx"),
        (WIDE.replace("NAME", "x_core_drain"), "", False, "0000000101"),
        (WIDE.replace("NAME", "x_core_drain"), "", True, "0000000101"),
    ],
)
def test_an_enable_without_a_value(
    source: str, pins: str, stops: bool, shown: str, library: Library, work: Path
) -> None:
    """As whoever simulates says; but registers that would change always learn a value by it."""
    (work / "source.v").write_text(source)
    assert map_engine(work / "source.v", "top", library, work).gates
    timed = time_engine(work, "top")
    text = for_simulation(timed.hierarchy, "top", timed.delays, stops=stops)
    (work / "simulation.v").write_text(text)
    (work / "bench.v").write_text(BENCH.replace("PINS", pins))
    files = ["simulation.v", "bench.v", "engine.v", *map(str, fine_models(library, work))]
    flags = ["-g2005", "-gspecify", "-Tmax", "-s", "bench", "-o", "bench.vvp"]
    run_tool("iverilog", [*flags, *files], cwd=work, log=work / "log")
    run_tool("vvp", ["-n", "bench.vvp"], cwd=work, log=work / "log")
    assert [line for line in (work / "log").read_text().splitlines() if line[0] == "Q"] == [
        f"Q {shown}"
    ]


def test_without_gates_every_clock_pin_is_charged(library: Library, work: Path) -> None:
    netlist, timed = mapped(library, work, 0)
    assert (netlist.flip_flops, netlist.gated, netlist.gates) == (15, 0, 0)
    assert timed.enables == 0 and not timed.hierarchy.enables
    internal, switching = energies(timed, work)
    assert internal == pytest.approx(15 * CLOCK, rel=0.06)
    assert switching == pytest.approx(15 * CLOCK_PIN * 1.8**2, rel=0.02)


def test_an_enable_that_comes_too_late_is_refused(library: Library, work: Path) -> None:
    _, timed = mapped(library, work, 2)
    assert delays(work, PERIOD, timed.design).enables == timed.enables
    with pytest.raises(
        ToolError, match=r"^clock gates: sta finds no enable within half of 0\.1 ns"
    ):
        delays(work, 0.1, timed.design)
