// Registers without an enable as ones whose parts of 8 bits have one: that they would change
// (clock_gates.py). Narrow ones stay as they are.

(* techmap_celltype = "$dff" *)
module _self_gated(CLK, D, Q);
  parameter WIDTH = 1, CLK_POLARITY = 1;
  input CLK;
  input [WIDTH-1:0] D;
  output [WIDTH-1:0] Q;
  wire _TECHMAP_FAIL_ = WIDTH < 8 || CLK_POLARITY != 1;
  genvar at;
  generate for (at = 0; at < WIDTH; at = at + 8) begin : parts
    localparam BITS = at + 8 < WIDTH ? 8 : WIDTH - at;
    (* shiftwork_self_gate *)
    \$dffe #(.WIDTH(BITS), .CLK_POLARITY(1'b1), .EN_POLARITY(1'b1)) part (
      .CLK(CLK), .EN(D[at +: BITS] != Q[at +: BITS]), .D(D[at +: BITS]), .Q(Q[at +: BITS])
    );
  end endgenerate
endmodule

// A reset is data like others.
(* techmap_celltype = "$sdff" *)
module _self_gated_reset(CLK, SRST, D, Q);
  parameter WIDTH = 1, CLK_POLARITY = 1, SRST_POLARITY = 1;
  parameter [WIDTH-1:0] SRST_VALUE = 0;
  input CLK, SRST;
  input [WIDTH-1:0] D;
  output [WIDTH-1:0] Q;
  wire _TECHMAP_FAIL_ = WIDTH < 8 || CLK_POLARITY != 1;
  \$dff #(.WIDTH(WIDTH), .CLK_POLARITY(1'b1)) data (
    .CLK(CLK), .D(SRST == SRST_POLARITY ? SRST_VALUE : D), .Q(Q)
  );
endmodule
