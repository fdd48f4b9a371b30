"""One layer in the terms of the array: what `lower` makes and `compile` packs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..hw.config import PARAMETER_BYTES, EngineConfig
from ..hw.descriptor import Mode, Op
from ..hw.record import pack_record
from .bands import Band, Window, Work, cut_bands
from .means import Counts
from .packing import pack_bits
from .segments import cut_segments

NOTHING = pack_record(0, (0, 0, 0, 0), (0, 0, 0, 0), 0)  # of a column without a channel


@dataclass(frozen=True, eq=False)
class Lowered:
    """One layer on the array.

    Attributes
    ----------
    window : Window
        Geometry, kernel columns counted in steps of ``window_step`` words.
    blocks : ndarray int8 (column blocks, blocks, cols x rows)
        Weight stream; with ``held`` one block serves all taps of a column block.
    row_blocks : int
        Planes read per column block and kernel step.
    tail_taps : int
        Words in use in the last step of a kernel row.
    records : list of bytes
        One requantiser record per output slot.
    counts : Counts, optional
        Of a pool whose output pixels differ in their records.
    whole : int
        Count of the pixels that ``records`` is for.
    variants : tuple of (int, list of bytes)
        The other counts, and the records of their pixels.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    window: Window
    op: Op
    mode: Mode
    blocks: np.ndarray
    held: bool
    row_blocks: int
    passes: int
    records: list[bytes]
    lo: int
    hi: int
    pad_value: int
    macs: int
    tail_taps: int = 1
    step: int = 1  # pixels from one kernel step to the next
    slope: int = 0  # packed terms of a leaky ReLU
    zero: int = 0
    counts: Counts | None = None
    whole: int = 0
    variants: tuple[tuple[int, list[bytes]], ...] = ()

    @property
    def beats_per_pixel(self) -> int:
        """Beats of one pixel of one column block."""
        kh, steps = self.window.kernel
        return kh * steps * self.row_blocks * self.passes

    def column_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of one column block in the weight stream."""
        return (
            config.cols * PARAMETER_BYTES
            + self.blocks.shape[1] * config.block_beats * config.bus_bytes
        )

    def stream(self, config: EngineConfig) -> bytes:
        """Return the weight streams, one after another, the first with ``records``.

        Each has for each column block its records, then its blocks.
        """
        parts = []
        for every in (self.records, *(records for _, records in self.variants)):
            for index, block in enumerate(self.blocks):
                records = every[index * config.cols : (index + 1) * config.cols]
                parts += records + [NOTHING] * (config.cols - len(records))
                parts.append(pack_bits(block, config.code_bits, config.bus_bits))
        return b"".join(parts)

    def bands(self, config: EngineConfig, segment: int = 0) -> list[Band]:
        """Return the bands the layer is cut into, see `cut_bands`."""
        if self.counts is None:
            work = Work(self.beats_per_pixel, len(self.blocks))
            return cut_bands(self.name, self.window, work, config, segment)
        columns = (self.window.kernel[1] - 1) * self.step + self.tail_taps
        order = [self.whole, *(count for count, _ in self.variants)]
        return cut_segments(self.name, self.window, columns, self.counts, order, config)
