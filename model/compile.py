"""The compiler: an integer network and an engine to a program, bit for bit the golden model.

Every layer becomes descriptors of kind SUM or MAX over bands of output rows. Max pooling and
global average pooling run on the same array with identity codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..hw.config import BIAS_BITS, EngineConfig
from ..hw.descriptor import DESCRIPTOR_BYTES, Op, pack_descriptor
from ..hw.record import pack_record
from .bands import Band, Window, cut_bands
from .layout import place_tensors
from .network import Concat, Conv, GlobalAveragePool, Layer, MaxPool, Network
from .packing import block_codes, pack_bits
from .program import ALIGN, HEADER_BYTES, LayerPlan, Place, Program, pack_header, round_up


@dataclass(frozen=True, eq=False)
class Lowered:
    """One layer in the engine's terms.

    ``codes`` are int8 (N, Cout, planes x rows, kh, kw) for a dense layer; None means that
    identity codes pass every channel through. ``records`` has one per output channel.
    """

    name: str
    kind: str
    input: str
    output: str
    window: Window
    op: Op
    codes: torch.Tensor | None
    passes: int
    records: list[bytes]
    lo: int
    hi: int
    pad_value: int
    macs: int


def compile_network(
    network: Network, config: EngineConfig, until: str | None = None, base: int = 0
) -> Program:
    """Compile a network, or its layers up to the one named ``until``, for an engine.

    Parameters
    ----------
    network : Network
    config : EngineConfig
    until : str, optional
        Name of the last layer to run; all of them if not given.
    base : int
        Byte address at which the program will lie, a multiple of 4096.

    Raises
    ------
    ValueError
        Naming the layer and the limit of the engine it breaks.
    """
    if base % 4096:
        raise ValueError(f"base must be a multiple of 4096, not {base}")
    layers = layers_until(network, until)
    places, _ = place_tensors(network, layers, config, 0)
    lowered = [
        lower(network, layer, places, config) for layer in layers if not isinstance(layer, Concat)
    ]
    bands = {layer.name: cut_bands(layer.name, layer.window, config) for layer in lowered}

    descriptors = sum(len(b) for b in bands.values())
    weights_offset = round_up(HEADER_BYTES + descriptors * DESCRIPTOR_BYTES, ALIGN)
    streams: list[bytes] = []
    offsets: list[int] = []
    at = weights_offset
    for layer in lowered:
        stream = weight_stream(layer, config)
        offsets.append(at)
        streams.append(stream.ljust(round_up(len(stream), ALIGN), b"\0"))
        at += len(streams[-1])
    places, end = place_tensors(network, layers, config, base + round_up(at, 4096))

    emitter = _Emitter(config, places, descriptors)
    plans: list[LayerPlan] = []
    for index, (layer, offset, stream) in enumerate(zip(lowered, offsets, streams, strict=True)):
        for number, band in enumerate(bands[layer.name]):
            emitter.emit(layer, index, band, base + offset, len(stream),
                         last_of_layer=number + 1 == len(bands[layer.name]))  # fmt: skip
        lanes = config.rows * config.cols
        plans.append(LayerPlan(
            layer.name, layer.kind, layer.output, index, layer.macs, layer.passes,
            -(-layer.macs * layer.passes // lanes), len(bands[layer.name]),
        ))  # fmt: skip
    body = b"".join(emitter.packed).ljust(weights_offset - HEADER_BYTES, b"\0") + b"".join(streams)
    header = pack_header(config, base, descriptors, weights_offset, end - base, body)
    return Program(header + body, base, base + HEADER_BYTES, end - base, places, plans)


def layers_until(network: Network, until: str | None) -> list[Layer]:
    """Return the layers up to and including ``until``.

    Raises
    ------
    ValueError
        If no layer has that name.
    """
    names = [layer.name for layer in network.layers]
    if until is None:
        return list(network.layers)
    if until not in names:
        raise ValueError(f"the network has no layer {until!r}; it has {', '.join(names)}")
    return list(network.layers[: names.index(until) + 1])


def lower(
    network: Network, layer: Layer, places: dict[str, Place], config: EngineConfig
) -> Lowered:
    """Return one layer in the engine's terms; the record constants are folded here."""
    info = network.tensors[layer.inputs[0]]
    out = network.tensors[layer.output]
    place = places[layer.inputs[0]]
    if info.bits > config.act_bits or out.bits > config.act_bits:
        raise ValueError(
            f"layer {layer.name!r}: activations must have at most {config.act_bits} bits, "
            f"not {max(info.bits, out.bits)}"
        )
    size = (info.height, info.width)
    if isinstance(layer, Conv):
        window = Window(size, (out.height, out.width), layer.kernel, layer.stride,
                        layer.padding, layer.dilation, place.planes, False)  # fmt: skip
        codes = _spread(layer, place, config)
        return Lowered(
            layer.name, "conv", layer.input, layer.output, window, Op.SUM, codes,
            codes.shape[0], _records(layer, codes, info.zero_point, config),
            layer.requantiser.lo, layer.requantiser.hi, info.zero_point, network.macs(layer),
        )  # fmt: skip
    channels = place.planes * config.rows
    if isinstance(layer, MaxPool):
        window = Window(size, (out.height, out.width), layer.kernel, layer.stride,
                        layer.padding, (1, 1), place.planes, True)  # fmt: skip
        records = [pack_record(0, (1, 0, 0, 0), (0, 0, 0, 0), 0)] * channels
        return Lowered(layer.name, "max_pool", layer.input, layer.output, window, Op.MAX, None, 1,
                       records, 0, out.top, 0, 0)  # fmt: skip
    assert isinstance(layer, GlobalAveragePool)
    if size[0] * size[1] > config.max_fan_in or max(size) > 255:
        raise ValueError(
            f"layer {layer.name!r}: a map of {size[0]}x{size[1]} pixels is beyond the engine's "
            f"fan-in of {config.max_fan_in}"
        )
    window = Window(size, (1, 1), size, (1, 1), (0, 0, 0, 0), (1, 1), place.planes, True)
    rq = layer.requantiser
    fold = rq.bias - rq.multiplier * info.zero_point * size[0] * size[1]
    records = [pack_record(0, (0, 0, 0, 0), (0, 0, 0, 0), 0)] * channels
    for channel, slot in enumerate(place.slots):
        records[int(slot)] = pack_record(
            int(fold[channel]), rq.sign[channel].tolist(), rq.shift[channel].tolist(),
            int(rq.right[channel]),
        )  # fmt: skip
    return Lowered(layer.name, "global_average_pool", layer.input, layer.output, window, Op.SUM,
                   None, 1, records, rq.lo, rq.hi, 0, 0)  # fmt: skip


def _spread(layer: Conv, place: Place, config: EngineConfig) -> torch.Tensor:
    """Return the codes with input channels moved to their slots, checked against the engine."""
    codes = layer.weights.codes
    terms, cout, cin, kh, kw = codes.shape
    bits = layer.weights.codebook.bits
    for label, value, limit in (
        ("terms per weight", terms, config.max_terms),
        ("code bits", bits, config.code_bits),
        ("fan-in", cin * kh * kw, config.max_fan_in),
        ("kernel size", max(kh, kw), 255),
        ("stride", max(layer.stride), 15),
        ("dilation", max(layer.dilation), 15),
        ("padding", max(layer.padding), 255),
    ):
        if value > limit:
            raise ValueError(
                f"layer {layer.name!r}: {label} must be at most {limit} on engine "
                f"{config.name!r}, not {value}"
            )
    spread = torch.zeros(terms, cout, place.planes * config.rows, kh, kw, dtype=torch.int8)
    spread[:, :, torch.from_numpy(place.slots)] = codes
    return spread


def _records(
    layer: Conv, codes: torch.Tensor, zero_point: int, config: EngineConfig
) -> list[bytes]:
    """Fold zero point, inverted terms and a narrower codebook into the requantiser records.

    The array adds (2^A - 1 - a) 2^k where the term is -a 2^k, so its sum is too large by
    (2^A - 1) 2^k for every negative term; and it works at the engine's codebook, whose terms are
    2^(M_engine - M_layer) times the layer's.
    """
    rq = layer.requantiser
    terms = codes.shape[0]
    wide = codes.to(torch.int64)
    position = torch.arange(terms - 1, -1, -1).view(-1, 1, 1, 1, 1)  # N - n
    size = torch.where(wide != 0, 1 << (config.magnitudes - wide.abs() + position), 0)
    weight = (size * wide.sign()).sum((0, 2, 3, 4))
    inverted = (size * (wide < 0)).sum((0, 2, 3, 4)) * ((1 << config.act_bits) - 1)
    scale = config.magnitudes - layer.weights.codebook.magnitudes
    excess = inverted + zero_point * weight
    records = []
    for channel in range(codes.shape[1]):
        multiplier = int(rq.multiplier[channel])
        bias = (int(rq.bias[channel]) << scale) - multiplier * int(excess[channel])
        try:
            records.append(pack_record(
                bias, rq.sign[channel].tolist(), rq.shift[channel].tolist(),
                int(rq.right[channel]) + scale,
            ))  # fmt: skip
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}, channel {channel}: {error}") from None
    assert BIAS_BITS == 48
    return records


def weight_stream(layer: Lowered, config: EngineConfig) -> bytes:
    """Return the layer's stream: for each column block its records, then its weight blocks."""
    blocks = _blocks(layer, config)
    empty = pack_record(0, (0, 0, 0, 0), (0, 0, 0, 0), 0)
    parts = []
    for index, block in enumerate(blocks):
        records = layer.records[index * config.cols : (index + 1) * config.cols]
        parts += records + [empty] * (config.cols - len(records))
        parts.append(pack_bits(block, config.code_bits, config.bus_bits))
    return b"".join(parts)


def _blocks(layer: Lowered, config: EngineConfig) -> np.ndarray:
    """Return the codes as int8 (column blocks, ..., cols x rows)."""
    if layer.codes is not None:
        return block_codes(layer.codes, config.rows, config.cols)
    planes, columns = identity_planes(config), -(-len(layer.records) // config.cols)
    blocks = np.zeros((columns, planes, config.cols, config.rows), np.int8)
    for index in range(columns):
        for col in range(config.cols):
            channel = index * config.cols + col
            plane = channel // config.rows - index * config.cols // config.rows
            blocks[index, plane, col, channel % config.rows] = config.magnitudes
    blocks = blocks.reshape(columns, planes, -1)
    if planes == 1:
        return blocks
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    return np.tile(blocks[:, None], (1, taps, 1, 1))


def identity_planes(config: EngineConfig) -> int:
    """Return how many planes one block of ``cols`` channels touches at most."""
    starts = range(0, config.rows * config.cols, config.cols)
    return max((s + config.cols - 1) // config.rows - s // config.rows + 1 for s in starts)


class _Emitter:
    """Packs descriptors in order and works out what each has to wait for."""

    def __init__(self, config: EngineConfig, places: dict[str, Place], total: int) -> None:
        self.config = config
        self.places = places
        self.total = total
        self.packed: list[bytes] = []
        self.written: list[tuple[int, int, int]] = []  # addresses [start, end), descriptor number
        self.exclusive = False  # the band before fills the whole buffer

    def emit(
        self,
        layer: Lowered,
        index: int,
        band: Band,
        weight_addr: int,
        weight_bytes: int,
        *,
        last_of_layer: bool,
    ) -> None:
        """Append one descriptor."""
        config, window = self.config, layer.window
        source, target = self.places[layer.input], self.places[layer.output]
        word = config.word_bytes
        dense = layer.codes is not None
        planes = band.planes
        load_addr = source.address + band.first_plane * source.plane_stride + band.load_first * word
        out_plane = 0 if dense else band.first_plane
        out_addr = target.address + out_plane * target.plane_stride + band.out_first * word
        channels = len(layer.records)
        if not dense:  # the last plane's lanes beyond the last channel are not written
            last_slot = int(source.slots.max())
            channels = min(planes * config.rows, last_slot + 1 - band.first_plane * config.rows)
        col_blocks = -(-channels // config.cols)
        per_tile = weight_bytes
        if not dense:
            # A band of some planes reads only their part of the stream.
            columns = -(-len(layer.records) // config.cols)
            one = self._column_bytes(layer)
            first_column = band.first_plane * config.rows // config.cols
            assert (first_column + col_blocks) <= columns
            weight_addr += first_column * one
            per_tile = col_blocks * one
        else:
            per_tile = col_blocks * self._column_bytes(layer)
        row_blocks = source.planes if dense else identity_planes(config)
        held = not dense and row_blocks == 1
        taps = window.kernel[0] * window.kernel[1]
        exclusive = band.whole_buffer or self.exclusive
        self.exclusive = band.whole_buffer
        number = len(self.packed)
        self.packed.append(pack_descriptor(
            op=layer.op, last=number + 1 == self.total, layer_last=last_of_layer,
            exclusive=exclusive, hold_weights=held, depthwise=not dense, layer=index,
            wait=self._wait(load_addr, source, band),
            load_addr=load_addr, load_words=band.load_words, load_rows=1, load_row_stride=0,
            load_planes=planes, load_groups=1, load_plane_stride=source.plane_stride,
            load_group_stride=0,
            buffer_base=0 if exclusive or number % 2 == 0 else config.buffer_words // 2,
            in_width=band.in_width, in_height=band.in_height, plane_words=band.load_words,
            row_step=band.load_words, tail_taps=1,
            out_width=band.out_width, pixels=band.pixels, tile=band.tile, tiles=band.tiles,
            kernel_h=window.kernel[0], kernel_w=window.kernel[1], row_blocks=row_blocks,
            col_blocks=col_blocks, col_step=0,
            stride_y=window.stride[0], stride_x=window.stride[1],
            dilation_y=window.dilation[0], dilation_x=window.dilation[1],
            passes=layer.passes, blocks=1 if held else taps * row_blocks * layer.passes,
            pad_value=layer.pad_value, pad_top=band.pad_top, pad_left=band.pad_left,
            lo=layer.lo, hi=layer.hi,
            base_offset=-(band.pad_top * band.in_width + band.pad_left) & 0xFFFF,
            row_jump=window.stride[0] * band.in_width & 0xFFFF,
            tap_jump=window.dilation[0] * band.in_width & 0xFFFF,
            weight_addr=weight_addr, weight_beats=per_tile // config.bus_bytes,
            out_addr=out_addr, out_plane_stride=target.plane_stride, out_channels=channels,
        ))  # fmt: skip
        end = out_addr + band.pixels * word
        spread = -(-channels // config.rows)
        self.written += [
            (out_addr + p * target.plane_stride, end + p * target.plane_stride, number)
            for p in range(spread)
        ]

    def _column_bytes(self, layer: Lowered) -> int:
        """Return the bytes of one column block in the layer's stream."""
        config = self.config
        taps = layer.window.kernel[0] * layer.window.kernel[1]
        planes = identity_planes(config)
        if layer.codes is not None:
            blocks = layer.window.planes * taps * layer.passes
        else:
            blocks = 1 if planes == 1 else planes * taps
        records = config.cols * config.parameter_beats
        return (records + blocks * config.block_beats) * config.bus_bytes

    def _wait(self, load_addr: int, source: Place, band: Band) -> int:
        """Return how many descriptors must be stored before this band may be loaded."""
        length = band.load_words * self.config.word_bytes
        runs = [
            (load_addr + p * source.plane_stride, load_addr + p * source.plane_stride + length)
            for p in range(band.planes)
        ]
        numbers = [
            number + 1
            for start, end, number in self.written
            if any(start < b and a < end for a, b in runs)
        ]
        return max(numbers, default=0) & 0xFFFF
