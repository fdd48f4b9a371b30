"""A wrapper of few pins, so that a block with many ports can be placed and timed by itself."""

from __future__ import annotations

from collections.abc import Iterable

NAME = "shiftwork_harness"


def harness(top: str, ports: Iterable[tuple[str, str, int]], clock: str = "clk") -> str:
    """Return ECP5 Verilog that feeds every input from, and folds every output into, a register.

    Inputs come from one shift register, outputs go into another by exclusive or; both run at the
    block's clock, so every path of the block starts and ends at a flip-flop. The registers are
    ECP5 cells, so the wrapper needs no synthesis.

    Parameters
    ----------
    top : str
        Module to wrap.
    ports : iterable of (name, direction, width in bits)
        Its ports, directions ``input`` and ``output``.
    clock : str
        Its clock, which becomes a pin.

    Returns
    -------
    str
        The module ``shiftwork_harness`` with pins ``clk``, ``d`` and ``q``.

    Raises
    ------
    ValueError
        If the block has no such clock, no output, or a port that is neither input nor output.
    """
    ports = list(ports)
    if (clock, "input", 1) not in ports:
        raise ValueError(f"{top} has no clock input {clock!r}")
    connected = [f".{clock}(clk)"]
    inputs = outputs = 0
    for name, direction, width in ports:
        if name == clock:
            continue
        if direction == "input":
            connected.append(f".{name}(i[{inputs + width - 1}:{inputs}])")
            inputs += width
        elif direction == "output":
            connected.append(f".{name}(o[{outputs + width - 1}:{outputs}])")
            outputs += width
        else:
            raise ValueError(f"{top}: port {name!r} is {direction}, not input or output")
    if not outputs:
        raise ValueError(f"{top} has no output")
    inner = ",\n    ".join(connected)
    return f"""module {NAME}(input clk, input d, output q);
  wire [{inputs}:0] i;    // inputs of the block, and one bit more
  wire [{outputs}:0] s;   // folded outputs
  wire [{outputs - 1}:0] o;
  genvar k;
  generate
    for (k = 0; k <= {inputs}; k = k + 1) begin : feed
      if (k == 0) TRELLIS_FF r (.CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(d), .Q(i[0]));
      else TRELLIS_FF r (.CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(i[k-1]), .Q(i[k]));
    end
    for (k = 0; k < {outputs}; k = k + 1) begin : fold
      wire x;
      LUT4 #(.INIT(16'h6666)) l (.A(o[k]), .B(s[k]), .C(1'b0), .D(1'b0), .Z(x));
      TRELLIS_FF r (.CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(x), .Q(s[k+1]));
    end
  endgenerate
  assign s[0] = i[{inputs}];
  assign q = s[{outputs}];
  {top} dut (
    {inner});
endmodule
"""
