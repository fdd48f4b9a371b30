// SPDX-License-Identifier: Apache-2.0
// A board's top between a pseudo-terminal and a clock: bytes go over its serial line, bit by bit.
//
//   virtual-board --divisor D [--damage P] [--seed N]
//
// Prints "port PATH" and runs until its standard input ends, then prints what it counted as JSON.
// P of the bytes, either way, are damaged: a bit turned, another byte, or no byte at all.
// The clock stands still while nothing runs, nothing is on the line and no byte waits.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "Vboard.h"
#include "verilated.h"

namespace {

constexpr uint64_t kQuiet = 1024;      // cycles without anything before the clock stops
constexpr uint64_t kLook = 256;        // cycles between looks at the terminal
constexpr size_t kWaiting = 4096;      // bytes taken from the terminal ahead of the line

struct Counts {
    uint64_t cycles = 0, received = 0, sent = 0, damaged = 0;
};

// Damages bytes on their way; the same seed damages the same ones.
class Noise {
public:
    Noise(double rate, uint32_t seed, Counts &counts) : rate_(rate), random_(seed), counts_(counts) {}

    template <typename Put> void pass(uint8_t byte, Put put) {
        if (std::uniform_real_distribution<>(0, 1)(random_) >= rate_) {
            put(byte);
            return;
        }
        ++counts_.damaged;
        switch (random_() % 4) {
        case 0: break;
        case 1: put(static_cast<uint8_t>(random_())); break;
        default: put(byte ^ static_cast<uint8_t>(1u << random_() % 8)); break;
        }
    }

private:
    double rate_;
    std::mt19937 random_;
    Counts &counts_;
};

// Drives a line: start bit, eight bits with the lowest first, stop bit.
class Writer {
public:
    explicit Writer(int divisor) : divisor_(divisor) {}
    bool idle() const { return !bits_; }
    void put(uint8_t byte) { shift_ = 0x200u | byte << 1; bits_ = 10; wait_ = divisor_; }
    int level() {
        if (!bits_) return 1;
        const int level = shift_ & 1;
        if (!--wait_) { shift_ >>= 1; --bits_; wait_ = divisor_; }
        return level;
    }

private:
    int divisor_, bits_ = 0, wait_ = 0;
    uint32_t shift_ = 0;
};

// Watches a line; take() gives a byte in the cycle in which its stop bit has been seen.
class Reader {
public:
    explicit Reader(int divisor) : divisor_(divisor) {}
    bool idle() const { return !bits_; }
    bool take(int level, uint8_t &byte) {
        if (!bits_) {
            if (!level) { bits_ = 10; wait_ = divisor_ / 2; }
            return false;
        }
        if (--wait_) return false;
        wait_ = divisor_;
        if (--bits_ == 9) return false;       // the start bit
        if (bits_) { shift_ = shift_ >> 1 | level << 7; return false; }
        byte = static_cast<uint8_t>(shift_);
        return level;
    }

private:
    int divisor_, bits_ = 0, wait_ = 0;
    uint32_t shift_ = 0;
};

int open_terminal() {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    // Keep the other end open: the terminal outlives the programs that use it.
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    termios raw{};
    if (slave < 0 || tcgetattr(slave, &raw)) return -1;
    cfmakeraw(&raw);
    if (tcsetattr(slave, TCSANOW, &raw)) return -1;
    fcntl(master, F_SETFL, O_NONBLOCK);
    return master;
}

void send(int fd, const std::deque<uint8_t> &bytes) {
    for (const uint8_t byte : bytes)
        while (write(fd, &byte, 1) < 0) {
            pollfd full{fd, POLLOUT, 0};
            poll(&full, 1, 100);
        }
}

}  // namespace

int main(int argc, char **argv) {
    int divisor = 0;
    double rate = 0;
    uint32_t seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!std::strcmp(argv[i], "--divisor")) divisor = std::atoi(argv[i + 1]);
        else if (!std::strcmp(argv[i], "--damage")) rate = std::atof(argv[i + 1]);
        else if (!std::strcmp(argv[i], "--seed")) seed = std::atoi(argv[i + 1]);
        else return 2;
    }
    if (divisor < 4) return 2;
    const int terminal = open_terminal();
    if (terminal < 0) { std::perror("virtual-board"); return 1; }
    std::printf("port %s\n", ptsname(terminal));
    std::fflush(stdout);

    VerilatedContext context;
    Vboard board{&context};
    Counts counts;
    Noise in(rate, seed, counts), out(rate, seed + 1, counts);
    Writer writer(divisor);
    Reader reader(divisor);
    std::deque<uint8_t> waiting, answers;
    uint64_t quiet = 0;
    const auto cycle = [&] {
        board.clk = 0;
        board.eval();
        board.clk = 1;
        board.eval();
        ++counts.cycles;
    };
    board.rx = 1;
    board.rst = 1;
    for (int i = 0; i < 4; ++i) cycle();
    board.rst = 0;

    for (;;) {
        if (counts.cycles % kLook == 0 || quiet >= kQuiet) {
            pollfd ends[2] = {{terminal, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
            if (waiting.size() >= kWaiting) ends[0].events = 0;
            poll(ends, 2, quiet >= kQuiet ? 1000 : 0);
            if (ends[1].revents) {
                char ignored[64];
                if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) break;
            }
            if (ends[0].revents & POLLIN) {
                uint8_t bytes[1024];
                const ssize_t got = read(terminal, bytes, sizeof bytes);
                for (ssize_t i = 0; i < got; ++i)
                    in.pass(bytes[i], [&](uint8_t byte) { waiting.push_back(byte); });
                if (got > 0) { counts.received += got; quiet = 0; }
            } else if (quiet >= kQuiet) {
                continue;
            }
        }
        if (writer.idle() && !waiting.empty()) {
            writer.put(waiting.front());
            waiting.pop_front();
        }
        board.rx = writer.level();
        cycle();
        uint8_t byte;
        if (reader.take(board.tx, byte)) {
            ++counts.sent;
            out.pass(byte, [&](uint8_t passed) { answers.push_back(passed); });
            send(terminal, answers);
            answers.clear();
        }
        const bool still = writer.idle() && waiting.empty() && reader.idle() &&
                           !board.running && !board.serving;
        quiet = still ? quiet + 1 : 0;
    }
    std::printf("{\"cycles\": %llu, \"received\": %llu, \"sent\": %llu, \"damaged\": %llu}\n",
                static_cast<unsigned long long>(counts.cycles),
                static_cast<unsigned long long>(counts.received),
                static_cast<unsigned long long>(counts.sent),
                static_cast<unsigned long long>(counts.damaged));
    return 0;
}
