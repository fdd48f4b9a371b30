"""A quantised network as plain data: tensors, layers, and how pictures become its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .codebook import ShiftWeights
from .fixed import Requantiser
from .preprocess import Preprocess

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right


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
class Conv:
    """Convolution, then requantise: a fully connected layer is a 1x1 one.

    ``weights`` has codes (N, Cout, Cin, kh, kw); padding inserts the input's zero point.
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

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class MaxPool:
    """Maximum of each window; padding inserts the stored value 0.

    Ceil mode is extra padding at the bottom and on the right.
    """

    name: str
    input: str
    output: str
    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True)
class Concat:
    """Channels of several tensors one after another; they share scale and zero point."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class GlobalAveragePool:
    """Sum over all pixels of each channel, requantised (1 / (height width) is in its scale)."""

    name: str
    input: str
    output: str
    requantiser: Requantiser

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


Layer = Conv | MaxPool | Concat | GlobalAveragePool


def window_size(size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """Return (height, width) of what a sliding window makes of a map of ``size``."""
    spans = (padding[0] + padding[2], padding[1] + padding[3])
    height, width = (
        (n + pad - d * (k - 1) - 1) // s + 1
        for n, pad, k, s, d in zip(size, spans, kernel, stride, dilation, strict=True)
    )
    return height, width


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
        if self.output not in known:
            raise ValueError(f"no layer writes the output tensor {self.output!r}")
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
        if isinstance(layer, Conv):
            want = (out.channels, first.channels, *layer.kernel)
            if tuple(layer.weights.shape) != want:
                raise ValueError(
                    f"layer {layer.name!r}: weights must be {want}, "
                    f"not {tuple(layer.weights.shape)}"
                )
            channels = out.channels
            size = window_size(size, layer.kernel, layer.stride, layer.padding, layer.dilation)
        elif isinstance(layer, MaxPool):
            size = window_size(size, layer.kernel, layer.stride, layer.padding, (1, 1))
        elif isinstance(layer, Concat):
            channels = sum(part.channels for part in parts)
            for part in parts:
                if (part.height, part.width) != size:
                    raise ValueError(f"layer {layer.name!r}: {part.name!r} has another size")
        else:
            size = (1, 1)
        if out.shape != (channels, *size):
            raise ValueError(
                f"layer {layer.name!r}: output {out.name!r} must be {(channels, *size)}, "
                f"not {out.shape}"
            )
        if isinstance(layer, Conv | GlobalAveragePool):
            if layer.requantiser.channels != channels or layer.requantiser.hi > out.top:
                raise ValueError(f"layer {layer.name!r}: requantiser does not fit {out.name!r}")
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
