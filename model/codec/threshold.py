"""Threshold codes: the published form, bits to fewer bits by weighted sums and thresholds.

A layer's bit is 1 where the sum of the bits its weights pick, with their signs, reaches an integer
threshold: with ternary weights two population counts and a comparison. ``channel`` sees one
pixel, ``spatial`` a window of 3 x 3 in steps of 2, and its mirror gives back the height and width
it was given (arXiv 1808.05285; its released code used real weights and lost a pixel).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from .planes import from_planes, to_planes

Kind = Literal["channel", "spatial"]
Mode = Literal["ternary", "int8"]
A = 8
UNIT: dict[str, float] = {"ternary": 1.0, "int8": 64.0}  # integer weight of a latent weight 1
TOP: dict[str, int] = {"ternary": 1, "int8": 127}
WIDTH = 2.0  # in units: how far from its threshold a sum still has a gradient
DEAD = 0.05  # latent weights start within this of 0, or at 1


class _Step(torch.autograd.Function):
    """1 where a value is at least 0; the gradient is that of a ramp of a width."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, width: float) -> torch.Tensor:
        ctx.save_for_backward(z)
        ctx.width = width
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (z,) = ctx.saved_tensors
        return grads[0] * (z.abs() < ctx.width) / (2 * ctx.width), None


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer in integers: the definition of what is computed.

    Attributes
    ----------
    weights : Tensor int8
        (out, in / groups, kh, kw), or (in, out / groups, kh, kw) of a mirrored layer.
    thresholds : Tensor int32 (out,)
    stride, groups : int
    mirrored : bool
        Transposed: from a smaller map to a larger one.
    """

    weights: torch.Tensor
    thresholds: torch.Tensor
    stride: int
    groups: int
    mirrored: bool

    def __call__(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the bits uint8 (B, out, *size) of bits uint8 (B, in, H, W)."""
        sums = _sums(
            bits.long(), self.weights.long(), self.stride, self.groups, self.mirrored, size
        )  # fmt: skip
        return (sums >= self.thresholds.long().view(-1, 1, 1)).to(torch.uint8)


def _sums(
    x: torch.Tensor, w: torch.Tensor, stride: int, groups: int, mirrored: bool,
    size: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    """Return a layer's sums, for integers and for floats."""
    border = w.shape[2] // 2
    if not mirrored:
        return F.conv2d(x, w, None, stride, border, 1, groups)
    spare = [
        s - ((n - 1) * stride - 2 * border + w.shape[2])
        for s, n in zip(size, x.shape[2:], strict=True)
    ]
    return F.conv_transpose2d(x, w, None, stride, border, (spare[0], spare[1]), groups)


class ThresholdLayer(nn.Module):
    """The trainable form of :class:`Layer`; what it computes is what its integers compute.

    Parameters
    ----------
    latent : Tensor float
        Of the shape of :attr:`Layer.weights`; 1 stands for a whole weight.
    groups : int
    stride : int
    mirrored : bool
    mode : "ternary" | "int8"
    """

    def __init__(
        self, latent: torch.Tensor, groups: int, stride: int, mirrored: bool, mode: Mode
    ) -> None:
        super().__init__()
        self.latent = nn.Parameter(latent)
        outputs = latent.shape[1] * groups if mirrored else latent.shape[0]
        self.level = nn.Parameter(torch.full((outputs,), 0.5))  # in units of a whole weight
        self.groups, self.stride, self.mirrored, self.mode = groups, stride, mirrored, mode

    def _integers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights and thresholds as floats that are integers, with gradients."""
        unit, top = UNIT[self.mode], TOP[self.mode]
        scaled = (self.latent * unit).clamp(-top, top)
        weights = scaled + (scaled.round() - scaled).detach()
        level = self.level * unit
        return weights, level + (level.ceil() - level).detach()

    def forward(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return bits 0.0 or 1.0 (B, out, *size) of bits (B, in, H, W)."""
        weights, level = self._integers()
        sums = _sums(bits, weights, self.stride, self.groups, self.mirrored, size)
        return _Step.apply(sums - level.view(-1, 1, 1), WIDTH * UNIT[self.mode])  # type: ignore[no-any-return]

    def frozen(self) -> Layer:
        """Return the layer in integers."""
        weights, level = (part.detach() for part in self._integers())
        return Layer(
            weights.to(torch.int8), level.to(torch.int32), self.stride, self.groups, self.mirrored
        )


class PlaneCode(nn.Module):
    """A learned code from the planes of a map to fewer, and back; it starts as truncation.

    Parameters
    ----------
    channels : int
    bits : int
        k: planes stored per channel, of each pixel, or of each 2 x 2 pixels where spatial.
    kind : "channel" | "spatial"
    depth : int
        Layers each way, 1 or 2.
    mode : "ternary" | "int8"
    group : int
        G: runs of channels that are coded by themselves; all together by default.
    seed : int

    Raises
    ------
    ValueError
        If an argument is out of range.
    """

    def __init__(
        self, channels: int, bits: int, *, kind: Kind = "channel", depth: int = 1,
        mode: Mode = "ternary", group: int | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        group = channels if group is None else group
        if channels < 1 or group < 1 or channels % group:
            raise ValueError(f"groups of {group} do not divide {channels} channels")
        if not 1 <= bits <= A:
            raise ValueError(f"bits must be 1..{A}, not {bits}")
        if depth not in (1, 2) or kind not in ("channel", "spatial") or mode not in UNIT:
            raise ValueError(f"no code of kind {kind!r}, depth {depth} and mode {mode!r}")
        self.channels, self.bits, self.kind, self.group = channels, bits, kind, group
        self.groups = channels // group
        generator = torch.Generator().manual_seed(seed)
        k = 3 if kind == "spatial" else 1
        # the upper planes go through; where a depth is 2, the outer layer hands them on
        sizes = [(A, bits)] if depth == 1 else [(A, A), (A, bits)]
        there, back = [], []
        for number, (source, kept) in enumerate(sizes):
            last = number == len(sizes) - 1
            kernel = k if last else 1
            shape = (self.groups * kept * group, source * group, kernel, kernel)
            latent = torch.rand(shape, generator=generator).mul_(2 * DEAD).sub_(DEAD)
            _identity(latent, source, kept, self.groups, group, mirrored=False)
            there.append(
                ThresholdLayer(latent, self.groups, k - 1 if k > 1 and last else 1, False, mode)
            )
            mirrored = kernel > 1
            shape = (self.groups * kept * group, source * group, kernel, kernel)
            if not mirrored:
                shape = (self.groups * source * group, kept * group, 1, 1)
            latent = torch.rand(shape, generator=generator).mul_(2 * DEAD).sub_(DEAD)
            _identity(latent, source, kept, self.groups, group, mirrored, back=True)
            back.append(ThresholdLayer(latent, self.groups, 2 if mirrored else 1, mirrored, mode))
        self.there, self.back = nn.ModuleList(there), nn.ModuleList(back[::-1])

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value of a map of even height and width."""
        return self.bits / 4 if self.kind == "spatial" else float(self.bits)

    @property
    def weight_bits(self) -> int:
        """Bits of the code's own weights and thresholds: 2 or 8, and 16."""
        each = 2 if self.there[0].mode == "ternary" else 8
        layers = [*self.there, *self.back]
        return sum(each * lay.latent.numel() + 16 * lay.level.numel() for lay in layers)  # type: ignore[operator,union-attr]

    def _shrunk(self, size: tuple[int, int]) -> tuple[int, int]:
        return (-(-size[0] // 2), -(-size[1] // 2)) if self.kind == "spatial" else size

    def _split(self, planes: torch.Tensor, kept: int) -> torch.Tensor:
        """Return planes (B, kept C, ...) with those of a group of channels side by side."""
        parts = planes.unflatten(1, (kept, self.groups, self.group))
        return parts.transpose(1, 2).flatten(1, 3)

    def _joined(self, planes: torch.Tensor, kept: int) -> torch.Tensor:
        parts = planes.unflatten(1, (self.groups, kept, self.group))
        return parts.transpose(1, 2).flatten(1, 3)

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what is read back of stored values, both float and integral (B, C, H, W)."""
        size = (stored.shape[2], stored.shape[3])
        small = self._shrunk(size)
        bits = self._split(to_planes(stored, A), A)
        for number, layer in enumerate(self.there, start=1):
            bits = layer(bits, small if number == len(self.there) else size)
        for layer in self.back:
            bits = layer(bits, size)
        return from_planes(self._joined(bits, A), A)

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the stored bits uint8 (B, k C, H', W') of a map uint8, in integers."""
        size = (a.shape[2], a.shape[3])
        planes = torch.cat([(a >> j) & 1 for j in range(A)], 1)
        bits = self._split(planes, A)
        for number, layer in enumerate(self.there, start=1):
            bits = layer.frozen()(bits, self._shrunk(size) if number == len(self.there) else size)  # type: ignore[operator,union-attr]
        return bits

    def decode(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the map uint8 (B, C, *size) of stored bits, in integers."""
        for layer in self.back:
            bits = layer.frozen()(bits, size)  # type: ignore[operator,union-attr]
        planes = self._joined(bits, A).unflatten(1, (A, self.channels)).long()
        powers = 1 << torch.arange(A)
        return (planes * powers.view(-1, 1, 1, 1)).sum(1).to(torch.uint8)


def _identity(
    latent: torch.Tensor, source: int, kept: int, groups: int, group: int, mirrored: bool,
    back: bool = False,
) -> None:  # fmt: skip
    """Let the upper ``kept`` of ``source`` planes through, there or back."""
    size = latent.shape[2]
    taps = [size // 2] if not mirrored else [1, 2]  # the mirror copies a pixel to four
    for g in range(groups):
        for plane in range(kept):
            for channel in range(group):
                small = plane * group + channel
                large = (plane + source - kept) * group + channel
                if back and not mirrored:
                    at = (g * source * group + large, small)
                else:  # there, and the mirror, whose weights are (in, out)
                    at = (g * kept * group + small, large)
                for y in taps:
                    for x in taps:
                        latent[(*at, y, x)] = 1.0


def fit(
    code: PlaneCode, maps: torch.Tensor, *, steps: int = 200, batch: int = 8, rate: float = 0.003,
    seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a code by itself on maps uint8 (B, C, H, W); the best state seen is kept.

    Returns
    -------
    list[float]
        Mean squared error on all maps: before, and every tenth of the steps.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(code.parameters(), lr=rate)

    def error() -> float:
        with torch.no_grad():
            return float((code(maps.float()) - maps.float()).square().mean())

    errors = [error()]
    best = {name: value.clone() for name, value in code.state_dict().items()}
    for step in range(1, steps + 1):
        chosen = maps[torch.randint(len(maps), (batch,), generator=generator)].float()
        loss = (code(chosen) - chosen).square().mean()
        optimiser.zero_grad()
        loss.backward()
        for part in optimiser.param_groups:
            part["lr"] = rate * (1 - (step - 1) / steps)
        optimiser.step()
        if step % max(1, steps // 10) == 0:
            errors.append(error())
            if errors[-1] <= min(errors):
                best = {name: value.clone() for name, value in code.state_dict().items()}
    code.load_state_dict(best)
    return errors
