// SPDX-License-Identifier: Apache-2.0
// AXI4-Lite master for a test bench: one access per change of `go`; `done` follows it.
//
// An access that is not answered within LIMIT cycles ends with resp 3 and `lost` set.
module axil_master #(
    parameter ADDRESS_BITS = 12,
    parameter LIMIT = 1000
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    go,
    input  wire                    write,
    input  wire [ADDRESS_BITS-1:0] address,
    input  wire [31:0]             value,
    output reg                     done,
    output reg  [31:0]             result,
    output reg  [1:0]              resp,
    output reg                     lost,

    output reg  [ADDRESS_BITS-1:0] m_axil_awaddr,
    output wire [2:0]              m_axil_awprot,
    output reg                     m_axil_awvalid,
    input  wire                    m_axil_awready,
    output reg  [31:0]             m_axil_wdata,
    output wire [3:0]              m_axil_wstrb,
    output reg                     m_axil_wvalid,
    input  wire                    m_axil_wready,
    input  wire [1:0]              m_axil_bresp,
    input  wire                    m_axil_bvalid,
    output reg                     m_axil_bready,
    output reg  [ADDRESS_BITS-1:0] m_axil_araddr,
    output wire [2:0]              m_axil_arprot,
    output reg                     m_axil_arvalid,
    input  wire                    m_axil_arready,
    input  wire [31:0]             m_axil_rdata,
    input  wire [1:0]              m_axil_rresp,
    input  wire                    m_axil_rvalid,
    output reg                     m_axil_rready
);
    reg busy;
    reg [31:0] waited;

    assign m_axil_awprot = 3'd0;
    assign m_axil_arprot = 3'd0;
    assign m_axil_wstrb = 4'hf;

    always @(posedge clk) begin
        if (rst) begin
            busy <= 0;
            done <= 0;
            lost <= 0;
            resp <= 0;
            result <= 0;
            m_axil_awvalid <= 0;
            m_axil_wvalid <= 0;
            m_axil_bready <= 0;
            m_axil_arvalid <= 0;
            m_axil_rready <= 0;
            m_axil_awaddr <= 0;
            m_axil_araddr <= 0;
            m_axil_wdata <= 0;
            waited <= 0;
        end else if (!busy) begin
            if (go != done) begin
                busy <= 1;
                waited <= 0;
                m_axil_awaddr <= address;
                m_axil_araddr <= address;
                m_axil_wdata <= value;
                m_axil_awvalid <= write;
                m_axil_wvalid <= write;
                m_axil_bready <= write;
                m_axil_arvalid <= !write;
                m_axil_rready <= !write;
            end
        end else begin
            waited <= waited + 1;
            if (m_axil_awready) m_axil_awvalid <= 0;
            if (m_axil_wready) m_axil_wvalid <= 0;
            if (m_axil_arready) m_axil_arvalid <= 0;
            if ((m_axil_bvalid && m_axil_bready) || (m_axil_rvalid && m_axil_rready)
                || waited == LIMIT) begin
                busy <= 0;
                done <= go;
                lost <= waited == LIMIT;
                resp <= waited == LIMIT ? 2'd3 : m_axil_bready ? m_axil_bresp : m_axil_rresp;
                result <= m_axil_rdata;
                m_axil_bready <= 0;
                m_axil_rready <= 0;
                m_axil_awvalid <= 0;
                m_axil_wvalid <= 0;
                m_axil_arvalid <= 0;
            end
        end
    end
endmodule
