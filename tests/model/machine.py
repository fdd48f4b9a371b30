"""A slow engine in Python: runs descriptors from memory, with all the overlap that is allowed.

It loads as early and stores as late as the descriptors let it, so that a missing wait, or two
bands in one place of the buffer, spoils the result; or ``eager`` the other way round, so that
memory that is written before its time does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shiftwork.hw.array import has_separate
from shiftwork.hw.codec.layout import word_bytes
from shiftwork.hw.config import PARAMETER_BYTES, EngineConfig
from shiftwork.hw.descriptor import DESCRIPTOR_BYTES, Mode, Op, unpack_descriptor
from tests.terms import lane_sum

from .streams import Record, block, read_record

AHEAD = 5  # bands that may be loaded and not yet begun
Coded = tuple[int, int]  # bits of a code, plane of its thresholds
Store = tuple[int, np.ndarray, Coded | None]  # address and bytes, or values of a word yet to code


@dataclass
class Machine:
    """An engine and its memory, uint8 (bytes,) from address ``base`` on."""

    config: EngineConfig
    memory: np.ndarray
    base: int = 0
    eager: bool = False

    def run(self, first: int) -> None:
        """Run the program whose first descriptor is at byte address ``first``."""
        self.buffer = np.zeros((self.config.buffer_words, self.config.rows), np.int64)
        tables = self.config.codec_planes, 1 << self.config.codec_bits, self.config.rows
        self.levels, self.thresholds = np.zeros((2, *tables), np.int64)
        self.unstored: list[list[Store]] = []
        self.stored = self.computed = 0
        program = [self.fetch(first)]
        while not program[-1]["last"]:
            program.append(self.fetch(first + len(program) * DESCRIPTOR_BYTES))
        loaded = 0
        for number, d in enumerate(program):
            ahead = 0 if self.eager else AHEAD
            while loaded < min(number + ahead + 1, len(program)):
                following = program[loaded]
                if max(following["wait"], following["free"]) > self.computed:
                    break
                self.load(following)
                loaded += 1
            assert loaded > number, f"descriptor {number} waits for ever"
            self.unstored.append(self.compute(d))
            self.computed += 1
            if self.eager:
                self.store(self.computed)
        self.store(self.computed)

    def bytes(self, address: int, count: int) -> np.ndarray:
        at = address - self.base
        assert 0 <= at and at + count <= len(self.memory), f"{count} bytes at {address:#x}"
        return self.memory[at : at + count]

    def fetch(self, address: int) -> dict[str, int]:
        return unpack_descriptor(self.bytes(address, DESCRIPTOR_BYTES).tobytes())

    def store(self, count: int) -> None:
        """Store the outputs of the first ``count`` descriptors."""
        while self.stored < count:
            for address, data, coded in self.unstored.pop(0):
                stored = data if coded is None else self.encode(data, *coded)
                self.bytes(address, len(stored))[:] = stored
            self.stored += 1

    def load(self, d: dict[str, int]) -> None:
        config = self.config
        self.store(d["wait"])
        for name, memory in (("levels", self.levels), ("thresholds", self.thresholds)):
            bits = d["load_bits" if name == "levels" else "store_bits"]
            for n in range(d[f"{name}_planes"]):
                address = d[f"{name}_addr"] + (n << bits) * config.word_bytes
                found = self.bytes(address, config.word_bytes << bits)
                entries = found.reshape(-1, config.word_bytes)[:, : config.rows]
                memory[d[f"{name}_base"] + n, : 1 << bits] = entries
        at, bits, table = d["buffer_base"], d["load_bits"], d["levels_plane"]
        word = word_bytes(config, bits)
        for group, plane in np.ndindex(d["load_groups"], d["load_planes"]):
            address = d["load_addr"] + group * d["load_group_stride"]
            address = (address + plane * d["load_plane_stride"]) & 0xFFFFFFFF
            if d["load_segment"] and d["load_words"]:
                lanes = self.with_zeros(d, address, d["load_masks"] + address - d["load_addr"])
                self.buffer[at : at + len(lanes)] = lanes
                at += len(lanes)
                continue
            words = self.bytes(address, d["load_words"] * word).reshape(-1, word)
            lanes = self.decode(words, bits, table) if bits else words[:, : config.rows]
            table += 1
            assert at + len(lanes) <= config.buffer_words
            self.buffer[at : at + len(lanes)] = lanes & (1 << config.act_bits) - 1
            at += len(lanes)

    def with_zeros(self, d: dict[str, int], address: int, masks: int) -> np.ndarray:
        """Return a run of words (words, rows) of a map stored without zeros."""
        rows, size = self.config.rows, word_bytes(self.config, 1)
        found = np.zeros((d["load_skip"] + d["load_words"], rows), np.int64)
        at = address
        for pixel, word in enumerate(found):
            segment, inside = divmod(pixel, d["load_segment"])
            if not inside:
                at = address + segment * d["load_segment"] * self.config.word_bytes
            mask = self.bytes(masks + pixel * size, size)
            used = np.unpackbits(mask, bitorder="little")[:rows] != 0
            word[used] = self.bytes(at, int(used.sum()))
            at += int(used.sum())
        return found[d["load_skip"] :]

    def without_zeros(self, d: dict[str, int], stores: list[Store]) -> list[Store]:
        """Return the stores of a column block's plane, values of words, as they are stored."""
        packed: list[Store] = []
        at = 0
        for address, values, _ in stores:
            pixel = (address - d["out_addr"]) % d["out_plane_stride"] // self.config.word_bytes
            plane = (address - d["out_addr"]) // d["out_plane_stride"]
            if pixel % d["store_segment"] == 0:
                at = address
            mask = np.packbits(values != 0, bitorder="little")
            base = d["store_masks"] + plane * d["out_plane_stride"]
            packed.append((base + pixel * len(mask), mask, None))
            used = values[values != 0].astype(np.uint8)
            if len(used):
                packed.append((at, used, None))
            at += len(used)
        return packed

    def decode(self, words: np.ndarray, bits: int, plane: int) -> np.ndarray:
        """Return the values of coded words, (words, rows)."""
        rows = self.config.rows
        planes = np.unpackbits(words, 1, bitorder="little")[:, : bits * rows]
        codes = (planes.reshape(-1, bits, rows) << np.arange(bits)[:, None]).sum(1)
        return np.take_along_axis(self.levels[plane], codes, 0)

    def encode(self, values: np.ndarray, bits: int, plane: int) -> np.ndarray:
        """Return the bytes of one coded word of values (rows,)."""
        tree, codes = self.thresholds[plane], np.zeros(len(values), np.int64)
        for stage in range(bits):
            reached = values >= tree[(1 << stage) + codes, np.arange(len(values))]
            codes = 2 * codes + reached
        planes = codes >> np.arange(bits)[:, None] & 1
        return np.packbits(planes.astype(np.uint8), bitorder="little")

    def words(self, d: dict[str, int], pixels: np.ndarray, base: int, ky: int, kx: int):
        """Return the words that a kernel step reads for some pixels, (pixels, window, rows)."""
        y, x = pixels // d["out_width"], pixels % d["out_width"]
        if d["upsample"]:
            y, x = y // 2, x // 2
        row = (y * d["row_jump"] + ky * d["tap_jump"] + d["base_offset"])[:, None] + d["pad_left"]
        y = (y * d["stride_y"] + ky * d["dilation_y"] - d["pad_top"])[:, None]
        index = np.arange(self.config.window)
        x = (x * d["stride_x"] + kx * d["dilation_x"] - d["pad_left"])[:, None] + index
        real = (y >= 0) & (y < d["in_height"]) & (x >= 0) & (x < d["in_width"])
        if kx == d["kernel_w"] - 1:
            real &= index < d["tail_taps"]
        # Planes beyond the band are read where codes are 0: from anywhere in the buffer.
        found = self.buffer[(base + row + x) % self.config.buffer_words]
        return np.where(real[:, :, None], found, d["pad_value"] & (1 << self.config.act_bits) - 1)

    def rows(self, mode: int, words: np.ndarray) -> np.ndarray:
        """Return what the rows of each column are, (pixels, 1 or cols, rows)."""
        window, rows = self.config.window, self.config.rows
        if mode == Mode.PACKED:
            return words[:, :, : rows // window].reshape(len(words), 1, rows)
        if mode == Mode.MERGED:
            return words.max(1)[:, None]
        if mode == Mode.SEPARATE:
            assert has_separate(self.config)
            own = np.repeat(words[:, :1], rows, 1)
            own[:, :, :window] = words.transpose(0, 2, 1)
            return own
        return words[:, :1]

    def compute(self, d: dict[str, int]) -> list[Store]:
        """Return what a descriptor stores."""
        config = self.config
        stores: list[Store] = []
        for tile in range(d["tiles"]):
            pixels = np.arange(tile * d["tile"], min((tile + 1) * d["tile"], d["pixels"]))
            stream = self.bytes(d["weight_addr"], d["weight_beats"] * config.bus_bytes).tobytes()
            for column in range(d["col_blocks"]):
                channel = column * config.cols
                records, stream = self.records(stream)
                acc, stream = self.accumulate(d, pixels, column, stream)
                if d["store_bits"] or d["store_segment"]:
                    stores += self.coded(d, acc, records, pixels, column)
                    continue
                for col in range(min(config.cols, d["out_channels"] - channel)):
                    plane, lane = divmod(channel + col, config.rows)
                    start = d["out_addr"] + plane * d["out_plane_stride"] + lane
                    values = records[col].apply(acc[:, col], d["lo"], d["hi"])
                    stores += [
                        (start + int(pixel) * config.word_bytes, values[i : i + 1], None)
                        for i, pixel in enumerate(pixels)
                    ]
            assert not stream, "weights are left over"
        return stores

    def coded(
        self, d: dict[str, int], acc: np.ndarray, records: list[Record], pixels: np.ndarray,
        column: int,
    ) -> list[Store]:  # fmt: skip
        """Return the words of a column block that are to be coded."""
        config, bits, stores = self.config, d["store_bits"], []
        first = column * config.cols // config.rows
        planes = -(-min(config.cols, d["out_channels"] - column * config.cols) // config.rows)
        values = np.stack(
            [r.apply(acc[:, c], d["lo"], d["hi"]) for c, r in enumerate(records)], 1
        ).astype(np.int64)  # fmt: skip
        for plane in range(planes):
            start = d["out_addr"] + (first + plane) * d["out_plane_stride"]
            lanes = slice(plane * config.rows, (plane + 1) * config.rows)
            table = d["thresholds_plane"] + first + plane
            if d["store_segment"]:
                real = d["out_channels"] - (first + plane) * config.rows
                values[:, lanes][:, max(real, 0) :] = 0
                stores += self.without_zeros(d, [
                    (start + int(pixel) * config.word_bytes, values[i, lanes], None)
                    for i, pixel in enumerate(pixels)
                ])  # fmt: skip
                continue
            stores += [
                (start + int(pixel) * word_bytes(config, bits), values[i, lanes], (bits, table))
                for i, pixel in enumerate(pixels)
            ]
        return stores

    def records(self, stream: bytes) -> tuple[list[Record], bytes]:
        size = self.config.cols * PARAMETER_BYTES
        parts = range(0, size, PARAMETER_BYTES)
        return [read_record(stream[i : i + PARAMETER_BYTES]) for i in parts], stream[size:]

    def accumulate(
        self, d: dict[str, int], pixels: np.ndarray, column: int, stream: bytes
    ) -> tuple[np.ndarray, bytes]:
        """Return the accumulators (pixels, cols) of a column block, and the stream's rest."""
        config = self.config
        size = config.block_beats * config.bus_bytes
        acc = np.zeros((len(pixels), config.cols), np.int64)
        taps = np.ndindex(d["kernel_h"], d["kernel_w"], d["row_blocks"], d["passes"])
        codes = None
        for ky, kx, plane, number in taps:
            if codes is None or not d["hold_weights"]:
                codes, stream = block(stream[:size], config), stream[size:]
            base = d["buffer_base"] + plane * d["row_step"]
            if d["depthwise"]:
                base += column * config.cols // config.rows * d["plane_words"]
            x = self.rows(d["mode"], self.words(d, pixels, base, ky, kx))
            to_come = config.lane_terms * (d["passes"] - 1 - number)
            sums = lane_sum(config, codes, x).sum(2) << to_come
            acc = np.maximum(acc, sums) if d["op"] == Op.MAX else acc + sums
            assert acc.max(initial=0) < 1 << config.acc_bits
        return acc, stream
