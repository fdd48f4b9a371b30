// The gates that array circuits name, as cells of OSU's 0.18 um library. Of the pins that would do,
// data (a and c) come to those where a change costs least; b and d are held weights.

module shiftwork_full_adder(input a, input b, input c, output s, output co);
  FAX1 _TECHMAP_REPLACE_ (.A(a), .B(b), .C(c), .YS(s), .YC(co));
endmodule

module shiftwork_half_adder(input a, input b, output s, output co);
  HAX1 _TECHMAP_REPLACE_ (.A(a), .B(b), .YS(s), .YC(co));
endmodule

module shiftwork_mux(input s, input low, input high, output y);
  MUX2X1 _TECHMAP_REPLACE_ (.A(high), .B(low), .S(s), .Y(y));
endmodule

module shiftwork_choose(input a, input b, input c, input d, output y);
  AOI22X1 _TECHMAP_REPLACE_ (.A(b), .B(a), .C(d), .D(c), .Y(y));
endmodule

module shiftwork_nor(input a, input b, output y);
  NOR2X1 _TECHMAP_REPLACE_ (.A(b), .B(a), .Y(y));
endmodule

module shiftwork_nand(input a, input b, output y);
  NAND2X1 _TECHMAP_REPLACE_ (.A(b), .B(a), .Y(y));
endmodule

module shiftwork_drive(input a, output y);
  BUFX4 _TECHMAP_REPLACE_ (.A(a), .Y(y));
endmodule

module shiftwork_drive_inverse(input a, output y);
  INVX4 _TECHMAP_REPLACE_ (.A(a), .Y(y));
endmodule

// Behind a gate the clock stays high while the enable is 0 (clock_gates.py).
module shiftwork_clock_gate(input clk, input enable, output gated);
  wire stop;
  \$_NOT_ inverse (.A(enable), .Y(stop));
  (* shiftwork_clock_gate = "A" *) OR2X2 _TECHMAP_REPLACE_ (.A(clk), .B(stop), .Y(gated));
endmodule
