"""Random small networks of every kind of layer, each a function of its seed and the engine."""

from __future__ import annotations

from random import Random
from typing import Any

import torch

from ..hw.config import EngineConfig
from ..model.compile import compile_network
from ..model.network import Concat, Network, window_size
from .builder import NetworkBuilder, Padding, Pair
from .fuzz_codes import random_storage

LAYERS = (2, 8)  # fewest and most layers of a network
MOST_BEATS = 4000  # of one layer on the array
MOST_PIXELS = 1024  # of a tensor
TRIES = 50  # draws of a layer before another kind is drawn
ROOMY = 2048  # buffer words in which whatever is drawn fits


def random_network(seed: int, config: EngineConfig) -> tuple[Network, torch.Tensor]:
    """Return a network of 2 to 8 layers that an engine can run, and a stored input.

    Parameters
    ----------
    seed : int
    config : EngineConfig
        Limits terms, code bits, activation bits, fan-in, and how tensors are stored.

    Returns
    -------
    Network, Tensor uint8 (1, C, H, W)
    """
    drawing = _Drawing(seed, config)
    for _ in range(TRIES * LAYERS[1]):
        if drawing.complete:
            break
        drawing.step()
    network = drawing.builder.build()
    network = random_storage(network, config, seed)
    return network, drawing.builder.picture()


class _Drawing:
    """A network while it is drawn."""

    def __init__(self, seed: int, config: EngineConfig) -> None:
        self.rng = rng = Random(f"shiftwork {seed}")
        self.config = config
        self.wanted = rng.randint(*LAYERS)
        channels = rng.choice([1, 2, 3, 3, rng.randint(1, 2 * config.rows)])
        channels = min(channels, config.max_fan_in)
        size = rng.randint(1, 24), rng.randint(1, 24)
        zero = self._zero(config.act_bits)
        integers = None if config.arithmetic == "shift" else config.code_bits
        self.builder = NetworkBuilder(seed, channels, *size, zero, config.act_bits, integers)
        self.ended = False

    @property
    def complete(self) -> bool:
        return self.ended or self.room <= 0

    @property
    def room(self) -> int:
        """Layers still to come."""
        return self.wanted - len(self.builder.layers)

    def step(self) -> None:
        """Add one layer, or a branch of several, unless the buffer is too small for it."""
        rng = self.rng
        kinds = {
            self._conv: 5, self._depthwise: 3, self._grouped: 1, self._max_pool: 2,
            self._average_pool: 2, self._upsample: 1, self._shortcut: 2, self._residual: 2,
            self._branches: 3, self._global_average: 1,
        }  # fmt: skip
        kind = rng.choices([*kinds], [*kinds.values()])[0]
        before = self.builder.snapshot()
        kind()
        if self.config.buffer_words < ROOMY and not self._fits():
            self.builder.restore(before)
            self.ended = False

    def _fits(self) -> bool:
        """Whether at least one row of every layer fits the activation buffer."""
        if not self.builder.layers:
            return True
        try:
            compile_network(self.builder.build(), self.config)
        except ValueError as error:
            # All else must compile, and is told when the network is run.
            return "words of activations" not in str(error)
        return True

    def _bits(self) -> int:
        """Draw the bits of a tensor's values: mostly all that the engine has."""
        most = self.config.act_bits
        return self.rng.choice([most, most, most, self.rng.randint(2, most)])

    def _zero(self, bits: int) -> int:
        return self.rng.choice([0, 0, 1 << (bits - 1)])

    def _info(self, name: str | None = None):
        return self.builder.tensors[name or self.builder.last]

    def _window(
        self, largest: int, steps: int, *, dilate: bool = False, source: str | None = None
    ) -> tuple[Pair, Pair, Padding, Pair, Pair] | None:
        """Return kernel, stride, padding, dilation and output size of a window that fits."""
        rng, info = self.rng, self._info(source)
        for _ in range(TRIES):
            kernel = rng.randint(1, largest), rng.randint(1, largest)
            stride = rng.randint(1, steps), rng.randint(1, steps)
            dilation = rng.choice([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2)]) if dilate else (1, 1)
            far = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            wide = rng.randrange(8) == 0  # than the kernel: there are rows of padding alone
            most = [far[n % 2] + 4 if wide else min(3, far[n % 2]) for n in range(4)]
            top, left, bottom, right = (rng.randint(0, n) for n in most)
            padding = (top, left, bottom, right)
            out = window_size((info.height, info.width), kernel, stride, padding, dilation)
            if min(out) >= 1 and out[0] * out[1] <= MOST_PIXELS:
                return kernel, stride, padding, dilation, out
        return None

    def _conv(self, source: str | None = None, channels: int | None = None) -> str | None:
        """Add a convolution; None if none that is drawn fits the budget."""
        rng, config, info = self.rng, self.config, self._info(source)
        for _ in range(TRIES):
            largest = rng.choice([1, 1, 3, 3, 7, 7])
            steps = rng.choice([1, 1, 2, 4])
            window = self._window(largest, steps, dilate=True, source=source)
            if window is None:
                continue
            kernel, stride, padding, dilation, out = window
            if (count := channels) is None:
                count = rng.choice([rng.randint(1, config.cols), rng.randint(1, 3 * config.cols)])
            terms = rng.randint(1, config.max_terms)
            taps = kernel[0] * kernel[1]
            blocks = -(-info.channels // config.rows) * -(-count // config.cols)
            beats = taps * blocks * terms * max(out[0] * out[1], config.block_beats)
            if beats <= MOST_BEATS and taps * info.channels <= config.max_fan_in:
                bits = self._bits()
                zero = self._zero(bits)
                return self.builder.conv(
                    count, kernel, stride, padding, dilation, terms,
                    rng.randint(2, config.code_bits), source, zero, **self._bend(zero, bits),
                )  # fmt: skip
        return None

    def _bend(self, zero: int, bits: int) -> dict[str, Any]:
        """Draw what follows a convolution: leaky ReLU, ReLU, ReLU6, or nothing."""
        rng, top = self.rng, (1 << bits) - 1
        if self.config.leaky and rng.randrange(5) < 2:
            return {"slope": rng.choice([0.1, 0.25]), "act_bits": bits}
        limits = rng.choice([None, None, (zero, top), (zero, zero + (top - zero) * 3 // 4)])
        return {"limits": limits, "act_bits": bits}

    def _bend_separate(self) -> dict[str, Any]:
        """Draw the same for a depthwise or grouped convolution."""
        bits = self._bits()
        return self._bend(1 << (bits - 1) if self._info().zero_point else 0, bits)

    def _pointwise(self, source: str, channels: int, zero: int, bits: int) -> str | None:
        """Add a convolution that keeps the size."""
        rng, config, info = self.rng, self.config, self._info(source)
        kernel = rng.choice([(1, 1), (1, 1), (3, 3), (1, 3), (3, 1)])
        fan_in = info.channels * kernel[0] * kernel[1]
        blocks = -(-info.channels // config.rows) * -(-channels // config.cols)
        pixels = max(info.height * info.width, config.block_beats)
        beats = kernel[0] * kernel[1] * blocks * pixels
        if beats > 2 * MOST_BEATS or fan_in > config.max_fan_in:
            return None
        y, x = kernel[0] // 2, kernel[1] // 2
        terms = rng.randint(1, min(2, config.max_terms))
        return self.builder.conv(channels, kernel, (1, 1), (y, x, y, x), (1, 1), terms,
                                 min(4, config.code_bits), source, zero, act_bits=bits)  # fmt: skip

    def _depthwise(self) -> None:
        rng, config, info = self.rng, self.config, self._info()
        if window := self._window(rng.choice([3, 3, 5, 7]), rng.choice([2, 2, 4]), dilate=True):
            kernel, stride, padding, dilation, out = window
            planes = -(-info.channels // config.rows)
            terms = rng.randint(1, config.max_terms)
            taps = kernel[0] * kernel[1]
            pixels = max(out[0] * out[1], config.block_beats)
            beats = taps * planes * terms * pixels
            if beats <= MOST_BEATS and taps <= config.max_fan_in:
                self.builder.depthwise(
                    kernel, stride, padding, dilation, terms, bits=rng.randint(2, config.code_bits),
                    **self._bend_separate(),
                )  # fmt: skip

    def _grouped(self) -> None:
        rng, config, info = self.rng, self.config, self._info()
        groups = [g for g in range(2, 9) if info.channels % g == 0]
        window = self._window(rng.choice([1, 2, 3]), 2, dilate=True)
        if groups and window and window[4][0] * window[4][1] <= MOST_PIXELS // 8:
            kernel, stride, padding, dilation, _ = window
            count = rng.choice(groups)
            each = rng.randint(1, max(1, config.cols // count))
            if info.channels // count * kernel[0] * kernel[1] <= config.max_fan_in:
                self.builder.depthwise(
                    kernel, stride, padding, dilation, rng.randint(1, min(2, config.max_terms)),
                    count, count * each, rng.randint(2, config.code_bits),
                    **self._bend_separate(),
                )  # fmt: skip

    def _max_pool(self) -> None:
        if window := self._window(self.rng.choice([2, 3, 5]), self.rng.choice([2, 3, 4])):
            self.builder.max_pool(*window[:3])

    def _average_pool(self) -> None:
        if window := self._window(self.rng.choice([2, 3, 4]), self.rng.choice([2, 3, 4])):
            kernel = window[0]
            if kernel[0] * kernel[1] * self.config.window <= self.config.max_fan_in:
                self.builder.average_pool(*window[:3])

    def _global_average(self) -> None:
        info = self._info()
        fits = info.height * info.width * 4 <= min(self.config.max_fan_in, MOST_PIXELS)
        if self.room <= 2 and fits:
            self.builder.global_average()
            self.ended = self.room <= 0

    def _upsample(self) -> None:
        info = self._info()
        if 4 * info.height * info.width <= MOST_PIXELS:
            self.builder.upsample()

    def _shortcut(self) -> None:
        """Add a convolution of the last tensor to it, unless its channels have holes."""
        source = self.builder.last
        if self.room < 2 or self.config.max_fan_in < 2 or self._holes(source):
            return
        info = self._info(source)
        bits = self._bits()
        other = self._pointwise(source, info.channels, self._zero(bits), bits)
        if other is not None:
            self.builder.add(source, other, zero_point=self._zero(self.config.act_bits))

    def _residual(self) -> None:
        """Add two convolutions of the last tensor, of different scales."""
        source = self.builder.last
        if self.room < 3 or self.config.max_fan_in < 2:
            return
        channels = self.rng.randint(1, 2 * self.config.cols)
        each = [self._bits(), self._bits()]
        first = self._pointwise(source, channels, self._zero(each[0]), each[0])
        second = self._pointwise(source, channels, self._zero(each[1]), each[1]) if first else None
        if first and second:
            most = min(6, self.config.shift_max)
            shift = self.rng.randint(0, most)
            shifts = self.rng.choice([(0, shift), (shift, 0)])
            self.builder.add(first, second, shifts, self._zero(self.config.act_bits))

    def _branches(self) -> None:
        """Concatenate two or three of: convolutions of the last tensor, its pool, itself."""
        source = self.builder.last
        count = self.rng.randint(2, 3)
        if self.room < count + 1:
            return
        info, bits = self._info(source), self._bits()
        number = (info.zero_point, info.bits) if self.rng.randrange(3) else (self._zero(bits), bits)
        kept = (info.zero_point, info.bits) == number
        parts: list[str] = []
        for place in range(count):
            kind = self.rng.choice(["conv", "conv", "pool", "same"]) if kept and place else "conv"
            if kind == "same" and self._placeable(source) and source not in parts:
                part = source
            elif kind == "pool":
                part = self.builder.max_pool((3, 3), (1, 1), (1, 1, 1, 1), source)
            else:
                part = self._pointwise(source, self.rng.randint(1, self.config.cols + 3), *number)
            if part is None:
                return
            parts.append(part)
        self.rng.shuffle(parts)
        self.builder.concat(*parts)

    def _placeable(self, name: str) -> bool:
        """Whether a tensor can be made part of a concatenation: it is not part of one."""
        concats = [layer for layer in self.builder.layers if isinstance(layer, Concat)]
        placed = {part for layer in concats for part in (*layer.inputs, layer.output)}
        return name != "input" and name not in placed

    def _holes(self, name: str) -> bool:
        """Whether a tensor's channels may lie in other lanes than those of a fresh one."""
        producers = {layer.output: layer for layer in self.builder.layers}
        while name in producers and type(producers[name]).__name__ not in ("Conv", "Add"):
            if type(producers[name]).__name__ == "Concat":
                return True
            name = producers[name].inputs[0]
        layer = producers.get(name)
        return layer is not None and getattr(layer, "groups", 1) > 1
