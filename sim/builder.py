"""Building networks of random codes whose feature maps use their whole range."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import torch

from ..model.codebook import Codebook, ShiftWeights
from ..model.fixed import Requantiser, fit_slope
from ..model.integers import IntegerBook
from ..model.network import (
    Add,
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    TensorInfo,
    Upsample,
    window_size,
)

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


class NetworkBuilder:
    """Adds layers with seeded random codes one after another; every call names its output.

    With ``integers`` weights are integers of so many bits, or fewer where a layer says so.
    """

    def __init__(
        self,
        seed: int,
        channels: int,
        height: int,
        width: int,
        zero_point: int = 0,
        bits: int = 8,
        integers: int | None = None,
    ):
        self.bits = bits
        self.integers = integers
        self.rng = Random(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)
        self.tensors = {"input": TensorInfo("input", channels, height, width, 0, zero_point, bits)}
        self.layers: list[Layer] = []
        self.last = "input"

    def snapshot(self) -> tuple[dict[str, TensorInfo], list[Layer], str]:
        """Return what `restore` takes back."""
        return dict(self.tensors), list(self.layers), self.last

    def restore(self, snapshot: tuple[dict[str, TensorInfo], list[Layer], str]) -> None:
        """Forget the layers added since a snapshot."""
        self.tensors, self.layers, self.last = dict(snapshot[0]), list(snapshot[1]), snapshot[2]

    def _output(
        self, layer: str, channels: int, size: Pair, zero_point: int, bits: int | None = None
    ) -> str:
        name = f"{layer}.out"
        self.tensors[name] = TensorInfo(name, channels, *size, 0, zero_point, bits or self.bits)
        self.last = name
        return name

    def conv(
        self,
        channels: int,
        kernel: Pair = (1, 1),
        stride: Pair = (1, 1),
        padding: Padding = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        terms: int = 2,
        bits: int | None = None,
        source: str | None = None,
        zero_point: int = 0,
        groups: int = 1,
        slope: float | None = None,
        limits: Pair | None = None,
        act_bits: int | None = None,
    ) -> str:
        """Add a convolution with a scale per channel that spreads its outputs over all values.

        ``limits`` (lo, hi) are the stored values it is clamped to, all by default; ``act_bits``
        the bits of its output, the network's by default.
        """
        info = self.tensors[source or self.last]
        if self.integers is None:
            book = Codebook(terms, bits or 4)
        else:
            book = IntegerBook(bits or self.integers)
        shape = (book.terms, channels, info.channels // groups, *kernel)
        codes = torch.randint(
            -book.magnitudes, book.magnitudes + 1, shape, dtype=torch.int8, generator=self.torch_rng
        )
        weights = ShiftWeights(codes, torch.tensor(1.0, dtype=torch.float64), book)
        integers = weights.integers().flatten(1).double().numpy()
        values = 1 << (act_bits or self.bits)
        spread = np.sqrt((integers**2).sum(1)) * (74 * (info.top + 1) / 256) + 1
        gain = 60 * values / 256 / spread
        mean = integers.sum(1) * (info.top / 2 - info.zero_point)
        rq = Requantiser.from_real(
            gain, values / 2 - mean * gain, *(limits or (0, values - 1)),
            fit_slope(slope) if slope is not None else (), zero_point,
        )  # fmt: skip
        size = window_size((info.height, info.width), kernel, stride, padding, dilation)
        name = f"conv{len(self.layers)}"
        out = self._output(name, channels, size, zero_point, act_bits)
        self.layers.append(
            Conv(name, info.name, out, kernel, stride, padding, weights, rq, dilation, groups)
        )
        return out

    def depthwise(
        self,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: Padding = (0, 0, 0, 0),
        dilation: Pair = (1, 1),
        terms: int = 2,
        groups: int | None = None,
        channels: int | None = None,
        bits: int | None = None,
        slope: float | None = None,
        limits: Pair | None = None,
        act_bits: int | None = None,
    ) -> str:
        """Add a depthwise convolution, or one of ``groups`` groups; stays signed or unsigned."""
        info = self.tensors[self.last]
        groups = groups or info.channels
        channels = channels or info.channels
        zero_point = 1 << ((act_bits or self.bits) - 1) if info.zero_point else 0
        return self.conv(
            channels, kernel, stride, padding, dilation, terms, bits, zero_point=zero_point,
            groups=groups, slope=slope, limits=limits, act_bits=act_bits,
        )  # fmt: skip

    def max_pool(
        self, kernel: Pair, stride: Pair, padding: Padding = (0, 0, 0, 0), source: str | None = None
    ) -> str:
        """Add a max pool."""
        info = self.tensors[source or self.last]
        size = window_size((info.height, info.width), kernel, stride, padding, (1, 1))
        name = f"pool{len(self.layers)}"
        out = self._output(name, info.channels, size, info.zero_point, info.bits)
        self.layers.append(MaxPool(name, info.name, out, kernel, stride, padding))
        return out

    def concat(self, *sources: str) -> str:
        """Add a concatenation."""
        infos = [self.tensors[s] for s in sources]
        name = f"concat{len(self.layers)}"
        out = self._output(name, sum(i.channels for i in infos),
                           (infos[0].height, infos[0].width), infos[0].zero_point,
                           infos[0].bits)  # fmt: skip
        self.layers.append(Concat(name, sources, out))
        return out

    def average_pool(self, kernel: Pair, stride: Pair, padding: Padding = (0, 0, 0, 0)) -> str:
        """Add an average pool."""
        info = self.tensors[self.last]
        size = window_size((info.height, info.width), kernel, stride, padding, (1, 1))
        name = f"average{len(self.layers)}"
        scale = np.full(info.channels, 1 / (kernel[0] * kernel[1]))
        rq = Requantiser.from_real(scale, np.full(info.channels, float(info.zero_point)),
                                   0, info.top)  # fmt: skip
        out = self._output(name, info.channels, size, info.zero_point, info.bits)
        self.layers.append(AveragePool(name, info.name, out, kernel, stride, padding, rq))
        return out

    def add(self, a: str, b: str, shifts: Pair = (0, 0), zero_point: int = 0) -> str:
        """Add a residual addition of tensors whose scales differ by the shifts."""
        info = self.tensors[a]
        low = min(shifts)
        for name, shift in ((a, shifts[0]), (b, shifts[1])):
            self._rescale(name, low - shift)
        name = f"add{len(self.layers)}"
        largest = max(info.top, self.tensors[b].top)
        values = 1 << self.bits
        scale = np.full(info.channels, values / (largest + 1) / (2 << max(shifts)))
        middle = 60.0 * values / 256 + zero_point / 2
        rq = Requantiser.from_real(scale, np.full(info.channels, middle), 0, values - 1)
        out = self._output(name, info.channels, (info.height, info.width), zero_point)
        self.layers.append(Add(name, (a, b), out, shifts, rq))
        return out

    def _rescale(self, name: str, frac_bits: int) -> None:
        """Say that a tensor's values count 2^-frac_bits; no stored value depends on it."""
        self.tensors[name] = replace(self.tensors[name], frac_bits=frac_bits)

    def upsample(self) -> str:
        """Add a nearest upsampling."""
        info = self.tensors[self.last]
        name = f"upsample{len(self.layers)}"
        size = (2 * info.height, 2 * info.width)
        out = self._output(name, info.channels, size, info.zero_point, info.bits)
        self.layers.append(Upsample(name, info.name, out))
        return out

    def global_average(self) -> str:
        """Add a global average pool."""
        info = self.tensors[self.last]
        name = f"average{len(self.layers)}"
        rq = Requantiser.from_real(
            np.full(info.channels, 1 / (info.height * info.width)),
            np.zeros(info.channels),
            0,
            info.top,
        )
        out = self._output(name, info.channels, (1, 1), 0, info.bits)
        self.layers.append(GlobalAveragePool(name, info.name, out, rq))
        return out

    def build(self) -> Network:
        """Return the network."""
        return Network("random", "input", self.last, dict(self.tensors), list(self.layers))

    def picture(self) -> torch.Tensor:
        """Return a random stored input, uint8 (1, C, H, W)."""
        shape = (1, *self.tensors["input"].shape)
        return torch.randint(0, 1 << self.bits, shape, dtype=torch.uint8, generator=self.torch_rng)
