// SPDX-License-Identifier: Apache-2.0
// axi_memory.v with the port of a foreign AXI4 master: constant IDs, ignored attributes.
`timescale 1ns / 1ps
module memory_port (
    input  wire        clk,
    input  wire        rst,
    input  wire [0:0]  s_axi_awid,
    input  wire [31:0] s_axi_awaddr,
    input  wire [7:0]  s_axi_awlen,
    input  wire [2:0]  s_axi_awsize,
    input  wire [1:0]  s_axi_awburst,
    input  wire        s_axi_awvalid,
    output wire        s_axi_awready,
    input  wire [63:0] s_axi_wdata,
    input  wire [7:0]  s_axi_wstrb,
    input  wire        s_axi_wlast,
    input  wire        s_axi_wvalid,
    output wire        s_axi_wready,
    output wire [0:0]  s_axi_bid,
    output wire [1:0]  s_axi_bresp,
    output wire        s_axi_bvalid,
    input  wire        s_axi_bready,
    input  wire [0:0]  s_axi_arid,
    input  wire [31:0] s_axi_araddr,
    input  wire [7:0]  s_axi_arlen,
    input  wire [2:0]  s_axi_arsize,
    input  wire [1:0]  s_axi_arburst,
    input  wire        s_axi_arvalid,
    output wire        s_axi_arready,
    output wire [0:0]  s_axi_rid,
    output wire [63:0] s_axi_rdata,
    output wire [1:0]  s_axi_rresp,
    output wire        s_axi_rlast,
    output wire        s_axi_rvalid,
    input  wire        s_axi_rready,
    output wire [31:0] violations,
    output wire        pending
);
    reg [31:0] cycle = 0;
    always @(posedge clk) cycle <= cycle + 1;

    assign s_axi_bid = 0;
    assign s_axi_rid = 0;

    axi_memory #(.DATA_BITS(64), .WORDS(4096)) memory (
        .clk(clk), .rst(rst), .cycle(cycle), .log(32'd1),
        .dump(1'b0), .dump_first(0), .dump_last(0), .dump_index(0), .dumped(),
        .reload(1'b0), .reload_index(0), .fault_read(~32'd0), .fault_write(~32'd0),
        .fault_code(2'd0), .fault_silent(1'b0), .reloaded(), .isolate(1'b0), .isolated(),
        .s_axi_awaddr(s_axi_awaddr), .s_axi_awlen(s_axi_awlen), .s_axi_awvalid(s_axi_awvalid),
        .s_axi_awready(s_axi_awready), .s_axi_wdata(s_axi_wdata), .s_axi_wstrb(s_axi_wstrb),
        .s_axi_wlast(s_axi_wlast), .s_axi_wvalid(s_axi_wvalid), .s_axi_wready(s_axi_wready),
        .s_axi_bresp(s_axi_bresp), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(s_axi_bready),
        .s_axi_araddr(s_axi_araddr), .s_axi_arlen(s_axi_arlen), .s_axi_arvalid(s_axi_arvalid),
        .s_axi_arready(s_axi_arready), .s_axi_rdata(s_axi_rdata), .s_axi_rresp(s_axi_rresp),
        .s_axi_rlast(s_axi_rlast), .s_axi_rvalid(s_axi_rvalid), .s_axi_rready(s_axi_rready),
        .read_beats(), .write_beats(), .mismatches(), .forbidden(), .violations(violations),
        .pending(pending)
    );
endmodule
