"""The layer descriptor: 32 little-endian 32-bit words, plain data for gateware and compiler.

One descriptor loads one band of input rows into the activation buffer, computes every output
channel of the band, and stores the result. Descriptors run in order; loading runs ahead as far
as the buffer allows.
All sizes that would need a multiplication are worked out by the compiler. Words and bits without a
field are reserved: to be written as 0, ignored by this version but for the checksum. So are, in
an engine without ``zero_maps``, the segments and masks, and without ``codec_bits`` what is said of
tables.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

DESCRIPTOR_WORDS = 32
DESCRIPTOR_BYTES = 4 * DESCRIPTOR_WORDS
VERSION = 3


class Op(IntEnum):
    """Operation of a descriptor."""

    SUM = 1  # accumulate the column sums: convolution, fully connected, average, residual add
    MAX = 2  # keep the largest column sum: max pooling


class Mode(IntEnum):
    """What the array's rows are in one beat, of the ``window`` neighbouring words read."""

    PLANE = 0  # the lanes of one word: rows channels of one pixel
    PACKED = 1  # the first rows / window lanes of each word: few channels, several taps
    MERGED = 2  # the lanes' maxima over the words: max pooling, several taps
    SEPARATE = 3  # column c: its own lane of each word: depthwise, several taps


class ErrorCode(IntEnum):
    """Why the engine stopped, as read from the error register."""

    NONE = 0
    CHECKSUM = 1  # the descriptor's 32 words do not add up to zero
    VERSION = 2  # the descriptor is of another version
    OPERATION = 3  # unknown operation
    SIZE = 4  # a size is zero, beyond what this engine was built for, or belies another
    READ = 5  # the memory answered a read with an error
    WRITE = 6  # the memory answered a write with an error
    WATCHDOG = 7  # nothing has moved for 2^watchdog_bits cycles
    ADDRESS = 8  # a burst would leave the window BASE..LIMIT, or an address is not aligned


@dataclass(frozen=True)
class Field:
    """One field: its place (word, lowest bit), width in bits, and meaning."""

    name: str
    word: int
    lsb: int
    width: int
    doc: str


def _fields() -> tuple[Field, ...]:
    rows: list[tuple[int, list[tuple[str, int, str]]]] = [
        (0, [("version", 8, "format of the descriptor, 3"), ("op", 8, "operation, see Op"),
             ("last", 1, "last descriptor of the program"),
             ("layer_last", 1, "last descriptor of its layer: counters are recorded"),
             ("hold_weights", 1, "one weight block serves every tap of a column block"),
             ("depthwise", 1, "column block j reads planes from floor(j cols / rows) on"),
             ("upsample", 1, "every input pixel serves two by two output pixels"),
             ("mode", 2, "what the rows of a beat are, see Mode")]),
        (1, [("layer", 16, "layer number, for errors and counters"),
             ("wait", 16, "descriptors that must be stored before loading starts")]),
        (2, [("load_addr", 32, "byte address of the first pixel word to load")]),
        (3, [("load_words", 16, "pixel words per plane, one after another; 0 loads nothing"),
             ("load_skip", 16, "words before the first in its segment, where zeros are left out")]),
        (4, [("load_masks", 32, "byte address of the masks of that segment, see load_segment")]),
        (5, [("load_planes", 16, "planes (channel blocks) per group"),
             ("load_groups", 16, "groups (tensors) to load")]),
        (6, [("load_plane_stride", 32, "bytes from one plane to the next")]),
        (7, [("load_group_stride", 32, "bytes from one group to the next")]),
        (8, [("buffer_base", 16, "buffer word where the band starts"),
             ("in_width", 16, "pixels per row in the buffer")]),
        (9, [("in_height", 16, "rows in the buffer"),
             ("plane_words", 16, "buffer words from one depthwise plane to the next")]),
        (10, [("out_width", 16, "output pixels per row"),
              ("pixels", 16, "output pixels of the band")]),
        (11, [("tile", 16, "output pixels per tile, at most the config's hold"),
              ("tiles", 16, "tiles of the band")]),
        (12, [("kernel_h", 8, "kernel rows"),
              ("kernel_w", 8, "kernel columns, in steps of the words read at once"),
              ("row_blocks", 16, "planes read per column block")]),
        (13, [("col_blocks", 16, "column blocks"),
              ("load_segment", 16, "words of a segment of a map without zeros; 0: all are there")]),
        (14, [("stride_x", 4, "horizontal stride"), ("stride_y", 4, "vertical stride"),
              ("dilation_x", 4, "pixels from one kernel column, or step, to the next"),
              ("dilation_y", 4, "vertical dilation"),
              ("passes", 4, "terms per weight, N, over lane_terms, rounded up"),
              ("pad_value", 8, "stored value of padding")]),
        (15, [("pad_top", 8, "rows of padding above the band"), ("pad_left", 8, "padding left"),
              ("lo", 8, "lower clamp, stored value"), ("hi", 8, "upper clamp, stored value")]),
        (16, [("base_offset", 16, "-(pad_top in_width + pad_left) modulo 2^16"),
              ("row_jump", 16, "stride_y in_width")]),
        (17, [("tap_jump", 16, "dilation_y in_width"),
              ("blocks", 16, "weight blocks in the stream per column block")]),
        (18, [("weight_addr", 32, "byte address of the layer's weight stream")]),
        (19, [("weight_beats", 32, "bus beats of the weight stream, read once per tile")]),
        (20, [("out_addr", 32, "byte address of the first output pixel word")]),
        (21, [("out_plane_stride", 32, "bytes between output planes")]),
        (22, [("out_channels", 16, "output channels"),
              ("tail_taps", 4, "words in use in the last step of a kernel row")]),
        (23, [("row_step", 16, "buffer words between the planes of a column block"),
              ("free", 16, "descriptors that must be computed before the buffer may be written")]),
        (24, [("slope", 15, "leaky ReLU: three terms of shift (3 bits), negative, enable"),
              ("zero", 8, "stored value at which the slope bends")]),
        (25, [("load_bits", 4, "bits of a loaded value's code, 0 if stored as it is"),
              ("store_bits", 4, "the same of the outputs"),
              ("levels_plane", 8, "decoder's tables of the first run loaded; then one a run"),
              ("thresholds_plane", 8, "encoder's tables of the first output plane")]),
        (26, [("levels_planes", 16, "planes of decoder's tables to load first, 0 if there"),
              ("thresholds_planes", 16, "planes of encoder's tables to load first")]),
        (27, [("levels_addr", 32, "byte address of these: 2^bits words of values for each plane")]),
        (28, [("thresholds_addr", 32, "byte address of these: search trees, entry 0 unused")]),
        (29, [("levels_base", 8, "plane of the decoder's tables where they are loaded to"),
              ("thresholds_base", 8, "plane of the encoder's tables where they are loaded to"),
              ("store_segment", 16, "as load_segment, of the outputs")]),
        (30, [("store_masks", 32, "byte address of the masks of the first output pixel")]),
        (31, [("checksum", 32, "makes the sum of the 32 words 0 modulo 2^32")]),
    ]  # fmt: skip
    fields: list[Field] = []
    for word, entries in rows:
        lsb = 0
        for name, width, doc in entries:
            fields.append(Field(name, word, lsb, width, doc))
            lsb += width
        assert lsb <= 32, word
    return tuple(fields)


FIELDS: tuple[Field, ...] = _fields()
FIELD: dict[str, Field] = {field.name: field for field in FIELDS}


def pack_descriptor(**values: int) -> bytes:
    """Return the 128 bytes of one descriptor, version and checksum filled in.

    Raises
    ------
    ValueError
        If a field is unknown or its value does not fit; the message names both.
    """
    words = [0] * DESCRIPTOR_WORDS
    values.setdefault("version", VERSION)
    for name, value in values.items():
        field = FIELD.get(name)
        if field is None or name == "checksum":
            raise ValueError(f"no descriptor field {name!r} to set")
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"{name} must fit {field.width} bits unsigned, not {value}")
        words[field.word] |= value << field.lsb
    words[-1] = -sum(words) & 0xFFFFFFFF
    return struct.pack(f"<{DESCRIPTOR_WORDS}I", *words)


def unpack_descriptor(data: bytes) -> dict[str, int]:
    """Return every field of one packed descriptor.

    Raises
    ------
    ValueError
        If the length or the checksum is wrong.
    """
    if len(data) != DESCRIPTOR_BYTES:
        raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
    words = struct.unpack(f"<{DESCRIPTOR_WORDS}I", data)
    if sum(words) & 0xFFFFFFFF:
        raise ValueError("descriptor checksum is wrong")
    return {f.name: words[f.word] >> f.lsb & ((1 << f.width) - 1) for f in FIELDS}
