"""The compiler: an integer network and an engine to a program, bit for bit the golden model."""

from __future__ import annotations

from collections.abc import Sequence

from ..hw.config import EngineConfig
from ..hw.descriptor import DESCRIPTOR_BYTES, pack_descriptor
from .bands import Band, Work, cut_bands
from .layout import place_tensors
from .lower import Lowered, lower
from .network import Concat, Layer, Network
from .program import ALIGN, HEADER_BYTES, LayerPlan, Place, Program, pack_header, round_up
from .schedule import Slot, Step, allocate_buffer, order_bands

MOST_DESCRIPTORS = 0x7FFF  # so that 16-bit counts of them can be compared


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
    bands = [
        cut_bands(each.name, each.window, Work(each.beats_per_pixel, len(each.blocks)), config)
        for each in lowered
    ]
    steps = order_bands(lowered, bands)
    if len(steps) > MOST_DESCRIPTORS:
        longest = max(range(len(bands)), key=lambda index: len(bands[index]))
        raise ValueError(
            f"the program would have {len(steps)} descriptors, {len(bands[longest])} of them for "
            f"layer {lowered[longest].name!r}, of at most {MOST_DESCRIPTORS}; raise buffer_words"
        )

    weights_offset = round_up(HEADER_BYTES + len(steps) * DESCRIPTOR_BYTES, ALIGN)
    streams = [each.stream(config) for each in lowered]
    streams = [stream.ljust(round_up(len(stream), ALIGN), b"\0") for stream in streams]
    offsets = [weights_offset + sum(map(len, streams[:index])) for index in range(len(streams))]
    image_bytes = weights_offset + sum(map(len, streams))
    places, end = place_tensors(network, layers, config, base + round_up(image_bytes, 4096))

    emitter = _Emitter(config, places, len(steps))
    for step, slot in zip(steps, allocate_buffer(steps, config), strict=True):
        layer = lowered[step.layer]
        try:
            emitter.emit(layer, step, slot, base + offsets[step.layer])
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
    plans = [
        LayerPlan(each.name, each.kind, each.output, index, each.macs, each.passes,
                  -(-each.macs * each.passes // config.lanes), len(bands[index]))
        for index, each in enumerate(lowered)
    ]  # fmt: skip
    body = b"".join(emitter.packed).ljust(weights_offset - HEADER_BYTES, b"\0") + b"".join(streams)
    header = pack_header(config, base, len(steps), weights_offset, end - base, body)
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


class _Emitter:
    """Packs descriptors in order and works out what each has to wait for."""

    def __init__(self, config: EngineConfig, places: dict[str, Place], total: int) -> None:
        self.config = config
        self.places = places
        self.total = total
        self.packed: list[bytes] = []
        self.written: list[tuple[int, int, int]] = []  # addresses [start, end), descriptor number

    def emit(self, layer: Lowered, step: Step, slot: Slot, weight_addr: int) -> None:
        """Append one descriptor."""
        config, window, band = self.config, layer.window, step.band
        sources = [self.places[name] for name in layer.inputs]
        source, target = sources[0], self.places[layer.output]
        word = config.word_bytes
        load_addrs = [
            each.address + band.first_plane * each.plane_stride + band.load_first * word
            for each in sources
        ]
        first_channel = band.first_plane * config.rows if window.separate else 0
        channels = len(layer.records)
        if window.separate:  # lanes beyond the last channel are not written
            channels = min(band.planes * config.rows, channels - first_channel)
        col_blocks = -(-channels // config.cols)
        column_bytes = layer.column_bytes(config)
        out_addr = (
            target.address
            + first_channel // config.rows * target.plane_stride
            + band.out_first * word
        )
        number = len(self.packed)
        # Planes of two tensors lie in turn, so that a column block's planes are neighbours.
        tensors = window.tensors
        apart = load_addrs[1] - load_addrs[0] if tensors > 1 else 0
        self.packed.append(pack_descriptor(
            op=layer.op, mode=layer.mode, last=number + 1 == self.total,
            layer_last=step.last_of_layer, hold_weights=layer.held, depthwise=window.separate,
            upsample=window.upsample > 1, layer=step.layer,
            wait=self._wait(load_addrs, source, band), free=slot.free & 0xFFFF,
            load_addr=load_addrs[0], load_words=band.load_words, load_rows=1, load_row_stride=0,
            load_planes=tensors if tensors > 1 else band.planes,
            load_plane_stride=(apart if tensors > 1 else source.plane_stride) & 0xFFFFFFFF,
            load_groups=band.planes if tensors > 1 else 1,
            load_group_stride=source.plane_stride if tensors > 1 else 0,
            buffer_base=slot.base, in_width=band.in_width, in_height=band.in_height,
            plane_words=band.load_words * tensors, row_step=band.load_words,
            tail_taps=layer.tail_taps,
            out_width=band.out_width, pixels=band.pixels, tile=band.tile, tiles=band.tiles,
            kernel_h=window.kernel[0], kernel_w=window.kernel[1], row_blocks=layer.row_blocks,
            col_blocks=col_blocks, col_step=0,
            stride_y=window.stride[0], stride_x=window.stride[1],
            dilation_y=window.dilation[0], dilation_x=layer.step,
            passes=layer.passes, blocks=layer.blocks.shape[1],
            pad_value=layer.pad_value, pad_top=band.pad_top, pad_left=band.pad_left,
            lo=layer.lo, hi=layer.hi,
            base_offset=-(band.pad_top * band.in_width + band.pad_left) & 0xFFFF,
            row_jump=window.stride[0] * band.in_width & 0xFFFF,
            tap_jump=window.dilation[0] * band.in_width & 0xFFFF,
            weight_addr=weight_addr + first_channel // config.cols * column_bytes,
            weight_beats=col_blocks * column_bytes // config.bus_bytes,
            out_addr=out_addr, out_plane_stride=target.plane_stride, out_channels=channels,
            slope=layer.slope, zero=layer.zero,
        ))  # fmt: skip
        end = out_addr + band.pixels * word
        self.written += [
            (out_addr + p * target.plane_stride, end + p * target.plane_stride, number)
            for p in range(-(-channels // config.rows))
        ]

    def _wait(self, load_addrs: Sequence[int], source: Place, band: Band) -> int:
        """Return how many descriptors must be stored before this band may be loaded."""
        length = band.load_words * self.config.word_bytes
        runs = [
            (at + p * source.plane_stride, at + p * source.plane_stride + length)
            for at in load_addrs
            for p in range(band.planes)
        ]
        for start, end, number in reversed(self.written):  # the latest overlap counts
            if any(start < b and a < end for a, b in runs):
                return number + 1
        return 0
