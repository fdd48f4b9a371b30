// A memory of an engine beside its mapped logic: standard cells hold none. It is written at the
// clock, each bit with an enable of its own, and read at the clock or at once. Before it is written,
// and where the word that is read is just being written, it gives random bits, unless the port is
// said to give what is written: nothing may depend on them.

module shiftwork_memory(rd_clk, rd_en, rd_addr, rd_data, wr_clk, wr_en, wr_addr, wr_data);
  parameter WIDTH = 1, SIZE = 2, ABITS = 1, RD_PORTS = 1, WR_PORTS = 1;
  parameter RD_CLOCKED = 0;      // a bit per read port
  parameter RD_TRANSPARENT = 0;  // WR_PORTS bits per read port
  input [RD_PORTS-1:0] rd_clk, rd_en;
  input [RD_PORTS*ABITS-1:0] rd_addr;
  output [RD_PORTS*WIDTH-1:0] rd_data;
  input [WR_PORTS-1:0] wr_clk;
  input [WR_PORTS*WIDTH-1:0] wr_en, wr_data;
  input [WR_PORTS*ABITS-1:0] wr_addr;

`ifndef SYNTHESIS
  reg [WIDTH-1:0] words [0:SIZE-1];
  reg [WIDTH-1:0] noise;
  integer word, part, port, other, seed;
  initial begin
    seed = SIZE * 64 + WIDTH;
    for (word = 0; word < SIZE; word = word + 1) begin
      for (part = 0; part < WIDTH; part = part + 1) noise[part] = $random(seed);
      words[word] = noise;
    end
  end

  always @(posedge wr_clk[0])
    for (port = 0; port < WR_PORTS; port = port + 1)
      if (|wr_en[port*WIDTH +: WIDTH])
        words[wr_addr[port*ABITS +: ABITS]] <=
          (words[wr_addr[port*ABITS +: ABITS]] & ~wr_en[port*WIDTH +: WIDTH])
          | (wr_data[port*WIDTH +: WIDTH] & wr_en[port*WIDTH +: WIDTH]);

  genvar p;
  generate for (p = 0; p < RD_PORTS; p = p + 1) begin : read
    wire [ABITS-1:0] address = rd_addr[p*ABITS +: ABITS];
    if ((RD_CLOCKED >> p) & 1) begin : clocked
      reg [WIDTH-1:0] data, enable, over, shown;
      integer at, from, state;
      initial state = SIZE + p;
      always @(posedge rd_clk[p]) if (rd_en[p]) begin
        data = words[address];
        for (from = 0; from < WR_PORTS; from = from + 1)
          if (wr_addr[from*ABITS +: ABITS] == address) begin
            enable = wr_en[from*WIDTH +: WIDTH];
            over = wr_data[from*WIDTH +: WIDTH];
            if (!((RD_TRANSPARENT >> (p*WR_PORTS + from)) & 1))
              for (at = 0; at < WIDTH; at = at + 1) over[at] = $random(state);
            data = (data & ~enable) | (over & enable);
          end
        shown <= data;
      end
      assign rd_data[p*WIDTH +: WIDTH] = shown;
    end else begin : direct
      assign rd_data[p*WIDTH +: WIDTH] = words[address];
    end
  end endgenerate
`endif
endmodule
