"""Threshold codes: the published form, bits to fewer bits by weighted sums and thresholds.

A layer's bit is 1 where the sum of the bits its weights pick, with their signs, reaches an integer
threshold: with ternary weights two population counts and a comparison. ``channel`` sees one
pixel, ``spatial`` a window of 3 x 3 in steps of 2, and its mirror gives back the height and width
it was given (arXiv 1808.05285; its released code used real weights and lost a pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..train.method import straight_through
from .frozen import TOP, A, Form, FrozenPlanes, Kind, Layer, Mode, layer_sums
from .planes import from_planes, to_planes
from .table import look_up

UNIT: dict[str, float] = {"ternary": 1.0, "int8": 64.0}  # integer weight of a latent weight 1
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
        level = self.level * unit
        return straight_through(scaled, scaled.round()), straight_through(level, level.ceil())

    def forward(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return bits 0.0 or 1.0 (B, out, *size) of bits (B, in, H, W)."""
        weights, level = self._integers()
        sums = layer_sums(bits, weights, self.stride, self.groups, self.mirrored, size)
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
    hidden : int
        Planes per channel between two layers.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """

    def __init__(
        self, channels: int, bits: int, *, kind: Kind = "channel", depth: int = 1,
        mode: Mode = "ternary", group: int | None = None, seed: int = 0, hidden: int = A,
    ) -> None:  # fmt: skip
        super().__init__()
        group = channels if group is None else group
        form = Form(channels, bits, kind, mode, group, depth, hidden)
        generator = torch.Generator().manual_seed(seed)
        self.form = form

        def layer(number: int, back: bool) -> ThresholdLayer:
            shape, wide = form.shape(number, back), form.wide(number)
            latent = torch.rand(shape, generator=generator).mul_(2 * DEAD).sub_(DEAD)
            # the upper planes go through; where a depth is 2, the outer layer hands them on
            _identity(latent, form, number, back)
            return ThresholdLayer(latent, form.groups, 2 if wide else 1, back and wide, mode)

        pairs = [(layer(number, False), layer(number, True)) for number in range(depth)]
        self.there = nn.ModuleList(there for there, _ in pairs)
        self.back = nn.ModuleList(back for _, back in reversed(pairs))

    @classmethod
    def of(cls, code: FrozenPlanes, group: int | None = None) -> PlaneCode:
        """Return the trainable form of a code in integers, which computes the same.

        Parameters
        ----------
        code : FrozenPlanes
        group : int, optional
            Put that many channels, groups of the code, together: weights between them start at 0.

        Raises
        ------
        ValueError
            If a new group is not made of whole ones.
        """
        form = code.form
        wider = form.group if group is None else group
        if wider % form.group:
            raise ValueError(f"groups of {form.group} do not make up groups of {wider}")
        made = cls(
            form.channels, form.bits, kind=form.kind, depth=form.depth, mode=form.mode,
            group=wider, hidden=form.hidden,
        )  # fmt: skip
        unit = UNIT[form.mode]
        with torch.no_grad():
            for back, layers in ((False, code.there), (True, code.back)):
                for place, layer in enumerate(layers):
                    number = form.number(place, back)
                    whole = _widened(layer, form, made.form, number, back)
                    target = made._layers(back)[place]
                    target.latent.copy_(whole.weights / unit)
                    target.level.copy_((whole.thresholds - 0.5) / unit)
        return made

    def _layers(self, back: bool) -> Sequence[ThresholdLayer]:
        return list(self.back if back else self.there)  # type: ignore[arg-type]

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value of a map of even height and width."""
        return self.form.bits_per_value

    @property
    def weight_bits(self) -> int:
        """Bits of the code's own weights and thresholds: 2 or 8, and 16."""
        return self.frozen().table_bits

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """Return what is read back of stored values, both float and integral (B, C, H, W)."""
        size = (stored.shape[2], stored.shape[3])
        small = self.form.shrunk(size)
        bits = self.form.split(to_planes(stored, A), A)
        for number, layer in enumerate(self.there, start=1):
            bits = layer(bits, small if number == len(self.there) else size)
        for layer in self.back:
            bits = layer(bits, size)
        return from_planes(self.form.joined(bits, A), A)

    def frozen(self) -> FrozenPlanes:
        """Return the code in integers: what the forward pass computes."""
        there, back = (
            tuple(lay.frozen() for lay in self._layers(which)) for which in (False, True)
        )
        return FrozenPlanes(self.form, there, back)

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the stored bits uint8 (B, k C, H', W') of a map uint8, in integers."""
        return self.frozen().encode(a)

    def decode(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the map uint8 (B, C, *size) of stored bits, in integers."""
        return self.frozen().decode(bits, size)


def _identity(latent: torch.Tensor, form: Form, number: int, back: bool) -> None:
    """Let the upper planes through a layer, there or back."""
    source, kept = form.sizes[number]
    group, wide = form.group, form.wide(number)
    through = min(source, kept)
    taps = [latent.shape[2] // 2] if not (back and wide) else [1, 2]  # a pixel copied to four
    for g in range(form.groups):
        for plane in range(through):
            for channel in range(group):
                small = (plane + kept - through) * group + channel
                large = (plane + source - through) * group + channel
                if back and not wide:
                    at = (g * source * group + large, small)
                else:  # there, and the mirror, whose weights are (in, out)
                    at = (g * kept * group + small, large)
                for y in taps:
                    for x in taps:
                        latent[(*at, y, x)] = 1.0


def _widened(layer: Layer, old: Form, new: Form, number: int, back: bool) -> Layer:
    """Return a layer for wider groups that computes the same."""
    source, kept = old.sizes[number]
    wide = old.wide(number)
    rows, columns = (source, kept) if back and not wide else (kept, source)
    weights = torch.zeros(new.shape(number, back), dtype=torch.int8)
    for first in range(0, old.channels, old.group):
        # where the planes of this old group lie in the order of the old and of the new groups
        (old_rows, new_rows), (old_columns, new_columns) = (
            _positions(first, planes, old, new) for planes in (rows, columns)
        )
        inside_old, inside_new = old_columns % (columns * old.group), new_columns % (
            columns * new.group
        )  # fmt: skip
        weights[new_rows[:, None], inside_new] = layer.weights[old_rows[:, None], inside_old]
    outputs = source if back else kept
    thresholds = new.split(old.joined(layer.thresholds[None], outputs), outputs)[0]
    return new.layer(number, back, weights, thresholds)


def _positions(
    first: int, planes: int, old: Form, new: Form
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return where the planes of the group of channel ``first`` lie, in both orders."""
    plane = torch.arange(planes)[:, None]
    channel = first + torch.arange(old.group)
    found = []
    for form in (old, new):
        g, inside = channel // form.group, channel % form.group
        found.append((g * planes * form.group + plane * form.group + inside).flatten())
    return found[0], found[1]


def fit(
    code: PlaneCode, maps: torch.Tensor, *, worth: torch.Tensor | None = None, steps: int = 200,
    batch: int = 8, rate: float = 0.003, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a code by itself on maps uint8 (B, C, H, W); the best state seen is kept.

    Parameters
    ----------
    worth : Tensor (C, 256), optional
        How much a squared error in a value of a channel matters; 1 everywhere by default.

    Returns
    -------
    list[float]
        Mean of the squared errors times their worth on all maps: before, and every tenth of the
        steps.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(code.parameters(), lr=rate)
    matters = torch.ones(code.form.channels, 256) if worth is None else worth.float()

    def loss(some: torch.Tensor) -> torch.Tensor:
        stored = some.float()
        return ((code(stored) - stored).square() * look_up(matters, some)).mean()

    def error() -> float:
        with torch.no_grad():
            parts = maps.split(batch)
            return sum(float(loss(part)) * len(part) for part in parts) / len(maps)

    errors = [error()]
    best = {name: value.clone() for name, value in code.state_dict().items()}
    for step in range(1, steps + 1):
        chosen = loss(maps[torch.randint(len(maps), (batch,), generator=generator)])
        optimiser.zero_grad()
        chosen.backward()
        for part in optimiser.param_groups:
            part["lr"] = rate * (1 - (step - 1) / steps)
        optimiser.step()
        if step % max(1, steps // 10) == 0:
            errors.append(error())
            if errors[-1] <= min(errors):
                best = {name: value.clone() for name, value in code.state_dict().items()}
    code.load_state_dict(best)
    return errors
