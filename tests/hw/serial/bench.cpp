// SPDX-License-Identifier: Apache-2.0
// The serial engine with its memory of 128 KiB: runs programs as a host does, by its registers.
//
// Lines on standard input: "run IMAGE RESULT PROGRAM BASE LIMIT CYCLES RESET". IMAGE is what the
// memory holds at first, RESULT gets what it holds in the end. After CYCLES without an end, or after
// RESET cycles where that is not 0, comes a soft reset. For each line one of JSON.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "Vserial.h"
#include "verilated.h"

namespace {

constexpr size_t kBytes = 128 << 10;
constexpr uint32_t kControl = 0x0C, kStatus = 0x10, kError = 0x14, kProgram = 0x18;
constexpr uint32_t kTotal0 = 0x40, kBase = 0x60, kLimit = 0x64;
constexpr uint64_t kPatience = 100000;  // cycles for one access of a register

class Bench {
public:
    Bench() : top_(&context_), memory_(kBytes) {
        top_.rst = 1;
        for (int i = 0; i < 4; ++i) cycle();
        top_.rst = 0;
    }

    void cycle() {
        top_.clk = 0;
        top_.eval();
        const bool enable = top_.mem_enable;
        const uint32_t at = top_.mem_address * 4u, mask = top_.mem_write, value = top_.mem_value;
        top_.clk = 1;
        top_.eval();
        if (enable && mask) {
            ++writes;
            for (int i = 0; i < 4; ++i)
                if (mask >> i & 1) memory_[at + i] = static_cast<uint8_t>(value >> 8 * i);
        }
        if (enable && !mask) {
            uint32_t word = 0;
            for (int i = 0; i < 4; ++i) word |= static_cast<uint32_t>(memory_[at + i]) << 8 * i;
            top_.mem_found = word;
        } else {
            top_.mem_found = 0xDEADBEEF;  // only the cycle after a read has its word
        }
        ++cycles;
    }

    void write(uint32_t address, uint32_t value) {
        top_.s_axil_awaddr = address;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 15;
        top_.s_axil_awvalid = top_.s_axil_wvalid = 1;
        top_.s_axil_bready = 1;
        wait([&] { return top_.s_axil_awready; }, [&] { top_.s_axil_awvalid = 0; });
        wait([&] { return top_.s_axil_wready; }, [&] { top_.s_axil_wvalid = 0; });
        wait([&] { return top_.s_axil_bvalid; }, [] {});
    }

    uint32_t read(uint32_t address) {
        top_.s_axil_araddr = address;
        top_.s_axil_arvalid = 1;
        top_.s_axil_rready = 1;
        wait([&] { return top_.s_axil_arready; }, [&] { top_.s_axil_arvalid = 0; });
        uint32_t value = 0;
        wait([&] { value = top_.s_axil_rdata; return top_.s_axil_rvalid; }, [] {});
        return value;
    }

    std::vector<uint8_t> &memory() { return memory_; }
    bool irq() const { return top_.irq; }
    uint64_t cycles = 0, writes = 0;

private:
    template <typename Ready, typename Then> void wait(Ready ready, Then then) {
        for (uint64_t i = 0; i < kPatience; ++i) {
            top_.clk = 0;
            top_.eval();
            const bool done = ready();
            cycle();
            if (done) {
                then();
                return;
            }
        }
        std::fprintf(stderr, "the registers do not answer\n");
        std::exit(1);
    }

    VerilatedContext context_;
    Vserial top_;
    std::vector<uint8_t> memory_;
};

}  // namespace

int main() {
    Bench bench;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string kind, image, result;
        uint32_t program, base, limit;
        uint64_t most, reset;
        if (!(words >> kind >> image >> result >> program >> base >> limit >> most >> reset)) return 2;
        std::ifstream(image, std::ios::binary)
            .read(reinterpret_cast<char *>(bench.memory().data()), kBytes);
        bench.write(kBase, base);
        bench.write(kLimit, limit);
        bench.write(kProgram, program);
        bench.write(kControl, 0x101);
        const uint64_t begun = bench.cycles;
        bench.writes = 0;
        while (!bench.irq() && bench.cycles - begun < (reset ? reset : most)) {
            bench.cycle();
            if ((bench.cycles & 0xFFF) == 0) (void)bench.read(kStatus);  // a host that looks
        }
        const uint64_t taken = bench.cycles - begun;
        const bool ended = bench.irq();
        const uint32_t status = bench.read(kStatus), error = bench.read(kError);
        const uint32_t total = bench.read(kTotal0);
        std::ofstream(result, std::ios::binary)
            .write(reinterpret_cast<char *>(bench.memory().data()), kBytes);
        if (!ended || (status & 8)) {
            bench.write(kControl, 0x102);
            for (int i = 0; i < 20; ++i) bench.cycle();
        }
        std::printf("{\"ended\": %s, \"status\": %u, \"error\": %u, \"total\": %u, \"cycles\": %llu, "
                    "\"writes\": %llu, \"after\": %u}\n", ended ? "true" : "false", status, error,
                    total, static_cast<unsigned long long>(taken),
                    static_cast<unsigned long long>(bench.writes), bench.read(kStatus));
        std::fflush(stdout);
    }
    return 0;
}
