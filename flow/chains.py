"""Each addition as a carry chain of its own, before Yosys maps a design to an FPGA.

Yosys by itself makes one block of full adders in lookup tables of a sum of many, which is larger
for every circuit that was measured (docs/decisions/010-array-circuits.md).
"""

from __future__ import annotations

from pathlib import Path

FILE = "chains.v"
CHAINS = """\
module \\$add (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH),
    .Y_WIDTH(Y_WIDTH))
    _TECHMAP_REPLACE_ (.A(A), .B(B), .CI(1'b0), .BI(1'b0), .X(X), .Y(Y), .CO(CO));
endmodule
"""
#: Yosys' commands, of plain modules with `FILE` beside them.
COMMANDS = f"proc\nopt\ntechmap -map {FILE}\nopt"


def write_chains(folder: Path) -> None:
    """Write `FILE` to the folder that Yosys runs in."""
    (folder / FILE).write_text(CHAINS)
