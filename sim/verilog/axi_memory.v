// SPDX-License-Identifier: Apache-2.0
// AXI4 memory: in order, up to 16 bursts outstanding each way, every write checked as it lands.
//
// Plain Verilog-2005, so that Icarus and Verilator run the same file. Bursts must be INCR and full
// width (axi_checker.v says so when they are not). With every stall at 0 the memory moves one read
// and one write beat in every cycle.
//
// Plusargs (all optional):
//   +image=F          $readmemh file of the memory's first content
//   +want=F           expected words; +check=F bytes that must equal them (one bit a byte lane)
//   +allow=F          bytes that may be written at all (one bit a byte lane)
//   +memory_words=N   words that exist (default WORDS); an access beyond answers DECERR
//   +read_latency=N   cycles from an accepted read address to its first beat (default 8)
//   +write_latency=N  cycles from an accepted write address to its first beat landing (default 8)
//   +random_latency=N largest number of extra cycles of a burst, drawn at random (default 0)
//   +stall_ar=P +stall_r=P +stall_aw=P +stall_w=P +stall_b=P
//                     chance, in 1/256, that a channel waits in a cycle (0..255, default 0)
//   +seed=N           seed of all that is random (default 1)
//   +error_read=N +error_write=N  the N-th beat (from 1) answers +error_code=C (default 2, SLVERR)
//   +records=N        events written to the log, of each kind (default 16)
//   +writes=F         file that gets a line CYCLE ADDRESS DATA STROBES per beat that lands
//
// A write whose beat was chosen for an error does not change the memory. The counts of what went
// wrong run on over a reset. Events go to `log`:
//   mismatch CYCLE ADDRESS DATA WANT LANES / forbidden CYCLE ADDRESS DATA LANES / violation ...
module axi_memory #(
    parameter DATA_BITS = 64,
    parameter WORDS = 65536
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire [31:0]            cycle,      // time stamp of the events
    input  wire [31:0]            log,        // open file, or a channel of $fdisplay
    input  wire                   dump,       // every change writes a file dump.N
    input  wire [31:0]            dump_first, // first and last word of the dump
    input  wire [31:0]            dump_last,
    input  wire [31:0]            dump_index, // N
    output reg                    dumped,     // follows `dump`
    input  wire                   reload,     // every change loads a file load.N and the faults
    input  wire [31:0]            reload_index, // N
    input  wire [31:0]            fault_read, // word whose reads, and whose writes, answer
    input  wire [31:0]            fault_write, // `fault_code`; all ones for none
    input  wire [1:0]             fault_code,
    input  wire                   fault_silent, // no answer at all instead, from that word on
    output reg                    reloaded,   // follows `reload`
    input  wire                   isolate,    // take the writes under way to their ends, no more
    output reg                    isolated,   // they have been taken

    input  wire [31:0]            s_axi_awaddr,
    input  wire [7:0]             s_axi_awlen,
    input  wire                   s_axi_awvalid,
    output reg                    s_axi_awready,
    input  wire [DATA_BITS-1:0]   s_axi_wdata,
    input  wire [DATA_BITS/8-1:0] s_axi_wstrb,
    input  wire                   s_axi_wlast,
    input  wire                   s_axi_wvalid,
    output reg                    s_axi_wready,
    output reg  [1:0]             s_axi_bresp,
    output reg                    s_axi_bvalid,
    input  wire                   s_axi_bready,
    input  wire [31:0]            s_axi_araddr,
    input  wire [7:0]             s_axi_arlen,
    input  wire                   s_axi_arvalid,
    output reg                    s_axi_arready,
    output reg  [DATA_BITS-1:0]   s_axi_rdata,
    output reg  [1:0]             s_axi_rresp,
    output reg                    s_axi_rlast,
    output reg                    s_axi_rvalid,
    input  wire                   s_axi_rready,

    output reg  [31:0]            read_beats,
    output reg  [31:0]            write_beats,
    output reg  [31:0]            mismatches,  // beats with a wrong byte
    output reg  [31:0]            forbidden,   // beats with a byte where nothing may be written
    output reg  [31:0]            violations,  // wrong WLAST, address outside the memory
    output reg                    pending      // a write is not answered yet
);
    localparam BYTES = DATA_BITS / 8;
    localparam SHIFT = DATA_BITS == 128 ? 4 : 3;
    localparam DEPTH = 16;    // bursts outstanding, a power of two
    localparam W_DEPTH = 512; // write beats waiting to land, a power of two
    localparam DECERR = 2'd3;

    reg [DATA_BITS-1:0] memory [0:WORDS-1];
    reg [DATA_BITS-1:0] want [0:WORDS-1];
    reg [BYTES-1:0]     check [0:WORDS-1];
    reg [BYTES-1:0]     allow [0:WORDS-1];

    reg [8*512-1:0] name;
    reg [31:0] memory_words, read_latency, write_latency, random_latency, seed, records;
    reg [31:0] error_read, error_write, error_code;
    reg [7:0]  stall_ar, stall_r, stall_aw, stall_w, stall_b;
    reg        checking, guarding, stalling, logging;
    integer    writes;
    reg [31:0] bad_read, bad_write; // words
    reg [1:0]  bad_code;
    reg        bad_silent;

    initial begin
        if (!$value$plusargs("memory_words=%d", memory_words)) memory_words = WORDS;
        if (!$value$plusargs("read_latency=%d", read_latency)) read_latency = 8;
        if (!$value$plusargs("write_latency=%d", write_latency)) write_latency = 8;
        if (!$value$plusargs("random_latency=%d", random_latency)) random_latency = 0;
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("records=%d", records)) records = 16;
        if (!$value$plusargs("error_read=%d", error_read)) error_read = 0;
        if (!$value$plusargs("error_write=%d", error_write)) error_write = 0;
        if (!$value$plusargs("error_code=%d", error_code)) error_code = 2;
        if (!$value$plusargs("stall_ar=%d", stall_ar)) stall_ar = 0;
        if (!$value$plusargs("stall_r=%d", stall_r)) stall_r = 0;
        if (!$value$plusargs("stall_aw=%d", stall_aw)) stall_aw = 0;
        if (!$value$plusargs("stall_w=%d", stall_w)) stall_w = 0;
        if (!$value$plusargs("stall_b=%d", stall_b)) stall_b = 0;
        stalling = |{stall_ar, stall_r, stall_aw, stall_w, stall_b, random_latency};
        checking = 0;
        guarding = 0;
        logging = 0;
        if ($value$plusargs("writes=%s", name)) begin
            logging = 1;
            writes = $fopen(name, "w");
        end
        if ($value$plusargs("image=%s", name)) $readmemh(name, memory, 0, memory_words - 1);
        if ($value$plusargs("want=%s", name)) $readmemh(name, want);
        if ($value$plusargs("check=%s", name)) begin
            checking = 1;
            $readmemh(name, check, 0, memory_words - 1);
        end
        if ($value$plusargs("allow=%s", name)) begin
            guarding = 1;
            $readmemh(name, allow, 0, memory_words - 1);
        end
        dumped = 0;
        reloaded = 0;
        bad_read = 32'hffffffff;
        bad_write = 32'hffffffff;
        bad_code = 0;
        bad_silent = 0;
        isolated = 0;
        {mismatches, forbidden, violations} = 96'd0;
    end

    // State below is blocking: only this module's one clocked block reads it.
    reg [63:0] random;
    reg [31:0] ar_addr [0:DEPTH-1], ar_time [0:DEPTH-1];
    reg [7:0]  ar_len [0:DEPTH-1];
    reg [31:0] aw_addr [0:DEPTH-1], aw_time [0:DEPTH-1];
    reg [7:0]  aw_len [0:DEPTH-1];
    reg [1:0]  b_resp [0:DEPTH-1];
    reg [DATA_BITS-1:0] w_data [0:W_DEPTH-1];
    reg [BYTES-1:0]     w_strb [0:W_DEPTH-1];
    reg                 w_last [0:W_DEPTH-1];
    reg [31:0] ar_head, ar_tail, aw_head, aw_tail, b_head, b_tail, w_head, w_tail; // never wrap
    reg [31:0] aw_beats; // of all bursts whose address was taken
    reg [31:0] b_end;    // responses that are given, if `b_ends`
    reg        b_ends;
    reg [31:0] wrong_beats = 0, stray_beats = 0, breaches = 0;
    reg [31:0] r_word, r_left, w_word, w_left, r_count, w_count;
    reg [1:0]  w_resp;

    // Land the beat at w_tail in word w_word.
    reg [DATA_BITS-1:0] data, old, difference, lanes;
    reg [BYTES-1:0]     strb, wrong;
    integer             lane;
    task land;
        begin
            data = w_data[w_tail % W_DEPTH];
            strb = w_strb[w_tail % W_DEPTH];
            w_count = w_count + 1;
            if (w_last[w_tail % W_DEPTH] !== (w_left == 1)) begin
                breaches = breaches + 1;
                if (breaches <= records)
                    $fdisplay(log, "violation %0d WLAST is wrong at address %h", cycle,
                              w_word << SHIFT);
            end
            if (w_word >= memory_words) begin
                w_resp = DECERR;
                breaches = breaches + 1;
                if (breaches <= records)
                    $fdisplay(log, "violation %0d write outside the memory at address %h", cycle,
                              w_word << SHIFT);
            end else if (w_count == error_write) begin
                w_resp = error_code[1:0];
            end else if (w_word == bad_write) begin
                w_resp = bad_code;
                if (bad_silent && !b_ends) begin
                    b_ends = 1;
                    b_end = b_head;
                end
            end else begin
                for (lane = 0; lane < BYTES; lane = lane + 1) lanes[8*lane +: 8] = {8{strb[lane]}};
                old = memory[w_word];
                memory[w_word] = (old & ~lanes) | (data & lanes);
                if (logging)
                    $fdisplay(writes, "%h %h %h %h", cycle, w_word << SHIFT, data, strb);
                if (guarding) begin
                    wrong = strb & ~allow[w_word];
                    if (wrong !== 0) begin
                        stray_beats = stray_beats + 1;
                        if (stray_beats <= records)
                            $fdisplay(log, "forbidden %0d %h %h %h", cycle, w_word << SHIFT, data,
                                      wrong);
                    end
                end
                if (checking) begin
                    difference = data ^ want[w_word];
                    wrong = strb & check[w_word];
                    if (wrong != 0) begin
                        for (lane = 0; lane < BYTES; lane = lane + 1)
                            if (difference[8*lane +: 8] === 8'd0) wrong[lane] = 0;
                        if (wrong != 0) begin
                            wrong_beats = wrong_beats + 1;
                            if (wrong_beats <= records)
                                $fdisplay(log, "mismatch %0d %h %h %h %h", cycle, w_word << SHIFT,
                                          data, want[w_word], wrong);
                        end
                    end
                end
            end
            w_tail = w_tail + 1;
            w_word = w_word + 1;
            w_left = w_left - 1;
        end
    endtask

    function [31:0] extra; // random extra cycles of a burst
        input [15:0] bits;
        extra = bits % (random_latency + 1);
    endfunction

    always @(posedge clk) begin
        if (dump != dumped) begin
            $sformat(name, "dump.%0d", dump_index);
            $writememh(name, memory, dump_first, dump_last);
        end
        dumped <= dump;
        if (reload != reloaded) begin
            $sformat(name, "load.%0d", reload_index);
            $readmemh(name, memory);
            bad_read = fault_read;
            bad_write = fault_write;
            bad_code = fault_code;
            bad_silent = fault_silent;
        end
        reloaded <= reload;

        if (rst) begin
            random = {seed, ~seed} ^ 64'h9e3779b97f4a7c15;
            {ar_head, ar_tail, aw_head, aw_tail, b_head, b_tail, w_head, w_tail} = 256'd0;
            {r_left, w_left, r_count, w_count} = 128'd0;
            aw_beats = 0;
            b_ends = 0;
            isolated <= 0;
            {read_beats, write_beats} <= 64'd0;
            w_resp = 0;
            s_axi_arready <= 0;
            s_axi_awready <= 0;
            s_axi_wready <= 0;
            s_axi_rvalid <= 0;
            s_axi_bvalid <= 0;
            pending <= 0;
        end else begin
            if (stalling) begin
                random = random ^ (random << 13);
                random = random ^ (random >> 7);
                random = random ^ (random << 17);
            end

            // Read addresses, then one read beat.
            if (s_axi_arvalid && s_axi_arready) begin
                ar_addr[ar_head % DEPTH] = s_axi_araddr;
                ar_len[ar_head % DEPTH] = s_axi_arlen;
                ar_time[ar_head % DEPTH] = cycle + read_latency + extra(random[63:48]);
                ar_head = ar_head + 1;
            end
            if (!s_axi_rvalid || s_axi_rready) begin
                if (r_left == 0 && ar_tail != ar_head && cycle >= ar_time[ar_tail % DEPTH]) begin
                    r_word = ar_addr[ar_tail % DEPTH] >> SHIFT;
                    r_left = ar_len[ar_tail % DEPTH] + 1;
                    ar_tail = ar_tail + 1;
                end
                if (r_left != 0 && random[7:0] >= stall_r
                    && !(bad_silent && r_word == bad_read)) begin
                    r_count = r_count + 1;
                    r_left = r_left - 1;
                    s_axi_rvalid <= 1;
                    s_axi_rlast <= r_left == 0;
                    s_axi_rresp <= r_count == error_read ? error_code[1:0]
                                   : r_word == bad_read ? bad_code : 2'd0;
                    s_axi_rdata <= memory[r_word];
                    if (r_word >= memory_words) begin
                        s_axi_rresp <= DECERR;
                        s_axi_rdata <= 0;
                        breaches = breaches + 1;
                        if (breaches <= records)
                            $fdisplay(log, "violation %0d read outside the memory at address %h",
                                      cycle, r_word << SHIFT);
                    end
                    r_word = r_word + 1;
                end else begin
                    s_axi_rvalid <= 0;
                end
            end
            s_axi_arready <= ar_head - ar_tail < DEPTH && random[15:8] >= stall_ar;

            // Write addresses and data, then one beat lands, then one response.
            if (s_axi_awvalid && s_axi_awready) begin
                aw_addr[aw_head % DEPTH] = s_axi_awaddr;
                aw_len[aw_head % DEPTH] = s_axi_awlen;
                aw_time[aw_head % DEPTH] = cycle + write_latency + extra(random[47:32]);
                aw_head = aw_head + 1;
                aw_beats = aw_beats + s_axi_awlen + 1;
            end
            if (s_axi_wvalid && s_axi_wready) begin
                w_data[w_head % W_DEPTH] = s_axi_wdata;
                w_strb[w_head % W_DEPTH] = s_axi_wstrb;
                w_last[w_head % W_DEPTH] = s_axi_wlast;
                w_head = w_head + 1;
            end
            if (w_left == 0 && aw_tail != aw_head && cycle >= aw_time[aw_tail % DEPTH]) begin
                w_word = aw_addr[aw_tail % DEPTH] >> SHIFT;
                w_left = aw_len[aw_tail % DEPTH] + 1;
                w_resp = 0;
                aw_tail = aw_tail + 1;
            end
            if (w_left != 0 && w_tail != w_head) begin
                land;
                if (w_left == 0) begin
                    b_resp[b_head % DEPTH] = w_resp;
                    b_head = b_head + 1;
                end
            end
            if (!s_axi_bvalid || s_axi_bready) begin
                if (b_tail != b_head && random[23:16] >= stall_b
                    && !(b_ends && b_tail == b_end)) begin
                    s_axi_bvalid <= 1;
                    s_axi_bresp <= b_resp[b_tail % DEPTH];
                    b_tail = b_tail + 1;
                end else begin
                    s_axi_bvalid <= 0;
                end
            end
            s_axi_awready <= aw_head - b_tail < DEPTH && random[31:24] >= stall_aw
                             && !(isolate && aw_beats >= w_head);
            s_axi_wready <= w_head - w_tail < W_DEPTH && random[39:32] >= stall_w
                            && !(isolate && aw_beats <= w_head);
            isolated <= isolate && aw_beats == w_head;
            read_beats <= r_count;
            write_beats <= w_count;
            mismatches <= wrong_beats;
            forbidden <= stray_beats;
            violations <= breaches;
            pending <= aw_head != b_tail || (s_axi_bvalid && !s_axi_bready);
        end
    end
endmodule
