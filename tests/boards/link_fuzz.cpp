// SPDX-License-Identifier: Apache-2.0
// Feeds strings of bytes to the link's gateware and tells what it wrote and answered.
//
//   link_fuzz STRINGS RESULT SEED PACED
//
// STRINGS: each a length (16 bits, little-endian) and its bytes. RESULT, a line each: "s" before a
// string; "m WORD DATA", "r ADDRESS VALUE" for writes; "o BYTES" for what was sent (hexadecimal).
// PACED 1: a byte comes only while no request is carried out, and the next string after the answer.
// PACED 0: bytes come whenever they like. Ends with 3 if a request takes more than kLong cycles.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "Vlink.h"
#include "verilated.h"

namespace {

constexpr int kLong = 100000;
constexpr uint32_t kRegisters = 0x6C;  // bytes; beyond them an error

struct Bench {
    VerilatedContext context;
    Vlink link{&context};
    std::mt19937 random;
    FILE *result;
    std::vector<uint64_t> memory = std::vector<uint64_t>(64);
    std::map<uint32_t, uint32_t> registers;
    std::string sent;
    int read_delay = -1;
    uint64_t read_data = 0;
    bool have_address = false, have_data = false;
    uint32_t address = 0, data = 0;
    int busy = 0;

    Bench(uint32_t seed, FILE *file) : random(seed), result(file) {}

    bool chance(int percent) { return static_cast<int>(random() % 100) < percent; }

    // One clock cycle with a byte or none.
    void cycle(int byte) {
        link.byte_valid = byte >= 0;
        link.byte = byte >= 0 ? byte : 0xA5;
        link.o___05Fready = chance(80);
        link.mem_ready = read_delay < 0 && chance(70);
        link.mem_r_valid = read_delay == 0;
        link.mem_r_data = read_data;
        link.m_axil_awready = !have_address && !link.m_axil_bvalid && chance(70);
        link.m_axil_wready = !have_data && !link.m_axil_bvalid && chance(70);
        link.m_axil_arready = !link.m_axil_rvalid && chance(70);
        link.irq = 1;
        link.clk = 0;
        link.eval();
        if (read_delay >= 0) --read_delay;
        if (link.mem_valid && link.mem_ready) {
            if (link.mem_write) {
                memory.at(link.mem_address) = link.mem_data;
                std::fprintf(result, "m %x %016llx\n", static_cast<unsigned>(link.mem_address),
                             static_cast<unsigned long long>(link.mem_data));
            } else {
                read_data = memory.at(link.mem_address);
                read_delay = random() % 4;
            }
        }
        if (link.o___05Fvalid && link.o___05Fready) sent.push_back(link.o___05Fpayload);
        const bool write_done = link.m_axil_bvalid && link.m_axil_bready;
        const bool read_done = link.m_axil_rvalid && link.m_axil_rready;
        int answer_read = -1;
        if (link.m_axil_arvalid && link.m_axil_arready) answer_read = link.m_axil_araddr;
        if (link.m_axil_awvalid && link.m_axil_awready) {
            have_address = true;
            address = link.m_axil_awaddr;
        }
        if (link.m_axil_wvalid && link.m_axil_wready) {
            have_data = true;
            data = link.m_axil_wdata;
        }
        link.clk = 1;
        link.eval();
        if (write_done) link.m_axil_bvalid = 0;
        if (read_done) link.m_axil_rvalid = 0;
        if (answer_read >= 0) {
            link.m_axil_rvalid = 1;
            link.m_axil_rresp = static_cast<uint32_t>(answer_read) < kRegisters ? 0 : 2;
            link.m_axil_rdata = registers.count(answer_read) ? registers[answer_read] : 0;
        }
        if (have_address && have_data) {
            have_address = have_data = false;
            std::fprintf(result, "r %x %x\n", address, data);
            link.m_axil_bvalid = 1;
            link.m_axil_bresp = address < kRegisters ? 0 : 2;
            if (address < kRegisters) registers[address] = data;
        }
        busy = link.busy ? busy + 1 : 0;
        if (busy > kLong) {
            std::fprintf(stderr, "a request hangs\n");
            std::exit(3);
        }
    }

    void settle() {
        do cycle(-1); while (link.busy);
    }

    void tell() {
        if (sent.empty()) return;
        std::fputs("o ", result);
        for (const unsigned char byte : sent) std::fprintf(result, "%02x", byte);
        std::fputs("\n", result);
        sent.clear();
    }
};

}  // namespace

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    FILE *strings = std::fopen(argv[1], "rb"), *result = std::fopen(argv[2], "w");
    if (!strings || !result) return 2;
    const bool paced = std::atoi(argv[4]) != 0;
    Bench bench(std::atoi(argv[3]), result);
    bench.link.rst = 1;
    for (int i = 0; i < 3; ++i) bench.cycle(-1);
    bench.link.rst = 0;
    unsigned char head[2];
    std::vector<unsigned char> bytes;
    while (std::fread(head, 1, 2, strings) == 2) {
        bytes.resize(head[0] | head[1] << 8);
        if (std::fread(bytes.data(), 1, bytes.size(), strings) != bytes.size()) return 2;
        std::fputs("s\n", result);
        for (const unsigned char byte : bytes) {
            if (paced) while (bench.link.busy) bench.cycle(-1);
            else for (int gap = bench.chance(3) ? bench.random() % 400 : bench.random() % 3; gap--;)
                bench.cycle(-1);
            bench.cycle(byte);
        }
        if (paced) bench.settle();
        bench.tell();
    }
    bench.settle();
    bench.tell();
    std::fclose(result);
    return 0;
}
