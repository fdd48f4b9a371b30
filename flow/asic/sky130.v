// The gates that array circuits name, as cells of sky130_fd_sc_hd.

module shiftwork_full_adder(input a, input b, input c, output s, output co);
  sky130_fd_sc_hd__fa_1 _TECHMAP_REPLACE_ (.A(a), .B(b), .CIN(c), .SUM(s), .COUT(co));
endmodule

module shiftwork_half_adder(input a, input b, output s, output co);
  sky130_fd_sc_hd__ha_1 _TECHMAP_REPLACE_ (.A(a), .B(b), .SUM(s), .COUT(co));
endmodule

module shiftwork_mux(input s, input low, input high, output y);
  sky130_fd_sc_hd__mux2i_1 _TECHMAP_REPLACE_ (.A0(low), .A1(high), .S(s), .Y(y));
endmodule

module shiftwork_choose(input a, input b, input c, input d, output y);
  sky130_fd_sc_hd__a22oi_1 _TECHMAP_REPLACE_ (.A1(a), .A2(b), .B1(c), .B2(d), .Y(y));
endmodule

module shiftwork_nor(input a, input b, output y);
  sky130_fd_sc_hd__nor2_1 _TECHMAP_REPLACE_ (.A(a), .B(b), .Y(y));
endmodule

module shiftwork_nand(input a, input b, output y);
  sky130_fd_sc_hd__nand2_1 _TECHMAP_REPLACE_ (.A(a), .B(b), .Y(y));
endmodule

module shiftwork_drive(input a, output y);
  sky130_fd_sc_hd__buf_4 _TECHMAP_REPLACE_ (.A(a), .X(y));
endmodule

module shiftwork_drive_inverse(input a, output y);
  sky130_fd_sc_hd__inv_4 _TECHMAP_REPLACE_ (.A(a), .Y(y));
endmodule

// Behind a gate the clock stays high while the enable is 0 (clock_gates.py).
module shiftwork_clock_gate(input clk, input enable, output gated);
  wire stop;
  \$_NOT_ inverse (.A(enable), .Y(stop));
  (* shiftwork_clock_gate = "A" *)
  sky130_fd_sc_hd__or2_2 _TECHMAP_REPLACE_ (.A(clk), .B(stop), .X(gated));
endmodule
