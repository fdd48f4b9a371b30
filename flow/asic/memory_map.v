// Yosys' memories as instances of shiftwork_memory (memory.v).

(* techmap_celltype = "$mem_v2" *)
module _memory(RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "", INIT = 0;
  parameter SIZE = 2, OFFSET = 0, ABITS = 1, WIDTH = 1;
  parameter RD_PORTS = 1, WR_PORTS = 1;
  parameter RD_CLK_ENABLE = 0, RD_CLK_POLARITY = 0, RD_TRANSPARENCY_MASK = 0;
  parameter RD_COLLISION_X_MASK = 0, RD_WIDE_CONTINUATION = 0, RD_CE_OVER_SRST = 0;
  parameter RD_ARST_VALUE = 0, RD_SRST_VALUE = 0, RD_INIT_VALUE = 0;
  parameter WR_CLK_ENABLE = 0, WR_CLK_POLARITY = 0, WR_PRIORITY_MASK = 0, WR_WIDE_CONTINUATION = 0;
  input [RD_PORTS-1:0] RD_CLK, RD_EN, RD_ARST, RD_SRST;
  input [RD_PORTS*ABITS-1:0] RD_ADDR;
  output [RD_PORTS*WIDTH-1:0] RD_DATA;
  input [WR_PORTS-1:0] WR_CLK;
  input [WR_PORTS*WIDTH-1:0] WR_EN, WR_DATA;
  input [WR_PORTS*ABITS-1:0] WR_ADDR;

  // What the model has no way to say is left as it is, and found by whoever mapped.
  wire _TECHMAP_FAIL_ = OFFSET != 0 || |RD_WIDE_CONTINUATION || |WR_WIDE_CONTINUATION
    || !(&WR_CLK_ENABLE) || !(&WR_CLK_POLARITY)
    || |(RD_CLK_ENABLE & ~RD_CLK_POLARITY);

  shiftwork_memory #(
    .WIDTH(WIDTH), .SIZE(SIZE), .ABITS(ABITS), .RD_PORTS(RD_PORTS), .WR_PORTS(WR_PORTS),
    .RD_CLOCKED(RD_CLK_ENABLE), .RD_TRANSPARENT(RD_TRANSPARENCY_MASK)
  ) _TECHMAP_REPLACE_ (
    .rd_clk(RD_CLK), .rd_en(RD_EN), .rd_addr(RD_ADDR), .rd_data(RD_DATA),
    .wr_clk(WR_CLK), .wr_en(WR_EN), .wr_addr(WR_ADDR), .wr_data(WR_DATA)
  );
endmodule
