"""Plane codes in integers: what is computed, stored with a program and built in hardware.

A layer's bit is 1 where the sum of the bits its weights pick reaches an integer threshold. A code
has one or two layers each way; :mod:`.threshold` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F

from .table import integers

Kind = Literal["channel", "spatial"]
Mode = Literal["ternary", "int8"]
A = 8
TOP: dict[str, int] = {"ternary": 1, "int8": 127}
THRESHOLD_BITS = 16  # of a stored threshold, two's complement
EXACT = 1 << 24  # integers below are exact as float32


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
        # sums of integers are exact in floats, whose convolutions are much the faster
        dtype = torch.float32 if 128 * self.weights.numel() < EXACT else torch.float64
        sums = layer_sums(
            bits.to(dtype), self.weights.to(dtype), self.stride, self.groups, self.mirrored, size
        )  # fmt: skip
        return (sums >= self.thresholds.view(-1, 1, 1)).to(torch.uint8)


def layer_sums(
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


@dataclass(frozen=True)
class Form:
    """Everything of a plane code but its weights.

    Attributes
    ----------
    channels : int
    bits : int
        k: planes stored per channel, of each pixel, or of each 2 x 2 pixels where spatial.
    kind : "channel" | "spatial"
    mode : "ternary" | "int8"
    group : int
        G: runs of channels that are coded by themselves.
    depth : int
        Layers each way, 1 or 2.
    hidden : int
        Planes per channel between two layers; of one layer it says nothing.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    channels: int
    bits: int
    kind: Kind
    mode: Mode
    group: int
    depth: int = 1
    hidden: int = A

    def __post_init__(self) -> None:
        if self.channels < 1 or self.group < 1 or self.channels % self.group:
            raise ValueError(f"groups of {self.group} do not divide {self.channels} channels")
        if not 1 <= self.bits <= A:
            raise ValueError(f"bits must be 1..{A}, not {self.bits}")
        if self.depth not in (1, 2) or self.kind not in get_args(Kind) or self.mode not in TOP:
            raise ValueError(
                f"no code of kind {self.kind!r}, depth {self.depth} and mode {self.mode!r}"
            )
        if not 1 <= self.hidden < 1 << A:
            raise ValueError(f"hidden planes must be 1..{(1 << A) - 1}, not {self.hidden}")

    @property
    def groups(self) -> int:
        """Runs of channels."""
        return self.channels // self.group

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Planes per channel before and behind each layer of the encoder."""
        if self.depth == 1:
            return [(A, self.bits)]
        return [(A, self.hidden), (self.hidden, self.bits)]

    def number(self, place: int, back: bool) -> int:
        """Return which layer of the encoder is, or is mirrored by, the one at a place in a row."""
        return self.depth - 1 - place if back else place

    def shape(self, number: int, back: bool) -> tuple[int, int, int, int]:
        """Return the weights' shape of the encoder's layer ``number``, or of its counterpart."""
        source, kept = self.sizes[number]
        width = self.channels, self.group
        kernel = 3 if self.wide(number) else 1
        if back and not self.wide(number):
            return (source * width[0], kept * width[1], 1, 1)
        return (kept * width[0], source * width[1], kernel, kernel)

    def wide(self, number: int) -> bool:
        """Whether the encoder's layer ``number``, and its mirror, sees 3 x 3 pixels."""
        return self.kind == "spatial" and number == self.depth - 1

    def layer(
        self, number: int, back: bool, weights: torch.Tensor, thresholds: torch.Tensor
    ) -> Layer:
        """Return the encoder's layer ``number``, or its counterpart, from its integers."""
        wide = self.wide(number)
        return Layer(weights, thresholds, 2 if wide else 1, self.groups, back and wide)

    def shrunk(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of what is stored."""
        return (-(-size[0] // 2), -(-size[1] // 2)) if self.kind == "spatial" else size

    def split(self, planes: torch.Tensor, kept: int) -> torch.Tensor:
        """Return planes (B, kept C, ...) with those of a group of channels side by side."""
        parts = planes.unflatten(1, (kept, self.groups, self.group))
        return parts.transpose(1, 2).flatten(1, 3)

    def joined(self, planes: torch.Tensor, kept: int) -> torch.Tensor:
        """Return what :meth:`split` was given."""
        parts = planes.unflatten(1, (self.groups, kept, self.group))
        return parts.transpose(1, 2).flatten(1, 3)

    @property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """Least and largest of a layer's stored integers, by field."""
        top, reach = TOP[self.mode], 1 << THRESHOLD_BITS - 1
        return {"weights": (-top, top), "thresholds": (-reach, reach - 1)}

    def check_depth(self, name: str, layers: int) -> None:
        """Refuse another number of layers one way than there are; ValueError by name."""
        if layers != self.depth:
            raise ValueError(f"{name} must have {self.depth} layers, not {layers}")

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value of a map of even height and width."""
        return self.bits / 4 if self.kind == "spatial" else float(self.bits)


@dataclass(frozen=True, eq=False)
class FrozenPlanes:
    """A plane code in integers.

    Attributes
    ----------
    form : Form
    there, back : tuple of Layer
        Encoder and decoder, in the order they run.

    Raises
    ------
    ValueError
        If a layer's weights or thresholds have another type or shape or are out of range.
    """

    form: Form
    there: tuple[Layer, ...]
    back: tuple[Layer, ...]

    def __post_init__(self) -> None:
        form = self.form
        for field, layers in (("there", self.there), ("back", self.back)):
            form.check_depth(field, len(layers))
            back = field == "back"
            for place, layer in enumerate(layers):
                name, number = f"{field}[{place}]", form.number(place, back)
                outputs = form.channels * form.sizes[number][0 if back else 1]
                shapes = {"weights": form.shape(number, back), "thresholds": (outputs,)}
                for part, shape in shapes.items():
                    _check(f"{name}.{part}", getattr(layer, part), shape, *form.bounds[part])
                want = form.layer(number, back, layer.weights, layer.thresholds)
                for part in ("stride", "groups", "mirrored"):
                    good, found = getattr(want, part), getattr(layer, part)
                    if good != found:
                        raise ValueError(f"{name}.{part} must be {good}, not {found}")

    @property
    def bits(self) -> int:
        """Planes stored per channel."""
        return self.form.bits

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.form.channels

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value of a map of even height and width."""
        return self.form.bits_per_value

    @property
    def table_bits(self) -> int:
        """Bits of the code's own weights and thresholds: 2 or 8, and 16."""
        each = 2 if self.form.mode == "ternary" else 8
        layers = (*self.there, *self.back)
        return sum(
            each * lay.weights.numel() + THRESHOLD_BITS * lay.thresholds.numel() for lay in layers
        )

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the stored bits uint8 (B, k C, H', W') of a map uint8 (B, C, H, W)."""
        size = (a.shape[2], a.shape[3])
        planes = torch.cat([(a >> j) & 1 for j in range(A)], 1)
        bits = self.form.split(planes, A)
        for number, layer in enumerate(self.there, start=1):
            bits = layer(bits, self.form.shrunk(size) if number == len(self.there) else size)
        return bits

    def decode(self, bits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the map uint8 (B, C, *size) of stored bits."""
        for layer in self.back:
            bits = layer(bits, size)
        planes = self.form.joined(bits, A).unflatten(1, (A, self.channels)).long()
        powers = 1 << torch.arange(A)
        return (planes * powers.view(-1, 1, 1, 1)).sum(1).to(torch.uint8)

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        """Return ``decode(encode(a))``."""
        return self.decode(self.encode(a), (a.shape[2], a.shape[3]))

    def to_dict(self) -> dict[str, Any]:
        """Return the code as plain lists, for JSON."""
        form = self.form
        sizes = {"channels": form.channels, "bits": form.bits, "group": form.group}
        layers = {
            name: [
                {"weights": lay.weights.tolist(), "thresholds": lay.thresholds.tolist()}
                for lay in several
            ]
            for name, several in (("there", self.there), ("back", self.back))
        }
        return {"kind": form.kind, "mode": form.mode, **sizes, "hidden": form.hidden, **layers}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FrozenPlanes:
        """Return the code that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If the data are of another kind, incomplete or damaged; the message names the field.
        """
        for field, known in (("kind", get_args(Kind)), ("mode", get_args(Mode))):
            if data.get(field) not in known:
                raise ValueError(
                    f"codec {field} must be {' or '.join(map(repr, known))}, "
                    f"not {data.get(field)!r}"
                )
        for field in ("channels", "bits", "group", "hidden"):
            if not isinstance(data.get(field), int) or isinstance(data[field], bool):
                raise ValueError(f"codec {field} must be an integer, not {data.get(field)!r}")
        for field in ("there", "back"):
            if not isinstance(data.get(field), list):
                raise ValueError(f"codec {field} must be a list of layers, not {data.get(field)!r}")
        form = Form(
            data["channels"], data["bits"], data["kind"], data["mode"], data["group"],
            len(data["there"]), data["hidden"],
        )  # fmt: skip
        form.check_depth("codec back", len(data["back"]))
        found: dict[str, list[Layer]] = {"there": [], "back": []}
        for field, several in found.items():
            for place, entry in enumerate(data[field]):
                if not isinstance(entry, Mapping):
                    raise ValueError(f"codec {field}[{place}] must be a layer, not {entry!r}")
                weights, steps = (
                    integers(entry, name, *bounds, f"{field}[{place}].")
                    for name, bounds in form.bounds.items()
                )
                back = field == "back"
                several.append(form.layer(
                    form.number(place, back), back, weights.to(torch.int8), steps.to(torch.int32)
                ))  # fmt: skip
        return cls(form, tuple(found["there"]), tuple(found["back"]))


def _check(name: str, value: torch.Tensor, shape: tuple[int, ...], low: int, high: int) -> None:
    """Refuse integers of another shape or out of a range."""
    if value.is_floating_point():
        raise ValueError(f"{name} must be integers, not {value.dtype}")
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {shape}, not {tuple(value.shape)}")
    if int(value.min()) < low or int(value.max()) > high:
        raise ValueError(
            f"{name} must be {low}..{high}, not {int(value.min())}..{int(value.max())}"
        )
