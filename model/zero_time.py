"""How long maps without zeros take, to load and to store: `hw.codec.zero_loader`, `zero_feed`."""

from __future__ import annotations

from collections.abc import Sequence

from ..hw.config import EngineConfig
from .bus import Bus
from .clock import Channel, Clock, Process
from .zero_traffic import Run

MASKS, VALUES = 3, 4  # clients of the bus
RUN = 2  # cycles lost from run to run of masks
LOAD = 5  # cycles from the last values to the buffer
FEED = 5  # cycles from the first word of a plane to its masks' first beat, or to its values
PIECE = 3  # cycles lost from segment to segment that is stored


def load_without_zeros(
    clock: Clock, bus: Bus, config: EngineConfig, runs: Sequence[Run], segment: int
) -> Process:
    """Ask for masks, count them segment by segment, ask for what they tell of and take it."""
    size = config.bus_bytes
    counted = Channel(clock, max(1, 2 * config.hold // segment))  # the queue of masks

    def ask() -> Process:
        yield 2
        for run in runs:
            yield from bus.request(
                MASKS, run.masks // size, _beats(run.masks, run.mask_bytes, size)
            )
            yield 3

    def count() -> Process:
        for run in runs:
            taken, end = run.masks // size, run.masks
            each = run.mask_bytes // sum(piece.masks for piece in run.pieces)
            for piece in run.pieces:
                end += piece.masks * each
                beats = (end - 1) // size + 1 - taken
                taken += beats
                if beats:
                    yield from bus.take(MASKS, beats, piece.masks)
                else:
                    yield piece.masks
                if beats := _beats(piece.address, piece.bytes, size):
                    yield from bus.request(VALUES, piece.address // size, beats)
                yield from counted.put(piece)
            yield RUN

    clock.start(ask())
    clock.start(count())
    for piece in (piece for run in runs for piece in run.pieces):
        yield from counted.look()
        counted.drop()
        if beats := _beats(piece.address, piece.bytes, size):
            yield from bus.take(VALUES, beats, piece.words)
        else:
            yield piece.words
    yield LOAD


def stored_without_zeros(run: Run, size: int) -> tuple[int, int]:
    """Return the bus beats of ``size`` bytes of a plane that is stored, and the cycles it takes."""
    masks = _beats(run.masks, run.mask_bytes, size)
    words = sum(piece.words for piece in run.pieces)
    sizes = [(piece.words, _beats(piece.address, piece.bytes, size)) for piece in run.pieces]
    cycles = max(masks, words) + sum(max(pair) + PIECE for pair in sizes) + 2 * FEED
    return masks + sum(beats for _, beats in sizes), cycles


def _beats(address: int, count: int, size: int) -> int:
    """Return the bus beats of some bytes, none of none."""
    return (address + count - 1) // size + 1 - address // size if count else 0
