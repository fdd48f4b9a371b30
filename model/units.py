"""The engine's units in time, for the cycle model; each has the delays of its gateware.

What is modelled is in `hw.control`, `hw.weights`, `hw.sequencer`, `hw.drain` and `hw.storer`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..hw.codec.layout import encode_stages, word_bytes
from ..hw.config import EngineConfig
from ..hw.descriptor import DESCRIPTOR_BYTES
from ..hw.geometry import (
    AHEAD,
    JOBS,
    MIN_BLOCK_BEATS,
    SETTLE,
    TOKENS,
    Geometry,
    array_stages,
    burst_block,
    fifo_depths,
    requantise_registers,
    take_stages,
    window_stages,
)
from ..hw.registers import COUNTERS
from .bus import Bus
from .clock import Channel, Clock, Process
from .tokens import Token
from .zero_time import load_without_zeros, stored_without_zeros
from .zero_traffic import ZeroTraffic

DESCRIPTORS, LOADER, WEIGHTS = range(3)  # clients of the bus
TAKE = 3  # cycles from a block's first beat until it is at the window's first stage
LAND = (
    10  # cycles from a column block's last beat until it may be drained, without additional stages
)
REQUANTISE = 6  # cycles from an accumulator's address to the storer, but the requantiser's own
UNPACK = 2  # cycles lost from run to run of loaded words, with a codec
DECODE = 4  # cycles from a bus beat to the buffer that a codec adds
FEED = 3  # cycles from a coded token to its first beat
RUNS = 8  # tokens remembered: more than the stage holds


class Engine:
    """The units and what passes between them.

    Parameters
    ----------
    program : list of dict
        The descriptors' fields.
    config : EngineConfig
    read, write : int
        Latencies of the memory.
    zeros : ZeroTraffic

    Attributes
    ----------
    recorded : list of (int, dict)
        Layer and counters at its end, in the order in which layers end.
    end : int
        Cycles until the engine is done.
    """

    def __init__(
        self, program: list[dict[str, int]], config: EngineConfig, read: int, write: int,
        zeros: ZeroTraffic,
    ) -> None:  # fmt: skip
        self.program = program
        self.zeros = zeros
        self.config = config
        self.write_latency = write
        self.geometry = Geometry(config)
        self.requantise = REQUANTISE + len(requantise_registers(config))
        if config.codec_bits:
            self.requantise += encode_stages(config)
        self.land = LAND + window_stages(config) + array_stages(config)
        self.take = TAKE + take_stages(config)
        self.clock = clock = Clock()
        self.bus = Bus(clock, config, fifo_depths(config), read)
        self.streams, self.bands = Channel(clock, AHEAD), Channel(clock, AHEAD)
        self.sizes = Channel(clock, 2)
        self.finished = Channel(clock, 4)  # column blocks for the drain
        self.tokens = Channel(clock, TOKENS)
        self.jobs = Channel(clock, JOBS)
        self.progress = clock.signal()
        self.computed = self.stored = 0
        self.block_ready = False  # a block of codes waits
        self.block_free = True  # its register may be filled
        self.blocks = clock.signal()
        self.records_free = self.banks_free = 2
        self.released = clock.signal()
        self.counts = dict.fromkeys((name for name, _ in COUNTERS), 0)
        self.recorded: list[tuple[int, dict[str, int]]] = []
        self.collected = Channel(clock, 1)
        self.offered = False  # the stage holds a token that the storer has not taken
        self.accepted_at = self.answered = 0
        self.granted: deque[int] = deque()  # from when each plane's data may go
        self.asked = clock.signal()
        # Read from the stage: lines until then, cycle of the end, lines, cycles.
        self.runs: deque[tuple[int, int, int, int]] = deque()
        self.lines_read = clock.signal()
        self.end = 0

    def run(self) -> None:
        for unit in (self._control(), self._requests(), self._weights(), self._sequencer(),
                     self._drain(), self._addresses(), self._data()):  # fmt: skip
            self.clock.start(unit)
        self.clock.run()
        assert len(self.recorded) == len({d["layer"] for d in self.program}), "the program hangs"

    def totals(self) -> dict[str, int]:
        totals = self.counts | {"busy": self.clock.now, "read": self.bus.beats}
        totals["wait_other"] = self.other(totals)
        return totals

    def other(self, totals: dict[str, int]) -> int:
        spent = ("compute", "wait_weights", "wait_load", "wait_drain")
        return max(0, totals["busy"] - sum(totals[name] for name in spent))

    # Control and loading

    def _control(self) -> Process:
        clock, config = self.clock, self.config
        beats = DESCRIPTOR_BYTES // config.bus_bytes
        yield 1
        for number, d in enumerate(self.program):
            yield from self.bus.request(DESCRIPTORS, number * beats, beats)
            yield from self.bus.take(DESCRIPTORS, beats)
            yield 3  # sum, judge, check
            yield from self.streams.put(d)
            yield 1
            while self.stored < d["wait"] or self.computed < d["free"]:
                yield self.progress
            if config.codec_bits:
                yield from self._load_tables(d)
            if d["load_words"] and d["load_segment"]:
                yield from load_without_zeros(
                    clock, self.bus, config, self.zeros.loads(d), d["load_segment"]
                )
            elif d["load_words"]:
                clock.start(self._ask(self._load_runs(d), d["load_bits"]))
                for words, first in self._load_runs(d):
                    count = self._run_beats(words, first, d["load_bits"])
                    yield from self.bus.take(LOADER, count, words)
                    if config.codec_bits:
                        yield UNPACK
                yield 2 + (DECODE if config.codec_bits else 0)
            else:
                yield 2
            yield from self.bands.put(d)
            yield 1

    def _load_runs(self, d: dict[str, int]) -> list[tuple[int, int]]:
        """Return (words, byte address) of every run."""
        return [
            (
                d["load_words"],
                (d["load_addr"] + group * d["load_group_stride"]
                 + plane * d["load_plane_stride"]) & 0xFFFFFFFF,
            )
            for group in range(d["load_groups"])
            for plane in range(d["load_planes"])
        ]  # fmt: skip

    def _load_tables(self, d: dict[str, int]) -> Process:
        geometry = self.geometry
        for name, bits, cycles in (
            ("levels", d["load_bits"], 1), ("thresholds", d["store_bits"], geometry.granules),
        ):  # fmt: skip
            yield 1
            if words := d[f"{name}_planes"] << bits:
                address = d[f"{name}_addr"]
                self.clock.start(self._ask([(words, address)], 0))
                beats = self._run_beats(words, address, 0)
                yield from self.bus.take(LOADER, beats, words * cycles)
                yield UNPACK + DECODE + 2

    def _run_beats(self, words: int, address: int, bits: int) -> int:
        size = self.config.bus_bytes
        return -(-(address + words * word_bytes(self.config, bits)) // size) - address // size

    def _ask(self, runs: list[tuple[int, int]], bits: int) -> Process:
        yield 2
        for words, address in runs:
            beats = self._run_beats(words, address, bits)
            yield from self.bus.request(LOADER, address // self.config.bus_bytes, beats)
            yield 3

    # Weights

    def _requests(self) -> Process:
        for _ in self.program:
            d: Any = yield from self.streams.look()
            yield from self.sizes.put(d)
            self.streams.drop()
            yield 1
            first = d["weight_addr"] // self.config.bus_bytes
            for _ in range(d["tiles"]):
                yield from self.bus.request(WEIGHTS, first, d["weight_beats"])
                yield 1

    def _weights(self) -> Process:
        config = self.config
        for _ in self.program:
            d: Any = yield from self.sizes.look()
            self.sizes.drop()
            yield 1
            for _ in range(d["tiles"] * d["col_blocks"]):
                while not self.records_free:
                    yield self.released
                self.records_free -= 1
                yield 1
                yield from self.bus.take(WEIGHTS, config.cols * config.parameter_beats)
                for _ in range(d["blocks"]):
                    while not self.block_free:
                        yield self.blocks
                    yield from self.bus.take(WEIGHTS, config.block_beats)
                    self.block_free, self.block_ready = False, True
                    self.blocks.notify()

    def _taken(self) -> None:
        self.block_free = True
        self.blocks.notify()

    # Computing

    def _sequencer(self) -> Process:
        clock, config, counts = self.clock, self.config, self.counts
        idle = 1
        for number, _ in enumerate(self.program):
            d: Any = yield from self.bands.look()
            self.bands.drop()
            counts["wait_load"] += clock.now - idle + 1
            yield SETTLE + 1
            beats = d["kernel_h"] * d["kernel_w"] * d["row_blocks"] * d["passes"]
            # With held weights one block of codes serves all of a column block.
            codes, each = (1, beats) if d["hold_weights"] else (beats, 1)
            for tile in range(d["tiles"]):
                pixels = min(d["tile"], d["pixels"] - tile * d["tile"])
                length = pixels + (MIN_BLOCK_BEATS - 1 if pixels < MIN_BLOCK_BEATS else 0)
                for column in range(d["col_blocks"]):
                    since = clock.now
                    while not self.banks_free:
                        yield self.released
                    self.banks_free -= 1
                    counts["wait_drain"] += clock.now - since
                    for _ in range(codes):
                        since = clock.now
                        while not self.block_ready:
                            yield self.blocks
                        counts["wait_weights"] += clock.now - since
                        self.block_ready = False
                        clock.call(self.take, self._taken)
                        yield length * each
                    counts["compute"] += pixels * beats
                    channel = column * config.cols
                    plane, lane = divmod(channel, config.rows)
                    channels = min(config.cols, d["out_channels"] - channel)
                    token = Token(
                        d["out_addr"] + plane * d["out_plane_stride"]
                        + tile * d["tile"] * word_bytes(config, d["store_bits"]),
                        d["out_plane_stride"], pixels, lane, channels,
                        tile + 1 == d["tiles"] and column + 1 == d["col_blocks"],
                        d["layer"], bool(d["layer_last"]), d["store_bits"],
                        self.zeros.stores(d, tile, pixels, plane, lane + channels),
                    )  # fmt: skip
                    clock.call(self.land - 2, lambda t=token: clock.start(self.finished.put(t)))
                following = min(d["tile"], d["pixels"] - (tile + 1) * d["tile"])
                if 0 < following < MIN_BLOCK_BEATS:
                    yield SETTLE
            self.computed = number + 1
            self.progress.notify()
            idle = clock.now

    # Draining and storing

    def _drain(self) -> Process:
        clock, geometry = self.clock, self.geometry
        put = 0  # lines written so far
        while True:
            token: Any = yield from self.finished.look()
            yield from self.tokens.put(token)
            self.finished.drop()
            yield 2
            start = clock.now
            length = token.pixels * geometry.groups
            put += self._lines(token)
            yield length
            while self.offered or self._free_at(put - geometry.lines + 1) is None:
                yield self.lines_read
            free = self._free_at(put - geometry.lines + 1) or 0
            end = max(start, self.accepted_at + 2 - self.requantise) + length
            yield max(end - clock.now, free - clock.now, 0)
            self.banks_free += 1
            self.records_free += 1
            self.released.notify()
            self.offered = True
            clock.call(self.requantise, lambda t=token: clock.start(self.collected.put(t)))

    def _lines(self, token: Token) -> int:
        slot = (
            0
            if token.bits or token.zeros
            else token.addr // self.config.word_bytes % self.geometry.slots
        )
        return -(-(token.pixels + slot) // self.geometry.slots)

    def _beats(self, token: Token) -> int:
        """Return the bus beats of one plane of a token."""
        return self._run_beats(token.pixels, token.addr, token.bits)

    def _free_at(self, line: int) -> int | None:
        """Return the cycle from which the storer has read so many lines, if that is known."""
        if line <= 0:
            return 0
        for last, end, count, cycles in self.runs:
            if line <= last:
                whole = self.geometry.planes > 1
                return end if whole else end - (last - line) * cycles // count
        return None

    def _addresses(self) -> Process:
        clock, config = self.clock, self.config
        splitter_free = 0
        number = 0
        while True:
            token: Any = yield from self.collected.look()
            self.collected.drop()
            self.tokens.drop()
            yield from self.jobs.put(token)
            self.accepted_at, self.offered = clock.now, False
            self.lines_read.notify()
            yield 1
            beats = self._beats(token)
            block = burst_block(config.burst_beats)
            for plane in range(self._planes(token)):
                if splitter_free > clock.now:
                    yield splitter_free - clock.now
                first = (token.addr + plane * token.stride) // config.bus_bytes % block
                bursts = -(-(first + beats) // block)
                self.granted.append(clock.now + 3)
                self.asked.notify()
                splitter_free = clock.now + 2 * bursts + 1
                yield 1
            number += 1
            if token.last:
                while self.answered < number:
                    yield self.progress
                yield 1
                self.stored += 1
                self.end = clock.now + 2
                if token.layer_last:
                    self.recorded.append((token.layer, self.totals()))
                self.progress.notify()
                yield 1

    def _planes(self, token: Token) -> int:
        return -(-(token.lane + token.channels) // self.config.rows)

    def _data(self) -> Process:
        clock = self.clock
        read = 0  # lines
        landed = 0  # cycle after the last beat that landed
        while True:
            token: Any = yield from self.jobs.look()
            yield 1
            lines = self._lines(token)
            for plane in range(self._planes(token)):
                yield 1
                while not self.granted:
                    yield self.asked
                granted = self.granted.popleft()
                start = max(clock.now, granted)
                beats = self._beats(token)
                cycles = max(beats, token.pixels) + FEED if token.bits else beats
                if token.zeros:
                    beats, cycles = stored_without_zeros(token.zeros[plane], self.config.bus_bytes)
                if plane + 1 == self._planes(token):
                    read += lines
                    self.runs.append((read, start + cycles, lines, cycles))
                    if len(self.runs) > RUNS:
                        self.runs.popleft()
                    self.lines_read.notify()
                self.counts["written"] += beats
                landed = max(start + 2, granted + 1 + self.write_latency, landed) + cycles
                yield start + cycles - clock.now
            clock.call(landed + 1 - clock.now, self._answer)
            self.jobs.drop()

    def _answer(self) -> None:
        self.answered += 1
        self.progress.notify()
