"""What the serial engine checks of a descriptor: as `hw.checks`, by its processor."""

from __future__ import annotations

from ..checks import POSITIVE, alignments
from ..config import EngineConfig
from ..descriptor import FIELD, VERSION, ErrorCode
from .fields import HALF, Microcode, half
from .isa import Op

#: Fields of less than a half word that are used again and again: variables of the same name.
UNPACKED = ("kernel_h", "kernel_w", "stride_x", "stride_y", "dilation_x", "dilation_y", "passes",
            "pad_value", "pad_top", "pad_left", "tail_taps", "lo", "hi")  # fmt: skip
#: Byte addresses and strides, of each the word address as a variable of the same name.
ADDRESSES = ("load_addr", "load_plane_stride", "load_group_stride", "weight_addr", "out_addr",
             "out_plane_stride")  # fmt: skip
MAX_BLOCKS = 0x4000  # of which a stream is as long as the memory


def where(name: str) -> int | str:
    """Return a field's word: of its own, or the variable it is unpacked to."""
    return name if name in UNPACKED else half(name)


def error(code: ErrorCode) -> str:
    """Return the label that ends a program with an error."""
    return f"error {code.name}"


def judge(c: Microcode, config: EngineConfig) -> None:
    """Append the checks of the descriptor that has been fetched, and take it apart."""
    c.ld("sum_low")
    c.op(Op.OR, "sum_high")
    c.branch(Op.JNZ, error(ErrorCode.CHECKSUM))
    c.field("version")
    c.op(Op.XOR, c.const(VERSION))
    c.branch(Op.JNZ, error(ErrorCode.VERSION))
    c.field("op")
    c.op(Op.SUB, c.const(1))
    c.st("maximum")
    c.op(Op.AND, c.const(~1))
    c.branch(Op.JNZ, error(ErrorCode.OPERATION))
    for name in UNPACKED:
        c.field(name)
        c.st(name)
    _sizes(c, config)
    for name, step in alignments(config).items():
        c.ld(half(name))
        c.op(Op.AND, c.const(step - 1))
        c.branch(Op.JNZ, error(ErrorCode.ADDRESS))
    for name in ADDRESSES:
        c.copy("low", half(name))
        c.copy("high", half(name) + 1)
        c.call("word address")
        c.st(name)
    c.unless_not_above(half("blocks"), c.const(MAX_BLOCKS - 1), error(ErrorCode.ADDRESS))
    # What is to be done before is done, or never will be.
    for name in ("wait", "free"):
        c.ld("completed")
        c.op(Op.SUB, half(name))
        c.branch(Op.JN, error(ErrorCode.WATCHDOG))


def _sizes(c: Microcode, config: EngineConfig) -> None:
    wrong = error(ErrorCode.SIZE)
    for name in POSITIVE:
        if FIELD[name].width > HALF:
            c.ld(half(name) + 1)  # more than the memory has
            c.branch(Op.JNZ, wrong)
        c.ld(where(name))
        c.branch(Op.JZ, wrong)
    c.unless_not_above(half("weight_beats"), c.const(MAX_BLOCKS), wrong)
    c.unless_not_above(half("tile"), c.const(config.hold), wrong)
    c.unless_not_above("passes", c.const(config.max_terms), wrong)
    c.unless_not_above("tail_taps", c.const(1), wrong)
    c.unless_not_above(half("in_height"), half("load_words"), wrong)
    c.unless_not_above(half("out_width"), half("pixels"), wrong)
    c.unless_not_above("lo", "hi", wrong)
    c.unless_not_above(half("buffer_base"), c.const(config.buffer_words - 1), wrong)

    c.field("hold_weights")
    c.branch(Op.JZ, "not held")
    for name in ("row_blocks", "passes"):
        c.ld(where(name))
        c.op(Op.XOR, c.const(1))
        c.branch(Op.JNZ, wrong)
    c.label("not held")
    c.ld(half("load_words"))
    c.branch(Op.JZ, "loads nothing")
    c.unless_not_above(half("in_width"), half("load_words"), wrong)
    for name in ("load_planes", "load_groups"):
        c.ld(half(name))
        c.branch(Op.JZ, wrong)
    c.label("loads nothing")
    # Modes PACKED and SEPARATE, leaky ReLU and codes are of other engines.
    foreign = {
        "mode": 1 << FIELD["mode"].lsb % HALF,
        "slope": (1 << FIELD["slope"].width) - 1,
        "load_bits": (1 << FIELD["load_bits"].width + FIELD["store_bits"].width) - 1,
    }
    for name, mask in foreign.items():
        c.ld(half(name))
        c.op(Op.AND, c.const(mask))
        c.branch(Op.JNZ, wrong)
    # The last of the column blocks has the last output channel.
    c.ld(half("out_channels"))
    c.op(Op.ADD, c.const(config.cols - 1))
    c.alone(Op.ROR, Op.SHR)
    c.op(Op.XOR, half("col_blocks"))
    c.branch(Op.JNZ, wrong)
