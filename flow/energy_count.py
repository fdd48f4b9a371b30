"""What one picture moves in an engine: beats of the array and bits of every memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..hw.config import EngineConfig
from ..hw.descriptor import Mode
from ..model.cycles import predict_cycles
from ..model.program import Program

WHOLE = (Mode.MERGED, Mode.SEPARATE)  # modes that use every lane of all words of the window


@dataclass(frozen=True, kw_only=True)
class Accesses:
    """Counts of one picture.

    Attributes
    ----------
    cycles, beats : int
        Cycles of the engine; those among them in which the array computes.
    blocks : int
        Blocks of weights the array takes: in so many beats its weight registers change.
    weight_bits : int
        Bits of codes among the bits read from external memory.
    buffer_read, buffer_written : int
        Bits of the activation buffer.
    sums : int
        Accumulators read or written, each for all columns.
    outputs : int
        Accumulators that go through the requantiser, those of columns without a channel too.
    fifo : int
        Bits written to the queue of weights, as many as are read from it.
    read, written : int
        Bits of external memory.
    streams : tuple of (int, int)
        Of each layer, bits of codes: all of them once, and as often as they are read.
    """

    cycles: int
    beats: int
    blocks: int
    weight_bits: int
    buffer_read: int
    buffer_written: int
    sums: int
    outputs: int
    fifo: int
    read: int
    written: int
    streams: tuple[tuple[int, int], ...] = ()

    @property
    def map_bits(self) -> int:
        """Bits of external memory but for codes: maps, and what describes layers."""
        return self.read + self.written - self.weight_bits


def count_accesses(
    program: Program, config: EngineConfig, tensors: Mapping[str, Any] | None = None
) -> Accesses:
    """Count what a program needs of an engine, by the cycle model and the descriptors.

    Only accesses whose data are used count. The emitted Verilog makes no others, but for engines
    of ``window`` 1, which read the activation buffer in every cycle.

    Parameters
    ----------
    program : Program
    config : EngineConfig
    tensors : mapping of str to array, optional
        Values of maps stored without zeros, as for ``predict_cycles``.

    Raises
    ------
    ValueError
        If the program is damaged.
    """
    predicted = predict_cycles(program, config, tensors=tensors)
    word = config.rows * config.act_bits
    beats = blocks = weight_beats = words_read = words_written = sums = drained = fifo_beats = 0
    streams: dict[int, tuple[int, int]] = {}
    for d in program.descriptors():
        steps = d["kernel_h"] * d["kernel_w"] * d["row_blocks"] * d["passes"]
        pixels = d["pixels"] * d["col_blocks"]
        taken = d["tiles"] * d["col_blocks"] * (1 if d["hold_weights"] else steps)
        beats += pixels * steps
        blocks += taken
        weight_beats += taken * config.block_beats
        block = config.block_beats * config.bus_bits
        once = d["col_blocks"] * (1 if d["hold_weights"] else steps) * block
        before = streams.get(d["layer"], (0, 0))[1]
        streams[d["layer"]] = once, before + taken * block
        words_read += pixels * steps * (config.window if d["mode"] in WHOLE else 1)
        words_written += d["load_words"] * d["load_planes"] * d["load_groups"]
        # The first beat of a pixel reads no sum; at the end each is read once more.
        sums += pixels * (2 * steps - 1) + pixels
        drained += pixels
        fifo_beats += d["tiles"] * d["weight_beats"]
    assert beats == predicted.totals["compute"], "the descriptors and the cycle model differ"
    return Accesses(
        cycles=predicted.cycles, beats=beats, blocks=blocks,
        weight_bits=weight_beats * config.bus_bits, buffer_read=words_read * word,
        buffer_written=words_written * word, sums=sums, outputs=drained * config.cols,
        fifo=fifo_beats * config.bus_bits,
        read=8 * predicted.bytes_read, written=8 * predicted.bytes_written,
        streams=tuple(streams.values()),
    )  # fmt: skip
