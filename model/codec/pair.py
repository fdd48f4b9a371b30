"""Pair code: two neighbouring channels share b bits, so that rates lie between whole bits.

Each channel of a pair has as many levels as pays, n1 n2 <= 2^b, and thresholds of its own; the
stored code is c1 n2 + c2. The decoder is one table over the joint code, so that what one channel
is tells something about the other: its entries are the means of what was coded so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from .levels import Progress, best_splits
from .table import VALUES, look_up

PAIR_BITS_MAX = 8
NEVER = VALUES  # a threshold that no value reaches


@dataclass(frozen=True, eq=False)
class PairCode:
    """Code of one tensor with an even number of channels, two to a code.

    Attributes
    ----------
    bits : int
        b, bits stored per pair, 2..8.
    counts : Tensor int64 (P, 2)
        Levels of the first and of the second channel of each pair.
    thresholds : Tensor int16 (2 P, 2^b - 1)
        Sorted; 256 behind the last of a channel.
    levels : Tensor uint8 (P, 2^b, 2)
        What a joint code stands for; unused codes are 0.

    Raises
    ------
    ValueError
        If bits is out of range, shapes do not fit or the levels of a pair need more bits.
    """

    bits: int
    counts: torch.Tensor
    thresholds: torch.Tensor
    levels: torch.Tensor

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= PAIR_BITS_MAX:
            raise ValueError(f"a pair code's bits must be 2..{PAIR_BITS_MAX}, not {self.bits}")
        pairs, codes = len(self.counts), 1 << self.bits
        shapes: dict[str, tuple[int, ...]] = {
            "counts": (pairs, 2), "thresholds": (2 * pairs, codes - 1), "levels": (pairs, codes, 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name} of {pairs} pairs must be {shape}, not {found}")
        if bool((self.counts < 1).any()) or int(self.counts.prod(1).max()) > codes:
            raise ValueError(f"levels of a pair must fit {self.bits} bits: lower counts")
        if bool((self.thresholds.diff(dim=1) < 0).any()):
            raise ValueError("thresholds must not fall: sort them")
        used = (self.thresholds < NEVER).sum(1).view(-1, 2)
        if bool((used > self.counts - 1).any()):
            raise ValueError("a channel has more thresholds than its levels need")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 2 * len(self.counts)

    @property
    def table_bits(self) -> int:
        """Bits of the code's own tables: 8 for each threshold in use and each level."""
        used = int((self.thresholds < NEVER).sum())
        return 8 * (used + 2 * int(self.counts.prod(1).sum()))

    @cached_property
    def _parts(self) -> torch.Tensor:
        """Each value's part of the joint code, uint8 (2 P, 256)."""
        values = torch.arange(VALUES, dtype=torch.int16)
        codes = (values[None, :, None] >= self.thresholds[:, None, :]).sum(2)
        codes[::2] *= self.counts[:, 1:]
        return codes.to(torch.uint8)

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the joint codes uint8 (B, P, ...) of values uint8 (B, 2 P, ...)."""
        parts = look_up(self._parts, a)
        return parts[:, ::2] + parts[:, 1::2]

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the values uint8 (B, 2 P, ...) of joint codes uint8 (B, P, ...).

        Raises
        ------
        ValueError
            If a code has more than b bits.
        """
        if self.bits < 8 and codes.numel() and int(codes.max()) >> self.bits:
            raise ValueError(f"codes must have {self.bits} bits, not value {int(codes.max())}")
        halves = [look_up(self.levels[:, :, i].contiguous(), codes) for i in range(2)]
        return torch.stack(halves, 2).flatten(1, 2)

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        """Return ``decode(encode(a))``."""
        return self.decode(self.encode(a))


def best_pairs(weights: torch.Tensor, bits: int, progress: Progress | None = None) -> PairCode:
    """Return the pair code with the least weighted squared error, the channels by themselves.

    Parameters
    ----------
    weights : Tensor float64 (2 P, 256)
        As :func:`.levels.best_splits` takes them.
    bits : int
        b.

    Raises
    ------
    ValueError
        If the number of channels is odd, or ``bits`` is out of range.
    """
    if len(weights) % 2:
        raise ValueError(f"pairs need an even number of channels, not {len(weights)}")
    if not 2 <= bits <= PAIR_BITS_MAX:
        raise ValueError(f"a pair code's bits must be 2..{PAIR_BITS_MAX}, not {bits}")
    codes = 1 << bits
    most = min(codes // 2, VALUES // 2)
    splits = best_splits(weights, range(1, most + 1), progress=progress)
    costs = torch.stack([splits[n].costs for n in range(1, most + 1)], 1).view(-1, 2, most)
    first = torch.arange(2, most + 1)
    second = torch.clamp(codes // first, max=most)
    total = costs[:, 0, first - 1] + costs[:, 1, second - 1]
    chosen = total.argmin(1)
    counts = torch.stack([first[chosen], second[chosen]], 1)
    pairs = len(counts)
    thresholds = torch.full((2 * pairs, codes - 1), NEVER, dtype=torch.int16)
    levels = torch.zeros(pairs, codes, 2, dtype=torch.uint8)
    for pair in range(pairs):
        n1, n2 = counts[pair].tolist()
        thresholds[2 * pair, : n1 - 1] = splits[n1].starts[2 * pair]
        thresholds[2 * pair + 1, : n2 - 1] = splits[n2].starts[2 * pair + 1]
        joint = levels[pair, : n1 * n2].view(n1, n2, 2)
        joint[:, :, 0] = splits[n1].levels[2 * pair, :, None]
        joint[:, :, 1] = splits[n2].levels[2 * pair + 1]
    return PairCode(bits, counts, thresholds, levels)


class JointMeans:
    """Gathers what each joint code of a pair code really stands for.

    Parameters
    ----------
    code : PairCode
    """

    def __init__(self, code: PairCode) -> None:
        self.code = code
        self._counts = torch.zeros(code.levels[:, :, 0].numel(), dtype=torch.int64)
        self._sums = torch.zeros(2, len(self._counts), dtype=torch.float64)

    def add(self, a: torch.Tensor) -> None:
        """Take in maps uint8 (B, 2 P, H, W)."""
        codes = self.code.encode(a).long()
        first = torch.arange(codes.shape[1]).view(-1, *(1,) * (codes.ndim - 2)) << self.code.bits
        index = (codes + first).flatten()
        self._counts += torch.bincount(index, minlength=len(self._counts))
        for i, total in enumerate(self._sums):
            values = a[:, i::2].flatten().double()
            total += torch.bincount(index, values, minlength=len(self._counts))

    def joint(self) -> PairCode:
        """Return the code whose levels are the means; where nothing was seen they stay."""
        means = (self._sums / self._counts.clamp(min=1)).round().to(torch.uint8)
        means = means.T.reshape(self.code.levels.shape)
        seen = (self._counts > 0).view(*self.code.levels.shape[:2], 1)
        levels = torch.where(seen, means, self.code.levels)
        return PairCode(self.code.bits, self.code.counts, self.code.thresholds, levels)
