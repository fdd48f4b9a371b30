"""Switched tables: the pixel to the left says which table of a channel codes the next one.

What is read back of the left neighbour falls into one of S ranges, and each has its own thresholds
and levels. Encoder and decoder both know it, so the rate stays k bits. The first pixel of a row
goes by range 0, whatever the ranges are, so that circuits need no start per channel. A difference
to the neighbour, the plain predictor, is :class:`Difference`. Neither commutes with maxima, as a
table does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .levels import best_tables
from .options import Profile
from .table import VALUES, TableCode, check_codes, look_up

SHARE = 1e-3  # of a range's weight that goes by the whole channel's: it may have seen little
MIDDLE = 128  # difference 0


@dataclass(frozen=True, eq=False)
class SwitchedTable:
    """Code of one tensor with S tables per channel.

    Attributes
    ----------
    ranges : TableCode
        (C); its thresholds part the neighbour's values, its levels say nothing.
    tables : TableCode
        (S C), the S of a channel one after another.

    Raises
    ------
    ValueError
        If there are not as many tables as ranges.
    """

    ranges: TableCode
    tables: TableCode

    def __post_init__(self) -> None:
        count = self.ranges.channels << self.ranges.bits
        if self.tables.channels != count:
            raise ValueError(
                f"tables must be {count}, one for each range, not {self.tables.channels}"
            )

    @property
    def bits(self) -> int:
        """Bits stored per value."""
        return self.tables.bits

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.ranges.channels

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value."""
        return float(self.bits)

    @property
    def table_bits(self) -> int:
        """Bits of the code's own tables: 8 for each threshold and level."""
        return self.tables.table_bits + 8 * self.ranges.thresholds.numel()

    def _walk(self, a: torch.Tensor, tables: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return what the tables (S C, n) make of ``a``; the last one gives the neighbour."""
        many = 1 << self.ranges.bits
        first = torch.arange(self.channels).view(1, -1, 1) * many
        ranges = self.ranges.codes.long().flatten()
        own = torch.arange(self.channels).view(1, -1, 1) * VALUES
        flat = [table.flatten() for table in tables]
        entries = tables[0].shape[1]
        columns = []
        at = torch.zeros(a.shape[:3], dtype=torch.int64)
        for column in a.unbind(3):
            index = (first + at) * entries + column.long()
            columns.append(flat[0][index])
            at = ranges[own + flat[-1][index].long()]
        return torch.stack(columns, 3)

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the codes 0..2^k - 1 of values uint8 (B, C, H, W), uint8 of the same shape."""
        return self._walk(a, (self.tables.codes, self.tables.decoded))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the values uint8 of codes uint8 (B, C, H, W).

        Raises
        ------
        ValueError
            If a code has more than k bits.
        """
        check_codes(codes, self.bits)
        return self._walk(codes, (self.tables.levels,))

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        """Return ``decode(encode(a))``."""
        return self._walk(a, (self.tables.decoded,))

    def to_dict(self) -> dict[str, Any]:
        """Return the code as plain lists, for JSON."""
        parts = {"ranges": self.ranges.to_dict(), "tables": self.tables.to_dict()}
        return {"kind": "switched", **parts}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SwitchedTable:
        """Return the code that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If the data are of another kind, incomplete or damaged; the message names the field.
        """
        if data.get("kind") != "switched":
            raise ValueError(f"codec kind must be 'switched', not {data.get('kind')!r}")
        for field in ("ranges", "tables"):
            if not isinstance(data.get(field), Mapping):
                raise ValueError(f"codec {field} must be a table code, not {data.get(field)!r}")
        return cls(TableCode.from_dict(data["ranges"]), TableCode.from_dict(data["tables"]))


@dataclass(frozen=True, eq=False)
class Difference:
    """A table code of the difference to what is read back of the left neighbour.

    Attributes
    ----------
    table : TableCode
        Of differences -128..127 plus 128; larger ones are clipped.
    """

    table: TableCode

    @property
    def table_bits(self) -> int:
        """Bits of the code's own tables."""
        return self.table.table_bits

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        """Return what is read back of values uint8 (B, C, H, W)."""
        columns = []
        left = torch.zeros(a.shape[:3], dtype=torch.int16)
        for column in a.unbind(3):
            change = (column.short() - left + MIDDLE).clamp(0, VALUES - 1).to(torch.uint8)
            left = (left + self.table(change).short() - MIDDLE).clamp(0, VALUES - 1)
            columns.append(left.to(torch.uint8))
        return torch.stack(columns, 3)


class Neighbours:
    """Gathers what a map's values are beside their left neighbours, to fit such codes to.

    Parameters
    ----------
    profile : Profile
        Of the map: how much an error in a value matters.
    before : TableCode
        What the neighbours are read back through while fitting.
    ranges : TableCode
        As :class:`SwitchedTable` takes them.
    """

    def __init__(self, profile: Profile, before: TableCode, ranges: TableCode) -> None:
        self.profile, self.before, self.ranges = profile, before, ranges
        self._values = torch.zeros(before.channels << ranges.bits, VALUES, dtype=torch.float64)
        self._changes = torch.zeros(before.channels, VALUES, dtype=torch.float64)
        seen, weights = profile.counts, profile.weights
        mean = weights.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1e-300)
        self._worth = torch.where(seen > 0, weights / seen.clamp(min=1e-300), mean)

    def add(self, a: torch.Tensor) -> None:
        """Take in maps uint8 (B, C, H, W)."""
        read = self.before(a)
        left = torch.cat([torch.zeros_like(read[..., :1]), read[..., :-1]], 3)
        worth = look_up(self._worth, a).flatten()
        channel = torch.arange(a.shape[1]).view(-1, 1, 1)
        at = self.ranges.encode(left)
        at[..., :1] = 0
        table = (channel << self.ranges.bits) + at
        change = (a.long() - left + MIDDLE).clamp(0, VALUES - 1)
        for total, index in (
            (self._values, table * VALUES + a),
            (self._changes, channel * VALUES + change),
        ):
            size = total.numel()
            total += torch.bincount(index.flatten(), worth, minlength=size).view(total.shape)

    def switched(self, bits: int) -> SwitchedTable:
        """Return the code of k bits with the least weighted squared error."""
        whole = self.profile.weights / self.profile.weights.sum(1, keepdim=True)
        share = whole.repeat_interleave(1 << self.ranges.bits, 0)
        total = self._values.sum(1, keepdim=True)
        least = SHARE * total.mean()  # what was never seen goes by the channel alone
        weights = self._values + SHARE * torch.maximum(total, least) * share
        return SwitchedTable(self.ranges, best_tables(weights, [bits])[bits])

    def difference(self, bits: int) -> Difference:
        """Return the code of k bits of differences with the least weighted squared error."""
        return Difference(best_tables(self._changes, [bits])[bits])
