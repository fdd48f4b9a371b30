"""A quantised network as plain data: tensors, layers, and how pictures become its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .codebook import ShiftWeights
from .codec.table import TableCode
from .coded import check_codes
from .fixed import Requantiser
from .means import Counts, Padding, Pair, check_counts, counts_of
from .preprocess import Preprocess

__all__ = [
    "ADD_SHIFT_MAX", "Add", "AveragePool", "Concat", "Conv", "GlobalAveragePool", "Layer",
    "MaxPool", "Network", "OneInput", "Padding", "Pair", "Requantised", "TensorInfo", "Upsample",
    "window_size",
]  # fmt: skip


class OneInput:
    """What reads one tensor, ``input``."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class TensorInfo:
    """One feature map: stored unsigned integers a, real value (a - zero_point) 2^-frac_bits.

    Attributes
    ----------
    name : str
    channels, height, width : int
        Shape of one picture's map.
    frac_bits : int
        f, binary digits after the point; may be negative.
    zero_point : int
        z, the stored value of 0: 0 or 2^(bits - 1).
    bits : int
        A, bits of a stored value, 2..8.
    """

    name: str
    channels: int
    height: int
    width: int
    frac_bits: int
    zero_point: int = 0
    bits: int = 8

    def __post_init__(self) -> None:
        for label in ("channels", "height", "width"):
            if getattr(self, label) < 1:
                raise ValueError(
                    f"tensor {self.name!r}: {label} must be positive, not {getattr(self, label)}"
                )
        if not 2 <= self.bits <= 8:
            raise ValueError(f"tensor {self.name!r}: bits must be in 2..8, not {self.bits}")
        if self.zero_point not in (0, 1 << (self.bits - 1)):
            raise ValueError(
                f"tensor {self.name!r}: zero_point must be 0 or {1 << (self.bits - 1)}, "
                f"not {self.zero_point}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def top(self) -> int:
        """Largest stored value."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, eq=False)
class Conv(OneInput):
    """Convolution, then requantise: a fully connected layer is a 1x1 one.

    ``weights`` has codes (N, Cout, Cin / groups, kh, kw); padding inserts the input's zero point.
    Output channels are split into ``groups`` runs of equal length; the g-th reads the g-th run of
    input channels alone. Depthwise: as many groups as input channels.
    """

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding
    weights: ShiftWeights
    requantiser: Requantiser
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class MaxPool(OneInput):
    """Maximum of each window; padding inserts the stored value 0.

    Ceil mode is extra padding at the bottom and on the right.
    """

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class Concat:
    """Channels of several tensors one after another; they share scale and zero point."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class GlobalAveragePool(OneInput):
    """Sum over all pixels of each channel, requantised (1 / (height width) is in its scale)."""

    name: str
    input: str
    output: str
    requantiser: Requantiser


@dataclass(frozen=True, eq=False)
class AveragePool(OneInput):
    """Sum of each window of every channel, requantised (1 / (kh kw) is in its scale).

    Padding inserts the input's zero point, so it counts as real 0 in the mean, but for its
    outermost rows and columns ``left_out``: windows over these have a requantiser of their own, in
    ``edges`` by the number of values they count, see `means`.
    """

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding
    requantiser: Requantiser
    left_out: Padding = (0, 0, 0, 0)
    edges: tuple[tuple[int, Requantiser], ...] = ()

    def counts(self, size: Pair) -> Counts:
        """Return how many values each window counts on a map of ``size``."""
        return counts_of(size, self.kernel, self.stride, self.padding, self.left_out)


@dataclass(frozen=True, eq=False)
class Add:
    """Sum of two tensors of one shape: ``((a - z_a) << k_a) + ((b - z_b) << k_b)``, requantised.

    ``shifts`` (k_a, k_b), each 0..ADD_SHIFT_MAX, bring both to the finer of their two scales.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    shifts: Pair
    requantiser: Requantiser


@dataclass(frozen=True)
class Upsample(OneInput):
    """Every pixel becomes a square of 2 x 2 equal ones."""

    name: str
    input: str
    output: str


Layer = Conv | MaxPool | AveragePool | GlobalAveragePool | Add | Concat | Upsample
Requantised = Conv | AveragePool | GlobalAveragePool | Add
ADD_SHIFT_MAX = 6  # largest left shift of an addend, in bits


def window_size(size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """Return (height, width) of what a sliding window makes of a map of ``size``."""
    spans = (padding[0] + padding[2], padding[1] + padding[3])
    height, width = (
        (n + pad - d * (k - 1) - 1) // s + 1
        for n, pad, k, s, d in zip(size, spans, kernel, stride, dilation, strict=True)
    )
    return height, width


def _check_window(layer: Conv | MaxPool | AveragePool) -> None:
    for label, count, least in (
        ("kernel", 2, 1), ("stride", 2, 1), ("dilation", 2, 1), ("padding", 4, 0),
    ):  # fmt: skip
        values = getattr(layer, label, (1, 1))  # pooling has no dilation
        if len(values) != count or not all(isinstance(v, int) and v >= least for v in values):
            raise ValueError(
                f"layer {layer.name!r}: {label} must be {count} integers of at least {least}, "
                f"not {values}"
            )


def _check_groups(layer: Conv, inputs: int, outputs: int) -> None:
    if layer.groups < 1 or inputs % layer.groups or outputs % layer.groups:
        raise ValueError(
            f"layer {layer.name!r}: groups must divide {inputs} input and {outputs} output "
            f"channels, not be {layer.groups}"
        )


def _check_addends(layer: Add, parts: list[TensorInfo]) -> None:
    if len(parts) != 2 or parts[0].shape != parts[1].shape:
        shapes = " and ".join(str(part.shape) for part in parts)
        raise ValueError(f"layer {layer.name!r}: two inputs of one shape are added, not {shapes}")
    if not all(0 <= shift <= ADD_SHIFT_MAX for shift in layer.shifts):
        raise ValueError(
            f"layer {layer.name!r}: shifts must be in 0..{ADD_SHIFT_MAX}, not {layer.shifts}"
        )
    scales = {part.frac_bits + k for part, k in zip(parts, layer.shifts, strict=True)}
    if len(scales) > 1:
        raise ValueError(
            f"layer {layer.name!r}: shifts {layer.shifts} do not align scales "
            f"2^-{parts[0].frac_bits} and 2^-{parts[1].frac_bits}"
        )


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order of execution, and every tensor they read or write.

    Attributes
    ----------
    name : str
    input, output : str
        Names of the input and output tensors.
    tensors : dict[str, TensorInfo]
    layers : list[Layer]
    preprocess : Preprocess or None
        How a picture becomes the input tensor.
    classes : tuple[str, ...]
        Class names, one per output channel, or none.
    extra_outputs : tuple[str, ...]
        Further tensors that are results, for a network with several heads.
    codes : dict[str, TableCode]
        Tensors that go to memory in fewer bits: whoever reads them reads ``code(a)`` for a. A
        concatenation and its parts have the same codes, see `coded.with_codes`.
    zeros : tuple[str, ...]
        Tensors that go to memory without their zeros, which loses nothing. A concatenation and
        its parts alike, see `coded.with_zeros_left_out`.

    Raises
    ------
    ValueError
        If layers and tensors do not fit together; the message names layer and tensor.
    """

    name: str
    input: str
    output: str
    tensors: dict[str, TensorInfo]
    layers: list[Layer]
    preprocess: Preprocess | None = None
    classes: tuple[str, ...] = field(default=())
    extra_outputs: tuple[str, ...] = ()
    codes: dict[str, TableCode] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all result tensors, ``output`` first."""
        return (self.output, *self.extra_outputs)

    def __post_init__(self) -> None:
        known = {self.input}
        for end in ("input", "output"):
            if getattr(self, end) not in self.tensors:
                raise ValueError(f"{end} tensor {getattr(self, end)!r} is not among the tensors")
        names: set[str] = set()
        for layer in self.layers:
            if layer.name in names:
                raise ValueError(f"two layers are named {layer.name!r}")
            names.add(layer.name)
            for tensor in (*layer.inputs, layer.output):
                if tensor not in self.tensors:
                    raise ValueError(f"layer {layer.name!r}: no tensor {tensor!r}")
            for tensor in layer.inputs:
                if tensor not in known:
                    raise ValueError(f"layer {layer.name!r} reads {tensor!r} before it is written")
            if layer.output in known:
                raise ValueError(f"layer {layer.name!r} writes {layer.output!r} a second time")
            known.add(layer.output)
            self._check(layer)
        for name in self.outputs:
            if name not in known:
                raise ValueError(f"no layer writes the output tensor {name!r}")
        check_codes(self)
        if self.classes and len(self.classes) != self.tensors[self.output].channels:
            raise ValueError(
                f"{len(self.classes)} class names for "
                f"{self.tensors[self.output].channels} output channels"
            )

    def _check(self, layer: Layer) -> None:
        """Compare one layer with the shapes and scales of its tensors."""
        parts = [self.tensors[name] for name in layer.inputs]
        first, out = parts[0], self.tensors[layer.output]
        size: Pair = (first.height, first.width)
        channels = first.channels
        if isinstance(layer, Conv | MaxPool | AveragePool):
            _check_window(layer)
        if isinstance(layer, Conv):
            _check_groups(layer, channels, out.channels)
            want = (out.channels, channels // layer.groups, *layer.kernel)
            if tuple(layer.weights.shape) != want:
                raise ValueError(
                    f"layer {layer.name!r}: weights must be {want}, "
                    f"not {tuple(layer.weights.shape)}"
                )
            channels = out.channels
            size = window_size(size, layer.kernel, layer.stride, layer.padding, layer.dilation)
        elif isinstance(layer, MaxPool | AveragePool):
            if isinstance(layer, AveragePool):
                check_counts(layer, layer.counts(size))
            size = window_size(size, layer.kernel, layer.stride, layer.padding, (1, 1))
        elif isinstance(layer, Concat):
            channels = sum(part.channels for part in parts)
            for part in parts:
                if (part.height, part.width) != size:
                    raise ValueError(f"layer {layer.name!r}: {part.name!r} has another size")
        elif isinstance(layer, Add):
            _check_addends(layer, parts)
        elif isinstance(layer, Upsample):
            size = (2 * first.height, 2 * first.width)
        else:
            size = (1, 1)
        if out.shape != (channels, *size):
            raise ValueError(
                f"layer {layer.name!r}: output {out.name!r} must be {(channels, *size)}, "
                f"not {out.shape}"
            )
        if isinstance(layer, Requantised):
            rq = layer.requantiser
            edges = layer.edges if isinstance(layer, AveragePool) else ()
            every = [rq, *(edge for _, edge in edges)]
            if any(each.channels != channels or each.hi > out.top for each in every):
                raise ValueError(f"layer {layer.name!r}: requantiser does not fit {out.name!r}")
            if rq.slope and rq.zero != out.zero_point:
                raise ValueError(
                    f"layer {layer.name!r}: the slope bends at {rq.zero}, but {out.name!r} has "
                    f"zero_point {out.zero_point}"
                )
        else:
            number = (out.frac_bits, out.zero_point, out.bits)
            for part in parts:
                if (part.frac_bits, part.zero_point, part.bits) != number:
                    raise ValueError(
                        f"layer {layer.name!r}: {part.name!r} and {out.name!r} must share scale"
                    )

    def convolutions(self) -> Iterator[Conv]:
        """Yield the convolutions in order."""
        return (layer for layer in self.layers if isinstance(layer, Conv))

    def macs(self, layer: Conv) -> int:
        """Return the multiply-accumulate operations a convolution stands for, per picture."""
        out = self.tensors[layer.output]
        return out.height * out.width * layer.weights.codes[0].numel()

    def save(self, folder: str | Path) -> Path:
        """Write ``network.json`` and ``weights.safetensors`` into ``folder`` and return it."""
        from .storage import save_network

        return save_network(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Network:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If a file is missing, foreign or damaged; the message names the field.
        """
        from .storage import load_network

        return load_network(Path(folder))
