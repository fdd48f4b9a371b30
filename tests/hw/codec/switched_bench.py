"""Switched tables in plain Python, slow and by their definition, and how circuits are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from shiftwork.hw.codec.switched import edges, packed_ranges
from shiftwork.hw.codec.switched_encoder import Part

from ..bench import holds, simulate, sink, until
from .reference import encode, heap, random_table


@dataclass
class Channel:
    """One channel's tables: sorted limits of the ranges; thresholds and levels of each range."""

    limits: list[int]
    thresholds: list[list[int]]
    levels: list[list[int]]

    def store(self, row: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return codes of a row of values, and what is read back of it."""
        codes: list[int] = []
        read: list[int] = []
        for value in row:
            at = encode(read[-1], self.limits) if read else 0
            codes.append(encode(value, self.thresholds[at]))
            read.append(self.levels[at][codes[-1]])
        return codes, read

    def read(self, codes: Sequence[int]) -> list[int]:
        """Return what is read back of a row of codes."""
        read: list[int] = []
        for code in codes:
            at = encode(read[-1], self.limits) if read else 0
            read.append(self.levels[at][code])
        return read


def random_channel(rng: Random, tables: int, bits: int, act_bits: int = 8) -> Channel:
    """Return tables, among them extremes: all entries equal, at 0, at the top or anywhere."""
    top = (1 << act_bits) - 1

    def maybe_flat(entries: list[int]) -> list[int]:
        flat = rng.choice([0, top, entries[0]])
        return [flat] * len(entries) if rng.random() < 0.3 else entries

    limits = maybe_flat(sorted(rng.randint(0, top) for _ in range(tables - 1)))
    found = [random_table(rng, bits, act_bits) for _ in range(tables)]
    return Channel(limits, [maybe_flat(t) for t, _ in found], [maybe_flat(v) for _, v in found])


def decoder_entries(
    plane: int, channels: Sequence[Channel], act_bits: int = 8
) -> list[dict[str, Any]]:
    """Return what is written of a plane to a decoder, port by port."""
    tables, codes = len(channels[0].levels), len(channels[0].levels[0])
    levels = [[level for of in channel.levels for level in of] for channel in channels]
    ranges = [
        packed_ranges(channel.limits, of, act_bits, tables)
        for channel, of in zip(channels, levels, strict=True)
    ]
    each = act_bits // (tables // 2)
    entries: list[dict[str, Any]] = []
    for n in range(tables * codes):
        if n % each == 0:
            entries.append({"w_ranges": 1, "w_values": [of[n // each] for of in ranges]})
        entries.append({
            "w_ranges": 0, "w_word": plane * tables + n // codes, "w_entry": n % codes,
            "w_values": [of[n] for of in levels],
        })  # fmt: skip
    return entries


def encoder_entries(word: int, channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """Return what is written of a word to an encoder, port by port."""
    tables = len(channels[0].levels)
    found = [edges(channel.limits, channel.thresholds, channel.levels) for channel in channels]
    parts = [(Part.EDGES, 0, 1, [heap(at) for at, _ in found]),
             (Part.NEXT, tables - 1, 0, [following for _, following in found])]  # fmt: skip
    parts += [
        (Part.THRESHOLDS, r, 1, [heap(channel.thresholds[r]) for channel in channels])
        for r in range(tables)
    ]
    return [
        {"w_part": part, "w_word": word * tables + r, "w_entry": n + first, "w_values": [*values]}
        for part, r, first, of in parts
        for n, values in enumerate(zip(*of, strict=True))
    ]  # fmt: skip


@dataclass
class Run:
    """Entries to write, words to send then, and words to come."""

    entries: list[dict[str, Any]]
    words: list[dict[str, Any]]
    want: list[Any]


def simulate_runs(dut: Any, runs: Sequence[Run], seed: int, stall: float) -> None:
    """Fill a circuit's tables, send words and compare, run after run."""
    done: list[Run] = []

    async def send(ctx: Any, words: list[dict[str, Any]], rng: Random) -> None:
        for word in words:
            while rng.random() < stall:
                ctx.set(dut.i.payload, rng.choice(words))  # says nothing, since it is not valid
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            await until(ctx, dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def feed(ctx: Any) -> None:
        for number, run in enumerate(runs):
            ctx.set(dut.w_en, 1)
            for ports in run.entries:
                for name, value in ports.items():
                    ctx.set(getattr(dut, name), value)
                await ctx.tick()
            ctx.set(dut.w_en, 0)
            await send(ctx, run.words, Random(f"in {seed} {number}"))
            while len(done) <= number:
                await ctx.tick()

    async def take(ctx: Any) -> None:
        for number, run in enumerate(runs):
            await sink(dut.o, run.want, rng=Random(f"out {seed} {number}"), stall=stall)(ctx)
            done.append(run)

    simulate(dut, feed, take, background=[holds(dut.o)])
