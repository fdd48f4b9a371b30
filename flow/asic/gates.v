// The gates that array circuits name (hw/arrays/cells.py), as plain logic: what they mean, and
// what is mapped where a library has no such cell.

module shiftwork_full_adder(input a, input b, input c, output s, output co);
  assign s = a ^ b ^ c;
  assign co = (a & b) | (c & (a ^ b));
endmodule

module shiftwork_half_adder(input a, input b, output s, output co);
  assign s = a ^ b;
  assign co = a & b;
endmodule

module shiftwork_mux(input s, input low, input high, output y);
  assign y = ~(s ? high : low);
endmodule

module shiftwork_choose(input a, input b, input c, input d, output y);
  assign y = ~((a & b) | (c & d));
endmodule

module shiftwork_nor(input a, input b, output y);
  assign y = ~(a | b);
endmodule

module shiftwork_nand(input a, input b, output y);
  assign y = ~(a & b);
endmodule

module shiftwork_drive(input a, output y);
  assign y = a;
endmodule

module shiftwork_drive_inverse(input a, output y);
  assign y = ~a;
endmodule
