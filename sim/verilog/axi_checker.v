// SPDX-License-Identifier: Apache-2.0
// Rules an AXI4 master of full-width INCR bursts must keep; each breach goes to `log`. The count
// runs on over a reset.
module axi_checker #(
    parameter DATA_BITS = 64
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire [31:0]            cycle,
    input  wire [31:0]            log,
    input  wire [31:0]            awaddr,
    input  wire [7:0]             awlen,
    input  wire [2:0]             awsize,
    input  wire [1:0]             awburst,
    input  wire                   awvalid,
    input  wire                   awready,
    input  wire [DATA_BITS-1:0]   wdata,
    input  wire [DATA_BITS/8-1:0] wstrb,
    input  wire                   wlast,
    input  wire                   wvalid,
    input  wire                   wready,
    input  wire                   bready,
    input  wire [31:0]            araddr,
    input  wire [7:0]             arlen,
    input  wire [2:0]             arsize,
    input  wire [1:0]             arburst,
    input  wire                   arvalid,
    input  wire                   arready,
    input  wire                   rready,
    output reg  [31:0]            violations
);
    localparam BYTES = DATA_BITS / 8;
    localparam SIZE = DATA_BITS == 128 ? 4 : 3;
    localparam RECORDS = 16;

    reg [44:0] aw_held, ar_held;
    reg [DATA_BITS+BYTES:0] w_held;
    reg aw_waits, ar_waits, w_waits;
    initial violations = 0;

    task breach;
        input [8*40-1:0] what;
        input [31:0] address;
        begin
            violations = violations + 1;
            if (violations <= RECORDS)
                $fdisplay(log, "violation %0d %0s at address %h", cycle, what, address);
        end
    endtask

    task address_rules;
        input [31:0] address;
        input [7:0]  len;
        input [2:0]  size;
        input [1:0]  burst;
        begin
            if (^{address, len, size, burst} === 1'bx) breach("undefined burst", address);
            if (burst != 2'd1) breach("burst is not INCR", address);
            if (size != SIZE) breach("burst is not full width", address);
            if (address % BYTES != 0) breach("burst is not aligned", address);
            if ((address & 32'hfff) + (len + 32'd1) * BYTES > 32'h1000)
                breach("burst crosses 4 KiB", address);
        end
    endtask

    always @(posedge clk) begin
        if (rst) begin
            {aw_waits, ar_waits, w_waits} = 3'd0;
        end else begin
            if (^{awvalid, wvalid, bready, arvalid, rready} === 1'bx)
                breach("undefined handshake", 32'd0);
            if (aw_waits && !(awvalid && aw_held === {awaddr, awlen, awsize, awburst}))
                breach("AW changed before AWREADY", awaddr);
            if (ar_waits && !(arvalid && ar_held === {araddr, arlen, arsize, arburst}))
                breach("AR changed before ARREADY", araddr);
            if (w_waits && !(wvalid && w_held === {wdata, wstrb, wlast}))
                breach("W changed before WREADY", 32'd0);
            if (wvalid && ^{wstrb, wlast} === 1'bx) breach("undefined WSTRB or WLAST", 32'd0);
            if (awvalid && !aw_waits) address_rules(awaddr, awlen, awsize, awburst);
            if (arvalid && !ar_waits) address_rules(araddr, arlen, arsize, arburst);
            aw_waits = awvalid && !awready;
            ar_waits = arvalid && !arready;
            w_waits = wvalid && !wready;
            aw_held = {awaddr, awlen, awsize, awburst};
            ar_held = {araddr, arlen, arsize, arburst};
            w_held = {wdata, wstrb, wlast};
        end
    end
endmodule
