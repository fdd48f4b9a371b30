// SPDX-License-Identifier: Apache-2.0
// One engine, its memory and its host port. Python starts it and sleeps until `stop` rises.
//
// `ENGINE is the engine's module, `BUS_BITS its data width. The clock runs in here, and so does
// everything that must act in every cycle; Python only touches the signals marked public.
//
// Plusargs of this file (axi_memory.v lists its own):
//   +timeout=N    cycles after `running` rises until `timeout` and `stop` (default 1000000)
//   +stop_after=N stop when N wrong or forbidden write beats were seen (default 0: never)
//   +wave=F       waveform file, from cycle +wave_first=N on; `stop` rises at +wave_last=N
`timescale 1ns / 1ps
module tb;
    parameter MEMORY_WORDS = 65536;
    parameter HALF_PERIOD = 5; // of the clock, in ns

    // Driven by Python. Only clocked blocks read these: Verilator evaluates whatever depends on
    // them by wires in every half cycle.
    reg        reset /*verilator public_flat_rw*/ = 1;
    reg        running /*verilator public_flat_rw*/ = 0;
    reg        report /*verilator public_flat_rw*/ = 0;
    reg        go /*verilator public_flat_rw*/ = 0;
    reg        write /*verilator public_flat_rw*/ = 0;
    reg [11:0] address /*verilator public_flat_rw*/ = 0;
    reg [31:0] value /*verilator public_flat_rw*/ = 0;
    reg        dump /*verilator public_flat_rw*/ = 0;
    reg [31:0] dump_first /*verilator public_flat_rw*/ = 0;
    reg [31:0] dump_last /*verilator public_flat_rw*/ = 0;
    reg [31:0] dump_index /*verilator public_flat_rw*/ = 0;
    reg        reload /*verilator public_flat_rw*/ = 0;
    reg [31:0] reload_index /*verilator public_flat_rw*/ = 0;
    reg [31:0] fault_read /*verilator public_flat_rw*/ = 32'hffffffff;
    reg [31:0] fault_write /*verilator public_flat_rw*/ = 32'hffffffff;
    reg [1:0]  fault_code /*verilator public_flat_rw*/ = 0;
    reg        fault_silent /*verilator public_flat_rw*/ = 0;
    reg        reset_alone /*verilator public_flat_rw*/ = 0; // the engine, not its memory

    // Read by Python.
    wire        done /*verilator public_flat_rd*/;
    wire [31:0] result /*verilator public_flat_rd*/;
    wire [1:0]  resp /*verilator public_flat_rd*/;
    wire        lost /*verilator public_flat_rd*/;
    wire        dumped /*verilator public_flat_rd*/;
    wire        reloaded /*verilator public_flat_rd*/;
    wire [31:0] write_beats /*verilator public_flat_rd*/;
    wire [31:0] mismatches /*verilator public_flat_rd*/;
    wire [31:0] forbidden /*verilator public_flat_rd*/;
    wire [31:0] broken_rules /*verilator public_flat_rd*/; // the checker's finds
    wire [31:0] lost_rules /*verilator public_flat_rd*/;   // the memory's
    wire        pending /*verilator public_flat_rd*/;
    wire        irq /*verilator public_flat_rd*/;
    reg         stop /*verilator public_flat_rd*/ = 0;
    reg         timeout /*verilator public_flat_rd*/ = 0;
    reg [31:0]  first_cycle /*verilator public_flat_rd*/ = 0; // `running` was seen
    reg [31:0]  last_cycle /*verilator public_flat_rd*/ = 0;  // `stop` was raised
    reg         reported /*verilator public_flat_rd*/ = 0;

    integer    log; // file of the events
    reg        clk = 0;
    reg [31:0] cycle = 0;
    always #HALF_PERIOD clk = ~clk;
    reg        rst = 1;
    // The engine alone is reset for one cycle, as soon as no data of a write under way are lacking:
    // no memory could go on without them. Reads, and responses to writes, may be under way.
    reg        engine_rst = 1, was_isolated = 0;
    wire       isolated;
    always @(posedge clk) begin
        rst <= reset;
        was_isolated <= isolated;
        engine_rst <= reset || (reset_alone && isolated && !was_isolated);
    end

    wire [31:0]            awaddr, araddr;
    wire [7:0]             awlen, arlen;
    wire [2:0]             awsize, arsize, awprot, arprot;
    wire [1:0]             awburst, arburst, bresp, rresp;
    wire [3:0]             awcache, arcache;
    wire                   awvalid, awready, wvalid, wready, wlast, bvalid, bready;
    wire                   arvalid, arready, rvalid, rready, rlast;
    wire [`BUS_BITS-1:0]   wdata, rdata;
    wire [`BUS_BITS/8-1:0] wstrb;

    wire [11:0] l_awaddr, l_araddr;
    wire [2:0]  l_awprot, l_arprot;
    wire [31:0] l_wdata, l_rdata;
    wire [3:0]  l_wstrb;
    wire [1:0]  l_bresp, l_rresp;
    wire        l_awvalid, l_awready, l_wvalid, l_wready, l_bvalid, l_bready;
    wire        l_arvalid, l_arready, l_rvalid, l_rready;

    wire [31:0] read_beats;

    `ENGINE engine (
        .clk(clk), .rst(engine_rst), .irq(irq),
        .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize),
        .m_axi_awburst(awburst), .m_axi_awprot(awprot), .m_axi_awcache(awcache),
        .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast),
        .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
        .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize),
        .m_axi_arburst(arburst), .m_axi_arprot(arprot), .m_axi_arcache(arcache),
        .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast),
        .m_axi_rvalid(rvalid), .m_axi_rready(rready),
        .s_axil_awaddr(l_awaddr), .s_axil_awprot(l_awprot), .s_axil_awvalid(l_awvalid),
        .s_axil_awready(l_awready), .s_axil_wdata(l_wdata), .s_axil_wstrb(l_wstrb),
        .s_axil_wvalid(l_wvalid), .s_axil_wready(l_wready), .s_axil_bresp(l_bresp),
        .s_axil_bvalid(l_bvalid), .s_axil_bready(l_bready), .s_axil_araddr(l_araddr),
        .s_axil_arprot(l_arprot), .s_axil_arvalid(l_arvalid), .s_axil_arready(l_arready),
        .s_axil_rdata(l_rdata), .s_axil_rresp(l_rresp), .s_axil_rvalid(l_rvalid),
        .s_axil_rready(l_rready)
    );

    axil_master host (
        .clk(clk), .rst(rst), .go(go), .write(write), .address(address), .value(value),
        .done(done), .result(result), .resp(resp), .lost(lost),
        .m_axil_awaddr(l_awaddr), .m_axil_awprot(l_awprot), .m_axil_awvalid(l_awvalid),
        .m_axil_awready(l_awready), .m_axil_wdata(l_wdata), .m_axil_wstrb(l_wstrb),
        .m_axil_wvalid(l_wvalid), .m_axil_wready(l_wready), .m_axil_bresp(l_bresp),
        .m_axil_bvalid(l_bvalid), .m_axil_bready(l_bready), .m_axil_araddr(l_araddr),
        .m_axil_arprot(l_arprot), .m_axil_arvalid(l_arvalid), .m_axil_arready(l_arready),
        .m_axil_rdata(l_rdata), .m_axil_rresp(l_rresp), .m_axil_rvalid(l_rvalid),
        .m_axil_rready(l_rready)
    );

    axi_memory #(.DATA_BITS(`BUS_BITS), .WORDS(MEMORY_WORDS)) memory (
        .clk(clk), .rst(rst), .cycle(cycle), .log(log),
        .dump(dump), .dump_first(dump_first), .dump_last(dump_last), .dump_index(dump_index),
        .dumped(dumped), .reload(reload), .reload_index(reload_index), .fault_read(fault_read),
        .fault_write(fault_write), .fault_code(fault_code), .reloaded(reloaded),
        .fault_silent(fault_silent), .isolate(reset_alone), .isolated(isolated),
        .s_axi_awaddr(awaddr), .s_axi_awlen(awlen), .s_axi_awvalid(awvalid),
        .s_axi_awready(awready), .s_axi_wdata(wdata), .s_axi_wstrb(wstrb), .s_axi_wlast(wlast),
        .s_axi_wvalid(wvalid), .s_axi_wready(wready), .s_axi_bresp(bresp),
        .s_axi_bvalid(bvalid), .s_axi_bready(bready), .s_axi_araddr(araddr),
        .s_axi_arlen(arlen), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
        .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rlast(rlast), .s_axi_rvalid(rvalid),
        .s_axi_rready(rready),
        .read_beats(read_beats), .write_beats(write_beats), .mismatches(mismatches),
        .forbidden(forbidden), .violations(lost_rules), .pending(pending)
    );

    axi_checker #(.DATA_BITS(`BUS_BITS)) rules (
        .clk(clk), .rst(engine_rst), .cycle(cycle), .log(log),
        .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst), .awvalid(awvalid),
        .awready(awready), .wdata(wdata), .wstrb(wstrb), .wlast(wlast), .wvalid(wvalid),
        .wready(wready), .bready(bready), .araddr(araddr), .arlen(arlen), .arsize(arsize),
        .arburst(arburst), .arvalid(arvalid), .arready(arready), .rready(rready),
        .violations(broken_rules)
    );

    reg [8*512-1:0] wave;
    reg             waving;
    reg [31:0]      wave_first, wave_last, limit, stop_after;
    initial begin
        log = $fopen("events.log", "w");
        if (!$value$plusargs("timeout=%d", limit)) limit = 1000000;
        if (!$value$plusargs("stop_after=%d", stop_after)) stop_after = 0;
        if (!$value$plusargs("wave_first=%d", wave_first)) wave_first = 0;
        if (!$value$plusargs("wave_last=%d", wave_last)) wave_last = 32'hffffffff;
        waving = $value$plusargs("wave=%s", wave);
        if (waving) $dumpfile(wave);
    end

    reg counting = 0;
    always @(posedge clk) begin
        cycle <= cycle + 1;
        if (waving && cycle == wave_first) $dumpvars(0, tb);
        if (counting && !running) begin // ready for another run
            counting <= 0;
            stop <= 0;
            timeout <= 0;
        end
        if (running && !counting) begin
            counting <= 1;
            first_cycle <= cycle;
        end
        if (counting && !stop) begin
            if (cycle - first_cycle == limit) timeout <= 1;
            if (irq || cycle - first_cycle == limit || (waving && cycle >= wave_last)
                || (stop_after != 0 && mismatches + forbidden >= stop_after)) begin
                stop <= 1;
                last_cycle <= cycle;
                $fdisplay(log, "stop %0d", cycle);
                if (irq && pending) $fdisplay(log, "pending %0d", cycle);
            end
        end
        if (report && !reported) begin
            $fdisplay(log, "total %0d %0d %0d %0d %0d %0d", cycle, read_beats, write_beats,
                      mismatches, forbidden, lost_rules + broken_rules);
            $fclose(log);
        end
        reported <= report;
    end
endmodule
