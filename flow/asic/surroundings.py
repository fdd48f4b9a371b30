"""What stands around a mapped engine: registers for timing, models and a recorder to simulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .hierarchy import BESIDE, DUT, STOPS, Hierarchy, memory_ports
from .simulate import INPUT_DELAY


def _ports(ports: Sequence[tuple[str, bool, int]], prefix: str = "") -> str:
    words = []
    for name, inward, bits in ports:
        words.append(f"{'input' if inward else 'output'} [{bits - 1}:0] {prefix}{name}")
    return ", ".join(words)


def for_timing(hierarchy: Hierarchy, top: str) -> str:
    """Return Verilog with a register at every pin of a memory and every input.

    So no path leads from an input to a cell but through a register, and what a memory takes or
    gives is taken or given at the clock, whatever it takes to read it. And the module of a
    register beside clock gates. Inputs' registers get no data: where a data pin was as deep in the
    netlist as clock pins are, OpenSTA 2.0.17 ended some power reports with a segmentation fault.
    """
    gate = f"""module {BESIDE}(input clk, output reg q);
  always @(posedge clk) q <= 1'b0;
endmodule
"""
    parts = [gate]
    for name, memory in hierarchy.memories.items():
        ports = memory_ports(memory)
        taken = [p for p, inward, _ in ports if inward and not p.endswith("_clk")]
        width = sum(bits for p, _, bits in ports if p in taken)
        given = next(bits for p, inward, bits in ports if not inward)
        parts.append(f"""module {name}({_ports(ports)});
  (* keep *) reg [{width - 1}:0] taken;
  (* keep *) reg [{given - 1}:0] given;
  always @(posedge wr_clk[0]) taken <= {{{", ".join(taken)}}};
  always @(posedge wr_clk[0]) given <= {{{given}{{taken[0]}}}};
  assign rd_data = given;
endmodule
""")
    inputs = [(name, bits) for name, inward, bits in hierarchy.ports if inward and name != "clk"]
    declared = "\n".join(f"  (* keep *) reg [{bits - 1}:0] r_{name};" for name, bits in inputs)
    stored = "\n".join(f"  always @(posedge clk) r_{name} <= 0;" for name, _ in inputs)
    return "\n".join([*parts, _around(hierarchy, top, f"{declared}\n{stored}", "dut")])


def _around(hierarchy: Hierarchy, top: str, body: str, dut: str) -> str:
    pins = []
    for name, inward, _ in hierarchy.ports:
        pins.append(f".p_{name}({'r_' if inward and name != 'clk' else ''}{name})")
    return f"""module {top}({_ports(hierarchy.ports)});
{body}
  {hierarchy.top} {dut} ({", ".join(pins)});
endmodule
"""


def for_simulation(
    hierarchy: Hierarchy, top: str, delays: Mapping[str, Path], recorder: str = "",
    stops: bool = False,
) -> str:  # fmt: skip
    """Return Verilog with models of the memories, delays, and a recorder if one is given.

    ``delays`` has SDF files by the path of what they are of. ``stops``: a clock gate whose enable
    has no value stops the clock, and else lets it through; nothing may depend on it.

    What a memory gives comes ``INPUT_DELAY`` after the clock, as inputs do.
    """
    stop = "!== 1'b0" if stops else "=== 1'b1"
    parts = [f"`timescale 1ns/1ps\n`define {STOPS}(net) net {stop}"]
    for name, memory in hierarchy.memories.items():
        ports = memory_ports(memory)
        given = ", ".join(f".{n}({v})" for n, v in memory.parameters.items())
        wires = {p: f"p_{p}" for p, _, _ in ports}
        enables = ", ".join(f"p_wr_en[{index}]" for index in reversed(memory.enables))
        wires |= {"rd_data": "read", "wr_en": f"{{{enables}}}"}
        pins = ", ".join(f".{p}({wire})" for p, wire in wires.items())
        bits = next(bits for p, inward, bits in ports if not inward)
        parts.append(
            f"module {name}({_ports(ports, 'p_')});\n"
            f"  wire [{bits - 1}:0] read;\n  assign #{INPUT_DELAY} p_rd_data = read;\n"
            f"  shiftwork_memory #({given}) memory ({pins});\nendmodule"
        )
    inputs = [(name, bits) for name, inward, bits in hierarchy.ports if inward and name != "clk"]
    late = "\n".join(
        f"  wire [{bits - 1}:0] #{INPUT_DELAY} r_{name} = {name};" for name, bits in inputs
    )
    annotated = (
        f"""  initial $sdf_annotate("{file}", {path.replace("/", ".")});"""
        for path, file in delays.items()
    )
    body = "\n".join([late, *annotated, recorder])
    return "\n".join([*parts, _around(hierarchy, top, body, DUT)])


def recorder(hierarchy: Hierarchy) -> str:
    """Return Verilog that records all nets, for `for_simulation`.

    It writes ``dump.vcd``, from the first access to memory until the interrupt, and ``cycles.txt``,
    how many cycles those were. All of them: 16 of every 64 took as long, and beats of the array had
    another share of them.
    """
    scopes = ", ".join(scope.replace("/", ".") for scope in hierarchy.scopes)
    return f"""  integer cycles = 0, file;
  reg started = 0, ended = 0;
  initial $dumpfile("dump.vcd");
  always @(negedge clk) begin
    #1; // the clock has fallen
    if (!started && m_axi_arvalid === 1'b1) begin
      started = 1;
      $dumpvars(1, {scopes});
    end else if (started && !ended) begin
      cycles = cycles + 1;
      if (irq) begin
        ended = 1;
        $dumpoff;
        file = $fopen("cycles.txt", "w");
        $fdisplay(file, "%0d", cycles);
        $fclose(file);
      end
    end
  end"""
