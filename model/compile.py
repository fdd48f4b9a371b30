"""The compiler: an integer network and an engine to a program, bit for bit the golden model."""

from __future__ import annotations

from ..hw.codec.layout import unit_bytes
from ..hw.config import EngineConfig
from ..hw.descriptor import DESCRIPTOR_BYTES, pack_descriptor
from .bands import MOST_BANDS
from .coded import check_coded
from .copies import insert_copies
from .layout import Blocks, blocks_of, one_after_another, place_tensors
from .lower import lower
from .lowered import Lowered
from .network import Concat, Layer, Network
from .program import ALIGN, HEADER_BYTES, LayerPlan, Place, Program, pack_header, round_up
from .schedule import Slot, Step, allocate_buffer, order_bands
from .sharing import kept_tensors, share_memory
from .tables import Coding, plan_tables
from .writers import Writers
from .zeros import check_zeros

ADDRESS_SPACE = 1 << 32  # bytes


def compile_network(
    network: Network,
    config: EngineConfig,
    until: str | None = None,
    base: int = 0,
    *,
    keep_all: bool = False,
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
    keep_all : bool
        Give every tensor its own memory, so that all of them can be read after a run. By default
        tensors that are never needed at the same time share memory; then only the program's
        ``kept`` ones can, and the input has to be written before every run.

    Raises
    ------
    ValueError
        Naming the layer and the limit of the engine it breaks.
    """
    if base % 4096:
        raise ValueError(f"base must be a multiple of 4096, not {base}")
    layers = layers_until(network, until)
    if not layers:
        raise ValueError(f"network {network.name!r} has no layers: there is nothing to run")
    network, copies = insert_copies(network, config.rows)
    layers = layers_until(network, until)
    check_coded(network, layers, config)
    blocks = blocks_of(network, layers, config)
    _check_end(layers, blocks, base, base + max(map(blocks.size, blocks.wholes)))
    apart, unshared = one_after_another(blocks)
    apart_places = place_tensors(network, blocks, config, apart, {})
    lowered = [
        lower(network, layer, apart_places, config)
        for layer in layers
        if not isinstance(layer, Concat)
    ]
    check_zeros(network, layers, blocks, config)
    bands = [each.bands(config, blocks.segments[each.output]) for each in lowered]
    steps = order_bands(lowered, bands)
    if len(steps) > MOST_BANDS:
        longest = max(range(len(bands)), key=lambda index: len(bands[index]))
        raise ValueError(
            f"layer {lowered[longest].name!r}: the program would have {len(steps)} descriptors for "
            f"{len(lowered)} layers, {len(bands[longest])} of them for this one, of at most "
            f"{MOST_BANDS}: raise hold and buffer_words, or split the network"
        )

    weights_offset = round_up(HEADER_BYTES + len(steps) * DESCRIPTOR_BYTES, ALIGN)
    streams = [each.stream(config) for each in lowered]
    streams = [stream.ljust(round_up(len(stream), ALIGN), b"\0") for stream in streams]
    offsets = [weights_offset + sum(map(len, streams[:index])) for index in range(len(streams))]
    tables = plan_tables(lowered, steps, apart_places, config)
    tables_offset = weights_offset + sum(map(len, streams))
    image_bytes = tables_offset + len(tables.image)
    kept = kept_tensors(network, layers, blocks)
    sharing = share_memory(network, blocks, lowered, steps, kept)
    start = base + round_up(image_bytes, 4096)
    offsets_of, strides = (apart, {}) if keep_all else (sharing.offsets, sharing.strides)
    addresses = {name: start + offset for name, offset in offsets_of.items()}
    places = place_tensors(network, blocks, config, addresses, strides)
    end = start + (unshared if keep_all else sharing.size)
    _check_end(layers, blocks, base, end)
    writers = Writers(start, end - start, unit_bytes(config))
    producers = {name: _producers(name, network, blocks, lowered) for name in places}
    emitter = _Emitter(config, places, len(steps), writers, producers, base + tables_offset)
    slots = allocate_buffer(steps, config)
    for step, slot, coding in zip(steps, slots, tables.fields, strict=True):
        layer = lowered[step.layer]
        try:
            emitter.emit(layer, step, slot, base + offsets[step.layer], coding)
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
    for name in places if keep_all else kept:
        writers.check(places[name], producers[name])
    plans = [
        LayerPlan(each.name, each.kind, each.output, index, each.macs, each.passes,
                  -(-each.macs * each.passes // config.lanes), len(bands[index]), each.inputs)
        for index, each in enumerate(lowered)
    ]  # fmt: skip
    body = b"".join(emitter.packed).ljust(weights_offset - HEADER_BYTES, b"\0")
    body += b"".join(streams) + tables.image
    header = pack_header(config, base, len(steps), weights_offset, end - base, body)
    return Program(
        header + body, base, base + HEADER_BYTES, end - base, places, plans,
        kept=tuple(places) if keep_all else kept, peak_map_bytes=sharing.size,
        unshared_map_bytes=unshared, table_bytes=len(tables.image),
        copies={copy: name for copy, name in copies.items() if copy in places},
    )  # fmt: skip


def _check_end(layers: list[Layer], blocks: Blocks, base: int, end: int) -> None:
    """Check that a program from ``base`` to ``end`` can be addressed."""
    if end <= ADDRESS_SPACE:
        return
    largest = max(blocks.wholes, key=blocks.size)
    names = [layer.name for layer in layers if largest in (*layer.inputs, layer.output)]
    raise ValueError(
        f"layer {names[0]!r}: program and feature maps from {base:#x} on end at {end:#x}, of "
        f"{ADDRESS_SPACE:#x} bytes that 32-bit addresses reach; the largest map is {largest!r} "
        f"with {blocks.size(largest)} bytes: use a smaller picture or a lower base"
    )


def _producers(
    name: str, network: Network, blocks: Blocks, lowered: list[Lowered]
) -> frozenset[int]:
    """Return the numbers of the layers that write a tensor or its parts, -1 for the host."""
    names = {name}
    while more := {part for part, (whole, _) in blocks.parts.items() if whole in names} - names:
        names |= more
    found = {index for index, each in enumerate(lowered) if each.output in names}
    return frozenset(found | {-1} if network.input in names else found)


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

    def __init__(
        self, config: EngineConfig, places: dict[str, Place], total: int, writers: Writers,
        producers: dict[str, frozenset[int]], tables: int,
    ) -> None:  # fmt: skip
        self.config = config
        self.places = places
        self.total = total
        self.writers = writers
        self.producers = producers
        self.tables = tables  # byte address
        self.packed: list[bytes] = []

    def emit(
        self, layer: Lowered, step: Step, slot: Slot, weight_addr: int, coding: Coding
    ) -> None:
        """Append one descriptor."""
        config, window, band = self.config, layer.window, step.band
        sources = [self.places[name] for name in layer.inputs]
        source, target = sources[0], self.places[layer.output]
        skip = band.load_first % source.segment if source.segment else 0
        load_first, load_words = band.load_first - skip, band.load_words + skip
        load_addrs = [
            each.address + band.first_plane * each.plane_stride + load_first * each.word_bytes
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
            + band.out_first * target.word_bytes
        )
        pitch = band.pitch or band.in_width
        column = band.variant * len(layer.blocks) + first_channel // config.cols
        weight_addr += column * column_bytes
        number = len(self.packed)
        wait = self.writers.load(
            sources, load_first, load_words,
            range(band.first_plane, band.first_plane + band.planes),
            [self.producers[name] for name in layer.inputs],
        )  # fmt: skip
        wait = max(wait, coding.wait)
        # Planes of two tensors lie in turn, so that a column block's planes are neighbours.
        tensors = window.tensors
        apart = load_addrs[1] - load_addrs[0] if tensors > 1 else 0
        self.packed.append(pack_descriptor(
            op=layer.op, mode=layer.mode, last=number + 1 == self.total,
            layer_last=step.last_of_layer, hold_weights=layer.held, depthwise=window.separate,
            upsample=window.upsample > 1, layer=step.layer,
            wait=wait, free=slot.free & 0xFFFF,
            load_addr=load_addrs[0], load_words=band.load_words,
            load_planes=tensors if tensors > 1 else band.planes,
            load_plane_stride=(apart if tensors > 1 else source.plane_stride) & 0xFFFFFFFF,
            load_groups=band.planes if tensors > 1 else 1,
            load_group_stride=source.plane_stride if tensors > 1 else 0,
            buffer_base=slot.base, in_width=band.in_width, in_height=band.in_height,
            plane_words=band.load_words * tensors, row_step=band.load_words,
            tail_taps=layer.tail_taps,
            out_width=band.out_width, pixels=band.pixels, tile=band.tile, tiles=band.tiles,
            kernel_h=window.kernel[0], kernel_w=window.kernel[1], row_blocks=layer.row_blocks,
            col_blocks=col_blocks,
            stride_y=window.stride[0], stride_x=window.stride[1],
            dilation_y=window.dilation[0], dilation_x=layer.step,
            passes=layer.passes, blocks=layer.blocks.shape[1],
            pad_value=layer.pad_value, pad_top=band.pad_top, pad_left=band.pad_left,
            lo=layer.lo, hi=layer.hi,
            base_offset=-(band.pad_top * pitch + band.pad_left) & 0xFFFF,
            row_jump=window.stride[0] * pitch & 0xFFFF,
            tap_jump=window.dilation[0] * pitch & 0xFFFF,
            weight_addr=weight_addr,
            weight_beats=col_blocks * column_bytes // config.bus_bytes,
            out_addr=out_addr, out_plane_stride=target.plane_stride, out_channels=channels,
            slope=layer.slope, zero=layer.zero, **coding.fields(self.tables),
            **_zero_fields(source, target, skip, load_addrs[0], out_addr),
        ))  # fmt: skip
        first_plane = first_channel // config.rows
        self.writers.store(
            target, band.out_first, band.pixels,
            range(first_plane, first_plane + -(-channels // config.rows)), step.layer,
        )  # fmt: skip


def _zero_fields(
    source: Place, target: Place, skip: int, load_addr: int, out_addr: int
) -> dict[str, int]:
    """Return what a descriptor says of maps without zeros."""
    fields: dict[str, int] = {}
    if source.segment:
        fields |= {
            "load_segment": source.segment, "load_skip": skip,
            "load_masks": source.mask_of(load_addr),
        }  # fmt: skip
    if target.segment:
        fields |= {"store_segment": target.segment, "store_masks": target.mask_of(out_addr)}
    return fields
