"""Loading and computing a band by the serial engine's processor."""

from __future__ import annotations

from ..config import EngineConfig
from ..descriptor import ErrorCode
from .drain import RECORD_HALVES
from .fields import Microcode, half
from .isa import Input, Op, Output
from .judge import error
from .ports import MEMORY_WORDS

LOAD_CODES = 1 << 2  # bits of Output.BEATS
SHIFT_ONE = 1 << 3
RECORD_WORDS = 4  # of a channel's record in the stream


def check_inside(c: Microcode, first: int | str, words: int | str) -> None:
    """Append a check that a run of words is within the window."""
    c.copy("words", words)
    c.ld(first)
    c.call("inside")


def load(c: Microcode, config: EngineConfig) -> None:
    """Append the copying of the band to the buffer."""
    words = half("load_words")
    c.ld(words)
    c.branch(Op.JZ, "loaded")
    c.copy("groups_left", half("load_groups"))
    c.copy("group", "load_addr")
    c.copy("place", half("buffer_base"))
    c.label("load group")
    c.copy("planes_left", half("load_planes"))
    c.copy("plane", "group")
    c.label("load plane")
    check_inside(c, "plane", words)
    c.ld("place")
    c.op(Op.ADD, words)
    c.branch(Op.JC, error(ErrorCode.SIZE))
    c.st("next_place")
    c.unless_not_above("next_place", c.const(config.buffer_words), error(ErrorCode.SIZE))
    c.out(Output.MAR, "plane")
    c.ld("place")
    c.op(Op.ADD, c.const(MEMORY_WORDS - config.buffer_words))
    c.out(Output.POINTER)
    c.out(Output.COUNT, words)
    c.out(Output.COPY)
    c.copy("place", "next_place")
    c.add_to("plane", "load_plane_stride")
    c.count_down("planes_left", "load plane")
    c.add_to("group", "load_group_stride")
    c.count_down("groups_left", "load group")
    c.label("loaded")


def compute(c: Microcode, config: EngineConfig) -> None:
    """Append the loops over tiles, column blocks and taps."""
    _begin(c)
    c.label("tile")
    _tile(c)
    c.label("column")
    _column(c, config)
    _taps(c)
    _outputs(c, config)
    # The next column block.
    c.copy("stream", "stream_end")
    c.add_to("output", "out_plane_stride")
    c.add_to("column_base", "column_step")
    c.ld("channels_left")
    c.op(Op.SUB, c.const(config.cols))
    c.st("channels_left")
    c.count_down("columns_left", "column")
    # The stream is as long as its blocks, and the tiles as many as the pixels ask for.
    c.ld("stream")
    c.op(Op.XOR, "stream_of_all")
    c.branch(Op.JNZ, error(ErrorCode.SIZE))
    c.add_to("tile_output", "tile_pixels")
    c.ld("pixels_left")
    c.op(Op.SUB, "tile_pixels")
    c.st("pixels_left")
    c.branch(Op.JZ, "pixels over")
    c.count_down("tiles_left", "tile")
    c.jump(error(ErrorCode.SIZE))
    c.label("pixels over")
    c.ld("tiles_left")
    c.op(Op.XOR, c.const(1))
    c.branch(Op.JNZ, error(ErrorCode.SIZE))


def _begin(c: Microcode) -> None:
    """Work out what is the same for the whole band."""
    for port, name in ((Output.IN_WIDTH, half("in_width")), (Output.IN_HEIGHT, half("in_height")),
                       (Output.PAD, "pad_value")):  # fmt: skip
        c.out(port, name)
    c.out(Output.LIMITS, half("hi"))  # and lo: the same word
    for value in ("pad_top", "pad_left"):
        c.ldi(0)
        c.op(Op.SUB, value)
        c.st(f"minus_{value}")
    c.ld(half("buffer_base"))
    c.op(Op.ADD, half("base_offset"))
    c.st("first_base")
    c.clear("column_step")
    c.field("depthwise")
    c.branch(Op.JZ, "step known")
    c.copy("column_step", half("plane_words"))
    c.label("step known")

    # What Beats is told: of a block's first pass, and of the first block.
    c.ldi(0)
    c.op(Op.ADD, "maximum")
    c.op(Op.ADD, "maximum")
    c.st("usual")
    c.copy("pass", "passes")
    c.label("shift")
    c.count_down("pass", "shift more")
    c.jump("shift known")
    c.label("shift more")
    c.add_to("usual", c.const(SHIFT_ONE))
    c.jump("shift")
    c.label("shift known")
    c.ld("usual")
    c.op(Op.OR, c.const(LOAD_CODES | 1))
    c.st("begin")
    c.field("hold_weights")
    c.branch(Op.JNZ, "codes known")
    c.add_to("usual", c.const(LOAD_CODES))
    c.label("codes known")

    # Words of a column block's stream, and where the whole one ends.
    c.ld(half("blocks"))
    c.op(Op.ADD, half("blocks"))
    c.op(Op.ADD, c.const(4 * RECORD_WORDS))
    c.st("stream_words")
    c.ld("weight_addr")
    c.op(Op.ADD, half("weight_beats"))
    c.op(Op.ADD, half("weight_beats"))
    c.st("stream_of_all")

    c.copy("pixels_left", half("pixels"))
    c.copy("tiles_left", half("tiles"))
    c.copy("tile_output", "out_addr")
    c.ld(half("out_width"))
    c.op(Op.SUB, c.const(1))
    c.st("row_rest")
    c.st("rest")
    c.clear("x", "y", "row", "half_x", "half_y")


def _tile(c: Microcode) -> None:
    """Write the places of a tile's pixels to the table; start its columns."""
    c.ld("pixels_left")
    c.op(Op.CMP, half("tile"))
    c.branch(Op.JNC, "last tile")
    c.ld(half("tile"))
    c.label("last tile")
    c.st("tile_pixels")
    c.st("pixel")
    c.ldi(0)
    c.out(Output.INDEX)
    c.field("upsample")
    c.st("upsample")
    c.label("entry")
    c.ld("row")
    c.op(Op.ADD, "x")
    c.out(Output.ENTRY)
    c.out(Output.ENTRY, "x")
    c.out(Output.ENTRY, "y")
    c.out(Output.ENTRY)
    # On to the next pixel; where each serves two by two, every second time.
    c.ld("rest")
    c.branch(Op.JZ, "row over")
    c.op(Op.SUB, c.const(1))
    c.st("rest")
    c.ld("half_x")
    c.op(Op.XOR, "upsample")
    c.st("half_x")
    c.branch(Op.JNZ, "next entry")
    c.add_to("x", "stride_x")
    c.jump("next entry")
    c.label("row over")
    c.copy("rest", "row_rest")
    c.clear("x", "half_x")
    c.ld("half_y")
    c.op(Op.XOR, "upsample")
    c.st("half_y")
    c.branch(Op.JNZ, "next entry")
    c.add_to("y", "stride_y")
    c.add_to("row", half("row_jump"))
    c.label("next entry")
    c.count_down("pixel", "entry")

    c.copy("columns_left", half("col_blocks"))
    c.copy("channels_left", half("out_channels"))
    c.copy("column_base", "first_base")
    c.copy("stream", "weight_addr")
    c.copy("output", "tile_output")


def _column(c: Microcode, config: EngineConfig) -> None:
    check_inside(c, "stream", "stream_words")
    c.ld("stream")
    c.op(Op.ADD, "stream_words")
    c.st("stream_end")
    c.ld("stream")
    c.op(Op.ADD, c.const(config.cols * RECORD_WORDS))
    c.out(Output.POINTER)
    c.out(Output.COUNT, "tile_pixels")
    c.copy("blocks_left", half("blocks"))
    c.copy("beat", "begin")
    c.copy("row_base", "column_base")
    c.copy("tap_y", "minus_pad_top")
    c.copy("rows_left", "kernel_h")


def _taps(c: Microcode) -> None:
    """Run the blocks of a column block: kernel row, kernel column, plane, pass.

    Everything but the last lines of "pass" is done while the block before is computed.
    """
    c.label("kernel row")
    c.out(Output.TAP_Y, "tap_y")
    c.copy("tap_x", "minus_pad_left")
    c.copy("kernel_base", "row_base")
    c.copy("taps_left", "kernel_w")
    c.label("kernel column")
    c.out(Output.TAP_X, "tap_x")
    c.copy("base", "kernel_base")
    c.copy("planes_left", half("row_blocks"))
    c.label("plane")
    c.copy("pass", "passes")
    c.label("pass")
    c.ld("beat")  # are there codes to load?
    c.op(Op.AND, c.const(LOAD_CODES))
    c.branch(Op.JZ, "codes there")
    c.ld("blocks_left")
    c.branch(Op.JZ, error(ErrorCode.SIZE))
    c.op(Op.SUB, c.const(1))
    c.st("blocks_left")
    c.label("codes there")
    c.out(Output.TAP_BASE, "base")
    c.out(Output.BEATS, "beat")
    c.op(Op.SUB, c.const(SHIFT_ONE))
    c.op(Op.AND, c.const(~1))
    c.st("beat")
    c.count_down("pass", "pass")
    c.copy("beat", "usual")
    c.add_to("base", half("row_step"))
    c.count_down("planes_left", "plane")
    c.add_to("kernel_base", "dilation_x")
    c.add_to("tap_x", "dilation_x")
    c.count_down("taps_left", "kernel column")
    c.add_to("row_base", half("tap_jump"))
    c.add_to("tap_y", "dilation_y")
    c.count_down("rows_left", "kernel row")
    c.ld("blocks_left")
    c.branch(Op.JNZ, error(ErrorCode.SIZE))


def _outputs(c: Microcode, config: EngineConfig) -> None:
    """Requantise a column block's outputs and write them, some columns at a time."""
    lanes = config.requantise_lanes
    check_inside(c, "output", "tile_pixels")
    # Bytes of real channels: 15 >> the columns beyond the last.
    c.ld("channels_left")
    c.op(Op.CMP, c.const(config.cols))
    c.branch(Op.JNC, "fewer channels")
    c.ldi(config.cols)
    c.label("fewer channels")
    c.st("channels")
    c.clear("enables")
    c.label("enable")
    c.ld("enables")
    c.op(Op.ADD, "enables")
    c.op(Op.OR, c.const(1))
    c.st("enables")
    c.count_down("channels", "enable")
    c.out(Output.MAR, "stream")
    for group in range(config.cols // lanes):
        c.ldi(lanes)
        c.st("lane")
        c.label(f"record {group}")
        for index in range(2 * RECORD_WORDS):
            if index < RECORD_HALVES:
                c.read(Input.HIGH if index % 2 else Input.LOW)
                c.out(Output.RECORD)
            elif index % 2:
                c.read(Input.HIGH)  # passed over
        c.count_down("lane", f"record {group}")
        c.out(Output.POINTER, "output")
        c.ld("enables")
        mask = ((1 << lanes) - 1) << lanes * group
        c.op(Op.AND, c.const(mask))
        c.op(Op.OR, c.const(group << config.cols))
        c.out(Output.DRAIN)
