"""Lowering: every layer in the terms of the one array, as sums or maxima over a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..hw.config import EngineConfig
from ..hw.descriptor import Mode, Op
from ..hw.record import pack_record, pack_slope
from . import blocks as arrange
from .bands import Window
from .carried import channel_sums, engine_codes
from .copies import Copy, Realign
from .fixed import Requantiser
from .layout import is_depthwise
from .limits import check, check_conv, check_lowered
from .lowered import NOTHING, Lowered
from .network import (
    Add,
    AveragePool,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    TensorInfo,
    Upsample,
)
from .program import Place

PASS_ON = pack_record(0, (1, 0, 0, 0), (0, 0, 0, 0), 0)


def lower(
    network: Network, layer: Layer, places: dict[str, Place], config: EngineConfig
) -> Lowered:
    """Return a layer in the array's terms, every constant folded into its records.

    Raises
    ------
    ValueError
        Naming the layer and the limit of the engine it breaks.
    """
    infos = [network.tensors[name] for name in layer.inputs]
    out = network.tensors[layer.output]
    for info in (*infos, out):
        if info.bits > config.act_bits:
            raise ValueError(
                f"layer {layer.name!r}: activations must have at most {config.act_bits} bits on "
                f"engine {config.name!r}, not {info.bits}: raise act_bits or use fewer"
            )
    place = places[layer.inputs[0]]
    if isinstance(layer, Conv):
        convolve = _depthwise if is_depthwise(network.tensors, layer) else _conv
        lowered = convolve(layer, infos[0], out, place, config)
    elif isinstance(layer, MaxPool):
        lowered = _max_pool(layer, infos[0], out, place, config)
    elif isinstance(layer, Add):
        lowered = _add(layer, infos, out, [places[name] for name in layer.inputs], config)
    elif isinstance(layer, Upsample):
        lowered = _upsample(layer, infos[0], out, place, config)
    elif isinstance(layer, AveragePool | GlobalAveragePool):
        lowered = _average(layer, infos[0], out, place, config)
    else:
        raise ValueError(f"layer {layer.name!r}: the engine does not run {type(layer).__name__}")
    rq = getattr(layer, "requantiser", None)
    if rq is not None and rq.slope:
        if not config.leaky:
            raise ValueError(
                f"layer {layer.name!r}: engine {config.name!r} has no leaky ReLU; set leaky"
            )
        lowered = replace(lowered, slope=pack_slope(rq.slope), zero=rq.zero)
    if isinstance(layer, Copy | Realign):
        lowered = replace(lowered, kind="copy", macs=0)
    check_lowered(layer, lowered, config)
    return lowered


def _conv(
    layer: Conv, info: TensorInfo, out: TensorInfo, place: Place, config: EngineConfig
) -> Lowered:
    check_conv(layer, config)
    codes = _ungrouped(engine_codes(layer.weights, config), layer.groups, info.channels)
    spread = np.zeros((*codes.shape[:2], place.planes * config.rows, *codes.shape[3:]), np.int8)
    spread[:, :, place.slots] = codes
    few = config.rows // config.window
    pack = (
        config.window > 1
        and layer.kernel[1] > 1
        and layer.dilation[1] == 1
        and int(place.slots.max()) < few
    )
    mode = Mode.PACKED if pack else Mode.PLANE
    blocks = (
        arrange.packed(spread[:, :, :few], config) if pack else arrange.dense(spread, config)
    )  # fmt: skip
    window, step, tail = _window(layer, info, out, place.planes, config, mode, separate=False)
    return Lowered(
        layer.name, "conv", (layer.input,), layer.output, window, Op.SUM, mode, blocks, False,
        place.planes, config.passes(codes.shape[0]), _conv_records(layer, info, config),
        layer.requantiser.lo, layer.requantiser.hi, info.zero_point,
        layer.weights.codes[0].numel() * out.height * out.width, tail, step,
    )  # fmt: skip


def _ungrouped(codes: np.ndarray, groups: int, channels: int) -> np.ndarray:
    """Return int8 (N, Cout, Cin, kh, kw), code 0 between groups."""
    if groups == 1:
        return codes
    terms, cout, per_group, kh, kw = codes.shape
    full = np.zeros((terms, cout, channels, kh, kw), np.int8)
    outputs = cout // groups
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        full[:, rows, group * per_group : (group + 1) * per_group] = codes[:, rows]
    return full


def _depthwise(
    layer: Conv, info: TensorInfo, out: TensorInfo, place: Place, config: EngineConfig
) -> Lowered:
    check_conv(layer, config)
    codes = engine_codes(layer.weights, config)[:, :, 0]
    spread = np.zeros((codes.shape[0], int(place.slots.max()) + 1, *codes.shape[2:]), np.int8)
    spread[:, place.slots] = codes
    records = [NOTHING] * spread.shape[1]
    for slot, record in zip(place.slots, _conv_records(layer, info, config), strict=True):
        records[slot] = record
    mode = _separate_mode(config, layer.dilation[1])
    if mode is Mode.SEPARATE:
        blocks, row_blocks = arrange.separate(spread, config), 1
    else:
        blocks = arrange.diagonal(spread[:, None], config)
        row_blocks = arrange.planes_touched(config)
    window, step, tail = _window(layer, info, out, place.planes, config, mode, separate=True)
    return Lowered(
        layer.name, "depthwise", (layer.input,), layer.output, window, Op.SUM, mode, blocks, False,
        row_blocks, config.passes(codes.shape[0]), records, layer.requantiser.lo,
        layer.requantiser.hi, info.zero_point,
        layer.weights.codes[0].numel() * out.height * out.width, tail, step,
    )  # fmt: skip


def _conv_records(layer: Conv, info: TensorInfo, config: EngineConfig) -> list[bytes]:
    """Fold zero point and inverted terms into the records."""
    weight, inverted = channel_sums(layer.weights, config)
    top = (1 << config.act_bits) - 1
    return _records(
        layer.name, layer.requantiser, (inverted * top + info.zero_point * weight).tolist()
    )  # fmt: skip


def _records(name: str, rq: Requantiser, excess: Sequence[int]) -> list[bytes]:
    """Return the records of accumulators that are ``excess`` too large."""
    # Plain lists: layers have thousands of channels, and tensors take their time one by one.
    columns = (each.tolist() for each in (rq.bias, rq.multiplier, rq.sign, rq.shift, rq.right))
    records = []
    for channel, (over, own, multiplier, sign, shift, right) in enumerate(
        zip(excess, *columns, strict=True)
    ):
        try:
            records.append(pack_record(own - multiplier * int(over), sign, shift, right))
        except ValueError as error:
            raise ValueError(
                f"layer {name!r}, channel {channel}: {error}: use fewer code bits or a smaller bias"
            ) from None
    return records


def _separate_mode(config: EngineConfig, dilation: int) -> Mode:
    wanted = config.window > 1 and config.rows == config.cols and dilation == 1
    return Mode.SEPARATE if wanted else Mode.PLANE


def _window(
    layer: Conv | MaxPool | AveragePool | GlobalAveragePool,
    info: TensorInfo,
    out: TensorInfo,
    planes: int,
    config: EngineConfig,
    mode: Mode,
    *,
    separate: bool,
) -> tuple[Window, int, int]:
    """Return the geometry in kernel steps, the pixels of a step, and the last step's taps."""
    size = (info.height, info.width)
    if isinstance(layer, GlobalAveragePool):
        kernel, stride, padding, dilation = size, (1, 1), (0, 0, 0, 0), (1, 1)
    else:
        kernel, stride, padding = layer.kernel, layer.stride, layer.padding
        dilation = layer.dilation if isinstance(layer, Conv) else (1, 1)
    step = dilation[1] if mode is Mode.PLANE else config.window
    steps = kernel[1] if mode is Mode.PLANE else -(-kernel[1] // config.window)
    tail = 1 if mode is Mode.PLANE else kernel[1] - (steps - 1) * config.window
    window = Window(size, (out.height, out.width), (kernel[0], steps), stride, padding, dilation,
                    planes, separate)  # fmt: skip
    return window, step, tail


def _identity(
    place: Place, config: EngineConfig, taps: tuple[int, int], shifts: Sequence[int] = (0,)
) -> tuple[np.ndarray, bool, int]:
    """Return blocks that pass channels on (shifted left), whether they are held, row blocks."""
    slots = int(place.slots.max()) + 1
    planes = arrange.planes_touched(config) * len(shifts)
    held = planes == 1
    codes = np.zeros((1, len(shifts), slots, *((1, 1) if held else taps)), np.int8)
    for index, shift in enumerate(shifts):
        codes[:, index] = config.shift_code(shift)
    return arrange.diagonal(codes, config), held, planes


def _max_pool(
    layer: MaxPool, info: TensorInfo, out: TensorInfo, place: Place, config: EngineConfig
) -> Lowered:
    window, step, tail = _window(
        layer, info, out, place.planes, config, Mode.MERGED, separate=True
    )  # fmt: skip
    blocks, held, row_blocks = _identity(place, config, window.kernel)
    slots = int(place.slots.max()) + 1
    return Lowered(
        layer.name, "max_pool", (layer.input,), layer.output, window, Op.MAX, Mode.MERGED, blocks,
        held, row_blocks, 1, [PASS_ON] * slots, 0, out.top, 0, 0, tail, step,
    )  # fmt: skip


def _average(
    layer: AveragePool | GlobalAveragePool,
    info: TensorInfo,
    out: TensorInfo,
    place: Place,
    config: EngineConfig,
) -> Lowered:
    """Sum each window with weights of 1; words beyond the kernel count as the zero point."""
    mode = _separate_mode(config, 1)
    window, step, tail = _window(layer, info, out, place.planes, config, mode, separate=True)
    kernel = layer.kernel if isinstance(layer, AveragePool) else window.size
    words = config.window if mode is Mode.SEPARATE else 1
    summed = window.kernel[0] * window.kernel[1] * words
    check(layer, config, {
        "window": (summed, config.max_fan_in, "raise max_fan_in or pool in two layers"),
    })  # fmt: skip
    slots = int(place.slots.max()) + 1
    if mode is Mode.SEPARATE:
        ones = np.full((1, slots, 1, config.window), config.shift_code(0), np.int8)
        blocks, held, row_blocks = arrange.separate(ones, config), True, 1
    else:
        blocks, held, row_blocks = _identity(place, config, window.kernel)
    rq = layer.requantiser

    def records_of(rq: Requantiser) -> list[bytes]:
        records = [NOTHING] * slots
        folded = _records(layer.name, rq, [info.zero_point * summed] * len(place.slots))
        for slot, record in zip(place.slots, folded, strict=True):
            records[slot] = record
        return records

    if isinstance(layer, AveragePool) and layer.edges:
        counts = layer.counts((info.height, info.width))
        edges = tuple((count, records_of(edge)) for count, edge in layer.edges)
    else:
        counts, edges = None, ()
    kind = "average_pool" if isinstance(layer, AveragePool) else "global_average_pool"
    return Lowered(
        layer.name, kind, (layer.input,), layer.output, window, Op.SUM, mode, blocks, held,
        row_blocks, 1, records_of(rq), rq.lo, rq.hi, info.zero_point, 0, tail, step,
        counts=counts, variants=edges, whole=kernel[0] * kernel[1],
    )  # fmt: skip


def _add(
    layer: Add,
    infos: list[TensorInfo],
    out: TensorInfo,
    places: list[Place],
    config: EngineConfig,
) -> Lowered:
    first, second = places
    assert np.array_equal(first.slots, second.slots), f"{layer.name}: `copies` has not aligned them"
    check(layer, config, {
        "shift of an addend": (
            max(layer.shifts), config.shift_max, "raise code_bits or bring the scales closer"
        ),
        "fan-in": (2, config.max_fan_in, "raise max_fan_in"),
    })  # fmt: skip
    blocks, _, row_blocks = _identity(first, config, (1, 1), layer.shifts)
    size = (out.height, out.width)
    window = Window(size, size, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), first.planes, True, 2)
    rq = layer.requantiser
    over = sum(info.zero_point << k for info, k in zip(infos, layer.shifts, strict=True))
    records = [NOTHING] * (int(first.slots.max()) + 1)
    folded = _records(layer.name, rq, [over] * len(first.slots))
    for slot, record in zip(first.slots, folded, strict=True):
        records[slot] = record
    return Lowered(
        layer.name, "add", layer.inputs, layer.output, window, Op.SUM, Mode.PLANE, blocks, False,
        row_blocks, 1, records, rq.lo, rq.hi, 0, 0,
    )  # fmt: skip


def _upsample(
    layer: Upsample, info: TensorInfo, out: TensorInfo, place: Place, config: EngineConfig
) -> Lowered:
    blocks, held, row_blocks = _identity(place, config, (1, 1))
    window = Window((info.height, info.width), (out.height, out.width), (1, 1), (1, 1),
                    (0, 0, 0, 0), (1, 1), place.planes, True, 1, 2)  # fmt: skip
    slots = int(place.slots.max()) + 1
    return Lowered(
        layer.name, "upsample", (layer.input,), layer.output, window, Op.SUM, Mode.PLANE, blocks,
        held, row_blocks, 1, [PASS_ON] * slots, 0, out.top, 0, 0,
    )  # fmt: skip
