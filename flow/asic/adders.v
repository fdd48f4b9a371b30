// Full adders that Yosys has found in the logic, as the gate that circuits name (gates.v).

(* techmap_celltype = "$fa" *)
module _full_adder(A, B, C, X, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    shiftwork_full_adder adder (.a(A[i]), .b(B[i]), .c(C[i]), .s(Y[i]), .co(X[i]));
  end endgenerate
endmodule
