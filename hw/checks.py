"""What a descriptor must fulfil before it is begun: all that one descriptor alone can tell.

Together with what is found while it runs, no descriptor makes the engine write outside its window,
run without end, or end as if all were well while a size had wrapped:

- `Loader`: the band ends within the activation buffer;
- `Weights`: the stream is as long as its blocks;
- `Sequencer`: the blocks are as many as the taps, the tiles as many as the pixels;
- `BurstSplitter`: every burst lies within the window.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from .array import has_separate
from .codec.layout import unit_bytes
from .config import SEGMENTS, EngineConfig
from .descriptor import VERSION, ErrorCode, Mode, Op
from .tree import times

#: Sizes that are at least 1.
POSITIVE = (
    "pixels", "tile", "tiles", "kernel_h", "kernel_w", "row_blocks", "col_blocks", "passes",
    "blocks", "weight_beats", "out_width", "out_channels", "in_width", "stride_x", "stride_y",
    "dilation_x", "dilation_y", "tail_taps",
)  # fmt: skip

#: Addresses and strides of maps that may be coded, and the bits of their codes.
CODED = {
    "load_addr": "load_bits", "load_plane_stride": "load_bits", "load_group_stride": "load_bits",
    "out_addr": "store_bits",
}  # fmt: skip

ZERO_SIDES = ("load", "store")


class Checks:
    """Judge a descriptor in two cycles: comparisons first, then the error they make.

    Parameters
    ----------
    m : Module
    config : EngineConfig
    d : View of `control.descriptor_layout`
        The descriptor; to stand still for the two cycles before ``fault`` is read.
    total : Signal(32)
        Sum of its words.

    Attributes
    ----------
    fault : Value, 8 bits
        Error code of the descriptor of the cycle before, 0 if it may run.
    """

    def __init__(self, m: Module, config: EngineConfig, d: data.View, total: Signal) -> None:
        order = (
            (ErrorCode.CHECKSUM, [total != 0]),
            (ErrorCode.VERSION, [d.version != VERSION]),
            (ErrorCode.OPERATION, [(d.op != Op.SUM) & (d.op != Op.MAX)]),
            (ErrorCode.SIZE, _sizes(config, d)),
            (ErrorCode.ADDRESS, _addresses(config, d)),
        )
        # Columns that the last column block has beyond the last output channel.
        blocks = times(d.col_blocks, config.cols)
        spare = Signal(len(blocks) + 1, name="columns_spare")
        m.d.sync += spare.eq(blocks - d.out_channels)

        self.fault: Value = Mux(0, 0, ErrorCode.NONE)
        for code, conditions in reversed(order):
            flags = Signal(len(conditions), name=f"wrong_{code.name.lower()}")
            for index, condition in enumerate(conditions):
                m.d.sync += flags[index].eq(condition)
            wrong: Any = flags.any()
            if code == ErrorCode.SIZE:
                wrong = wrong | (spare >= config.cols)  # negative: a large one
            self.fault = Mux(wrong, code, self.fault)


def _sizes(config: EngineConfig, d: data.View) -> list[Value]:
    """Return what is wrong with the sizes, each to be false in a good descriptor."""
    byte_bits = (config.bus_bytes - 1).bit_length()
    wrong = [d[name] == 0 for name in POSITIVE]
    wrong += [
        d.tile > config.hold,
        d.passes > config.max_passes,
        d.tail_taps > config.window,
        d.weight_beats[-byte_bits:] != 0,  # more than the address space holds
        # Held weights are one block: its beats would hold off the watchdog for months.
        d.hold_weights & ((d.row_blocks != 1) | (d.passes != 1)),
        (d.in_width > d.load_words) & (d.load_words != 0),
        d.in_height > d.load_words,
        d.out_width > d.pixels,
        d.lo > d.hi,
        d.buffer_base >= config.buffer_words,
    ]
    for name in ("load_planes", "load_groups"):
        wrong.append((d[name] == 0) & (d.load_words != 0))
    if config.act_bits < 8:
        wrong.append(d.hi[config.act_bits :] != 0)
    if not has_separate(config):
        wrong.append(d.mode == Mode.SEPARATE)
    if config.window == 1:
        wrong.append(d.mode == Mode.PACKED)
    if not config.leaky:
        wrong.append(d.slope != 0)
    return wrong + _codec(config, d) + (_zeros(config, d) if config.zero_maps else [])


def _codec(config: EngineConfig, d: data.View) -> list[Value]:
    """Return what is wrong with the codec's fields; without one the bits alone are looked at."""
    wrong = [d[name] > config.codec_bits for name in ("load_bits", "store_bits")]
    if not config.codec_bits:
        return wrong
    planes = times(d.col_blocks, config.cols // config.rows)
    for name, bits in (("levels", d.load_bits), ("thresholds", d.store_bits)):
        count = d[f"{name}_planes"]
        wrong.append((count != 0) & (bits == 0))
        wrong.append((count != 0) & (d[f"{name}_base"] + count > config.codec_planes))
    wrong.append((d.load_bits != 0) & (d.levels_plane >= config.codec_planes))
    beyond = d.thresholds_plane + planes > config.codec_planes
    return [*wrong, (d.store_bits != 0) & beyond]


def _zeros(config: EngineConfig, d: data.View) -> list[Value]:
    """Return what is wrong with the fields of maps without zeros."""
    wrong: list[Value] = []
    for side in ZERO_SIDES:
        segment = d[f"{side}_segment"]
        wrong.append(segment > config.hold)
        if config.codec_bits:
            wrong.append((segment != 0) & (d[f"{side}_bits"] != 0))
    loads, stores = d.load_segment != 0, d.store_segment != 0
    return [
        *wrong,
        loads & (d.load_skip >= d.load_segment),
        loads & (d.load_words + d.load_skip)[16],
        stores & (d.tile > (d.store_segment << (SEGMENTS - 1).bit_length())),
    ]


def alignments(config: EngineConfig) -> dict[str, int]:
    """Return the bytes that addresses and strides of a descriptor must be multiples of.

    Those of coded maps only of `codec.layout.unit_bytes`.
    """
    word, bus = config.word_bytes, config.bus_bytes
    return {
        "load_addr": word, "load_plane_stride": word, "load_group_stride": word,
        "weight_addr": bus, "out_addr": word, "out_plane_stride": max(word, bus),
        **({"levels_addr": word, "thresholds_addr": word} if config.codec_bits else {}),
    }  # fmt: skip


def _addresses(config: EngineConfig, d: data.View) -> list[Value]:
    """Return which addresses and strides are not aligned."""
    unit = unit_bytes(config).bit_length() - 1
    wrong: list[Value] = []
    for name, step in alignments(config).items():
        low = d[name][: step.bit_length() - 1]
        if config.codec_bits and (bits := CODED.get(name)):
            wrong.append(low[:unit] != 0)
            low = Mux(d[bits] == 0, low, 0)
        if step > 1:
            wrong.append(low != 0)
    if config.zero_maps and unit:
        wrong += [
            (d[f"{side}_segment"] != 0) & (d[f"{side}_masks"][:unit] != 0) for side in ZERO_SIDES
        ]
    return wrong
