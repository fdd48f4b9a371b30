// SPDX-License-Identifier: Apache-2.0
// A stand-in with the engine's ports: copies a block of memory, every byte xor 5A.
//
// PROGRAM points at 32 bytes: source, destination, beats (a multiple of 16), flaw, flaw_beat (32
// bits each). Flaws, at beat flaw_beat: 1 one wrong byte (lane 1), 2 the beat is not written,
// 3 its burst goes 4 KiB too far, 4 stops for ever, 5 WVALID drops while it waits,
// 6 ends without waiting for write responses, 7 one byte of the beat is undefined (4-state only).
module copy_engine (
    input  wire                    clk,
    input  wire                    rst,
    output wire                    irq,
    output reg  [31:0]             m_axi_awaddr,
    output wire [7:0]              m_axi_awlen,
    output wire [2:0]              m_axi_awsize,
    output wire [1:0]              m_axi_awburst,
    output wire [2:0]              m_axi_awprot,
    output wire [3:0]              m_axi_awcache,
    output reg                     m_axi_awvalid,
    input  wire                    m_axi_awready,
    output wire [`BUS_BITS-1:0]    m_axi_wdata,
    output wire [`BUS_BITS/8-1:0]  m_axi_wstrb,
    output wire                    m_axi_wlast,
    output wire                    m_axi_wvalid,
    input  wire                    m_axi_wready,
    input  wire [1:0]              m_axi_bresp,
    input  wire                    m_axi_bvalid,
    output wire                    m_axi_bready,
    output reg  [31:0]             m_axi_araddr,
    output reg  [7:0]              m_axi_arlen,
    output wire [2:0]              m_axi_arsize,
    output wire [1:0]              m_axi_arburst,
    output wire [2:0]              m_axi_arprot,
    output wire [3:0]              m_axi_arcache,
    output reg                     m_axi_arvalid,
    input  wire                    m_axi_arready,
    input  wire [`BUS_BITS-1:0]    m_axi_rdata,
    input  wire [1:0]              m_axi_rresp,
    input  wire                    m_axi_rlast,
    input  wire                    m_axi_rvalid,
    output wire                    m_axi_rready,
    input  wire [11:0]             s_axil_awaddr,
    input  wire [2:0]              s_axil_awprot,
    input  wire                    s_axil_awvalid,
    output wire                    s_axil_awready,
    input  wire [31:0]             s_axil_wdata,
    input  wire [3:0]              s_axil_wstrb,
    input  wire                    s_axil_wvalid,
    output wire                    s_axil_wready,
    output wire [1:0]              s_axil_bresp,
    output reg                     s_axil_bvalid,
    input  wire                    s_axil_bready,
    input  wire [11:0]             s_axil_araddr,
    input  wire [2:0]              s_axil_arprot,
    input  wire                    s_axil_arvalid,
    output wire                    s_axil_arready,
    output reg  [31:0]             s_axil_rdata,
    output wire [1:0]              s_axil_rresp,
    output reg                     s_axil_rvalid,
    input  wire                    s_axil_rready
);
    localparam BYTES = `BUS_BITS / 8;
    localparam BURST = 16;
    localparam DEPTH = 128;
    localparam IDLE = 0, FETCH = 1, RUN = 2, DRAIN = 3;

    reg [1:0]   state;
    reg [255:0] task_words;
    reg         done, irq_enable, failed, hung, dropped;
    reg [31:0]  program_address, layer, cycles, reads, writes;
    reg [31:0]  asked, got, granted, sent, answered;
    reg [7:0]   error;
    wire [31:0] source = task_words[31:0];
    wire [31:0] target = task_words[63:32];
    wire [31:0] beats = task_words[95:64];
    wire [31:0] flaw = task_words[127:96];
    wire [31:0] flaw_beat = task_words[159:128];

    reg [`BUS_BITS-1:0] fifo [0:DEPTH-1];
    wire start = s_axil_awvalid && s_axil_wvalid && s_axil_awready && s_axil_awaddr == 12'h00c
               && s_axil_wdata[0];

    assign irq = irq_enable && (done || error != 0);
    assign {m_axi_awprot, m_axi_arprot, m_axi_awcache, m_axi_arcache} = 14'd0;
    assign m_axi_awlen = BURST - 1;
    assign m_axi_awsize = BYTES == 16 ? 3'd4 : 3'd3;
    assign m_axi_arsize = m_axi_awsize;
    assign m_axi_awburst = 2'd1;
    assign m_axi_arburst = 2'd1;
    assign m_axi_bready = 1;
    assign m_axi_rready = 1;

    wire here = sent == flaw_beat;
    assign m_axi_wvalid = state == RUN && sent != got && !hung && !(flaw == 5 && here && dropped);
    assign m_axi_wdata = (fifo[sent % DEPTH] ^ {BYTES{8'h5a}})
                       ^ (flaw == 1 && here ? 16'h0100 : 16'h0000)
                       ^ (flaw == 7 && here ? {8'hxx, 16'h0} : 24'h0);
    assign m_axi_wstrb = flaw == 2 && here ? 0 : ~0;
    assign m_axi_wlast = sent % BURST == BURST - 1;

    wire [31:0] target_now = target + granted * BYTES
                           + (flaw == 3 && flaw_beat / BURST == granted / BURST ? 32'd4096 : 32'd0);

    always @(posedge clk) begin
        if (rst) begin
            state <= IDLE;
            {done, irq_enable, failed, hung, dropped} <= 0;
            {m_axi_awvalid, m_axi_arvalid} <= 0;
            {program_address, layer, cycles, reads, writes} <= 0;
            {asked, got, granted, sent, answered} <= 0;
            error <= 0;
        end else begin
            if (m_axi_arready) m_axi_arvalid <= 0;
            if (m_axi_awready) m_axi_awvalid <= 0;
            if (state != IDLE) cycles <= cycles + 1;
            if (m_axi_rvalid) reads <= reads + 1;
            if (m_axi_wvalid && m_axi_wready) writes <= writes + 1;
            if (m_axi_rvalid && m_axi_rresp[1]) error <= 5;
            if (m_axi_bvalid && m_axi_bresp[1]) error <= 6;
            if (m_axi_bvalid) answered <= answered + BURST;
            if (flaw == 4 && here && state == RUN) hung <= 1;
            if (m_axi_wvalid && !m_axi_wready && here) dropped <= 1;
            case (state)
                IDLE: if (start) begin
                    state <= FETCH;
                    done <= 0;
                    cycles <= 0;
                    m_axi_araddr <= program_address;
                    m_axi_arlen <= 32 / BYTES - 1;
                    m_axi_arvalid <= 1;
                    {asked, got, granted, sent, answered} <= 0;
                end
                FETCH: if (m_axi_rvalid) begin
                    task_words <= {m_axi_rdata, task_words[255:`BUS_BITS]};
                    if (m_axi_rlast) state <= RUN;
                end
                RUN: begin
                    if ((!m_axi_arvalid || m_axi_arready) && asked != beats
                        && asked - sent <= DEPTH - BURST) begin
                        m_axi_arvalid <= 1;
                        m_axi_arlen <= BURST - 1;
                        m_axi_araddr <= source + asked * BYTES;
                        asked <= asked + BURST;
                    end
                    if ((!m_axi_awvalid || m_axi_awready) && granted != beats) begin
                        m_axi_awvalid <= 1;
                        m_axi_awaddr <= target_now;
                        granted <= granted + BURST;
                    end
                    if (m_axi_rvalid) begin
                        fifo[got % DEPTH] <= m_axi_rdata;
                        got <= got + 1;
                    end
                    if (m_axi_wvalid && m_axi_wready) sent <= sent + 1;
                    if (sent == beats) state <= DRAIN;
                    if (error != 0) state <= IDLE;
                end
                default: if (answered == beats || flaw == 6) begin
                    state <= IDLE;
                    done <= 1;
                end
            endcase
            if (s_axil_awvalid && s_axil_wvalid && s_axil_awready) begin
                if (s_axil_awaddr == 12'h00c) irq_enable <= s_axil_wdata[8];
                if (s_axil_awaddr == 12'h018) program_address <= s_axil_wdata;
                if (s_axil_awaddr == 12'h01c) layer <= s_axil_wdata;
            end
        end
    end

    // Host registers.
    assign s_axil_awready = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    assign s_axil_wready = s_axil_awready;
    assign s_axil_arready = !s_axil_rvalid;
    assign {s_axil_bresp, s_axil_rresp} = 4'd0;
    always @(posedge clk) begin
        if (rst) begin
            s_axil_bvalid <= 0;
            s_axil_rvalid <= 0;
        end else begin
            if (s_axil_bready) s_axil_bvalid <= 0;
            if (s_axil_awready) s_axil_bvalid <= 1;
            if (s_axil_rready) s_axil_rvalid <= 0;
            if (s_axil_arvalid && s_axil_arready) begin
                s_axil_rvalid <= 1;
                case (s_axil_araddr)
                    `REG_ID: s_axil_rdata <= `IDENTITY_ID; // of copying.stand_in
                    `REG_VERSION: s_axil_rdata <= `IDENTITY_VERSION;
                    `REG_CONFIG: s_axil_rdata <= `IDENTITY_CONFIG;
                    `REG_FINGERPRINT: s_axil_rdata <= `IDENTITY_FINGERPRINT;
                    12'h010: s_axil_rdata <= {29'd0, error != 0, done, state != IDLE};
                    12'h014: s_axil_rdata <= {16'd0, 8'd0, error};
                    12'h018: s_axil_rdata <= program_address;
                    12'h020, 12'h040: s_axil_rdata <= cycles;
                    12'h034, 12'h054: s_axil_rdata <= reads;
                    12'h038, 12'h058: s_axil_rdata <= writes;
                    default: s_axil_rdata <= 0;
                endcase
            end
        end
    end
endmodule
