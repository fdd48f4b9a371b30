"""The weight streams of programs, code by code, against each mode's definition as plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shiftwork.hw.config import PARAMETER_BYTES, EngineConfig
from shiftwork.hw.descriptor import DESCRIPTOR_BYTES, Mode, unpack_descriptor
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Conv
from shiftwork.model.program import HEADER_BYTES
from tests.networks import NetworkBuilder

from .streams import block

Codes = Callable[..., int]


def engine(rows: int, cols: int, window: int = 1, **others: Any) -> EngineConfig:
    return EngineConfig(rows=rows, cols=cols, window=window, hold=16, buffer_words=512, **others)


def check(builder: NetworkBuilder, config: EngineConfig, mode: Mode, codes: Codes) -> None:
    """Compare the blocks of the last layer with codes(column, ky, step, plane, term, col, row).

    Records stand before each column block's blocks; these stand in the order of the arguments.
    """
    program = compile_network(builder.build(), config)
    count = sum(plan.descriptors for plan in program.layers)
    ends = range(HEADER_BYTES, HEADER_BYTES + count * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
    every = [unpack_descriptor(program.image[at : at + DESCRIPTOR_BYTES]) for at in ends]
    bands = {d["weight_addr"]: d for d in every if d["layer"] == len(program.layers) - 1}
    size = config.block_beats * config.bus_bytes
    for at, d in bands.items():  # a band of later planes has the stream of its column blocks
        assert d["mode"] == mode
        stream = program.image[at:][: d["weight_beats"] * config.bus_bytes]
        first, rest = divmod(at - min(bands), len(stream) // d["col_blocks"])
        assert rest == 0
        taps = (1, 1) if d["hold_weights"] else (d["kernel_h"], d["kernel_w"])
        loops = (*taps, d["row_blocks"], d["passes"])
        assert d["blocks"] == np.prod(loops)
        for column in range(first, first + d["col_blocks"]):
            stream = stream[config.cols * PARAMETER_BYTES :]
            for where in np.ndindex(loops):
                (got,), stream = block(stream[:size], config), stream[size:]
                for col, row in np.ndindex(config.cols, config.rows):
                    want = codes(column, *where, col, row)
                    assert got[col, row] == want, (column, *where, col, row)
        assert not stream


def weights(builder: NetworkBuilder) -> np.ndarray:
    """Codes (N, Cout, Cin, kh, kw) of the last layer."""
    layer = builder.layers[-1]
    assert isinstance(layer, Conv)
    return layer.weights.codes.numpy()


def inside(codes: np.ndarray, *index: int) -> int:
    """Return a code, 0 outside."""
    real = all(at < size for at, size in zip(index, codes.shape, strict=True))
    return int(codes[index]) if real else 0


@pytest.mark.parametrize(("rows", "cols", "kw"), [(8, 8, 3), (8, 4, 4), (16, 3, 7), (4, 6, 2)])
@pytest.mark.parametrize("window", [2, 4])
def test_packed_rows_are_taps_of_few_lanes(rows: int, cols: int, kw: int, window: int) -> None:
    config = engine(rows, cols, window)
    few = rows // window
    builder = NetworkBuilder(1, min(few, 3), 5, 9)
    builder.conv(cols + 3, (2, kw), terms=2)
    w = weights(builder)

    def codes(column: int, ky: int, step: int, plane: int, term: int, col: int, row: int) -> int:
        tap, lane = divmod(row, few)
        return inside(w, term, column * cols + col, lane, ky, step * window + tap)

    check(builder, config, Mode.PACKED, codes)


@pytest.mark.parametrize(("size", "channels"), [(4, 7), (8, 8), (8, 19)])
@pytest.mark.parametrize(("window", "kw"), [(2, 3), (4, 3), (4, 5)])
def test_separate_columns_have_their_taps_in_their_first_rows(
    size: int, channels: int, window: int, kw: int
) -> None:
    config = engine(size, size, window)
    builder = NetworkBuilder(2, channels, 6, 9)
    builder.depthwise((3, kw), terms=2)
    w = weights(builder)

    def codes(column: int, ky: int, step: int, plane: int, term: int, col: int, row: int) -> int:
        if row >= window:
            return 0
        return inside(w, term, column * size + col, 0, ky, step * window + row)

    check(builder, config, Mode.SEPARATE, codes)


SHAPES = [(4, 4), (8, 4), (2, 6), (3, 5), (5, 3), (6, 4), (1, 3)]


def own(config: EngineConfig, column: int, plane: int, col: int, row: int) -> int | None:
    """Return the channel that a column takes from a row of a plane, None if that is not its own."""
    channel = column * config.cols + col
    first = column * config.cols // config.rows
    mine = channel // config.rows == first + plane and channel % config.rows == row
    return channel if mine else None


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
def test_depthwise_columns_read_their_own_lane(rows: int, cols: int) -> None:
    config = engine(rows, cols)
    builder = NetworkBuilder(3, 11, 6, 5)
    builder.depthwise((3, 2), terms=3)
    w = weights(builder)

    def codes(column: int, ky: int, kx: int, plane: int, term: int, col: int, row: int) -> int:
        channel = own(config, column, plane, col, row)
        return 0 if channel is None else inside(w, term, channel, 0, ky, kx)

    check(builder, config, Mode.PLANE, codes)


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("shifts", [(0, 0), (0, 3), (2, 0)])
def test_addends_lie_plane_by_plane_in_turn(rows: int, cols: int, shifts: tuple[int, int]) -> None:
    config = engine(rows, cols, code_bits=4)
    builder = NetworkBuilder(4, 5, 4, 3)
    builder.add(builder.conv(11), builder.conv(11, source="input"), shifts)

    def codes(column: int, ky: int, kx: int, plane: int, term: int, col: int, row: int) -> int:
        plane, tensor = divmod(plane, 2)
        channel = own(config, column, plane, col, row)
        return 0 if channel is None or channel >= 11 else 7 - shifts[tensor]  # 2^0 is code 7

    check(builder, config, Mode.PLANE, codes)


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("kind", ["max_pool", "average", "upsample"])
def test_layers_without_weights_pass_their_own_lane_on(rows: int, cols: int, kind: str) -> None:
    config = engine(rows, cols)
    builder = NetworkBuilder(5, 11, 6, 5)
    if kind == "max_pool":
        builder.max_pool((3, 2), (1, 1))
    elif kind == "average":
        builder.average_pool((3, 2), (1, 1))
    else:
        builder.upsample()

    def codes(column: int, ky: int, kx: int, plane: int, term: int, col: int, row: int) -> int:
        channel = own(config, column, plane, col, row)
        return 0 if channel is None or channel >= 11 else 7

    mode = Mode.MERGED if kind == "max_pool" else Mode.PLANE
    check(builder, config, mode, codes)


@pytest.mark.parametrize(("terms", "bits"), [(1, 2), (2, 3), (3, 4)])
def test_a_narrower_codebook_is_recoded_to_the_same_shifts(terms: int, bits: int) -> None:
    """Shift M - |c| of the layer's M is M' - |c'| of the engine's, M' = 15."""
    config = engine(3, 5, code_bits=5)
    builder = NetworkBuilder(6, 7, 4, 4)
    builder.conv(9, (2, 1), terms=terms, bits=bits)
    w = weights(builder)
    size = (1 << bits - 1) - 1

    def codes(column: int, ky: int, kx: int, plane: int, term: int, col: int, row: int) -> int:
        code = inside(w, term, column * 5 + col, plane * 3 + row, ky, kx)
        return (15 - (size - abs(code))) * ((code > 0) - (code < 0)) if code else 0

    check(builder, config, Mode.PLANE, codes)
