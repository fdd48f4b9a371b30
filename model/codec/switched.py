"""Switched tables: the pixel to the left says which table of a channel codes the next one.

What is read back of the left neighbour falls into one of S ranges, and each has its own thresholds
and levels. Encoder and decoder both know it, so the rate stays k bits. The first pixel of a row
goes by range 0, whatever the ranges are, so that circuits need no start per channel. A difference
to the neighbour, the plain predictor, is :class:`Difference`. Neither commutes with maxima, as a
table does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .coded import CodedGraph
from .levels import best_tables, plain_means
from .options import Profile
from .table import VALUES, TableCode, check_codes

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
    """Counts what a map's values are beside their left neighbours, to fit such codes to.

    Parameters
    ----------
    profile : Profile
        Of the map: how much an error in a value matters.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._counts = torch.zeros(len(profile.counts), VALUES + 1, VALUES, dtype=torch.int32)
        seen, weights = profile.counts, profile.weights
        mean = weights.sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1e-300)
        self._worth = torch.where(seen > 0, weights / seen.clamp(min=1e-300), mean)

    def add(self, a: torch.Tensor) -> None:
        """Take in maps uint8 (B, C, H, W)."""
        left = torch.nn.functional.pad(a[..., :-1].int() + 1, (1, 0))  # 0 where there is none
        channel = torch.arange(a.shape[1], dtype=torch.int32).view(-1, 1, 1)
        index = (channel * (VALUES + 1) + left) * VALUES + a
        counts = torch.bincount(index.flatten(), minlength=self._counts.numel())
        self._counts += counts.view(self._counts.shape).int()

    def switched(self, bits: int, before: TableCode, ranges: TableCode) -> SwitchedTable:
        """Return the code of k bits with the least weighted squared error.

        Parameters
        ----------
        bits : int
        before : TableCode
            What the neighbours are taken to be read back through.
        ranges : TableCode
            As :class:`SwitchedTable` takes them.
        """
        weights = self._by_range(before, ranges) * self._worth[:, None]
        tables = best_tables(_filled(weights, self.profile.weights), [bits])
        return SwitchedTable(ranges, tables[bits])

    def means(self, code: SwitchedTable, before: TableCode) -> SwitchedTable:
        """Return the code with the plain mean of what each of its intervals holds as its level."""
        counts = _filled(self._by_range(before, code.ranges), self.profile.counts)
        return SwitchedTable(code.ranges, plain_means(code.tables, counts))

    def _by_range(self, before: TableCode, ranges: TableCode) -> torch.Tensor:
        """Return how often values follow each range of the left one, float64 (C, S, 256)."""
        at = ranges.codes.gather(1, before.decoded.long()).long()
        at = torch.nn.functional.pad(at, (1, 0))  # the first of a row goes by range 0
        shape = (len(at), 1 << ranges.bits, VALUES)
        index = at[:, :, None].expand(self._counts.shape)
        return torch.zeros(shape, dtype=torch.int32).scatter_add_(1, index, self._counts).double()

    def difference(self, bits: int, before: TableCode) -> Difference:
        """Return the code of k bits of differences with the least weighted squared error."""
        read = torch.nn.functional.pad(before.decoded.long(), (1, 0))
        change = torch.arange(VALUES) - read[:, :, None] + MIDDLE
        weights = (self._counts * self._worth[:, None]).flatten(1)
        index = change.clamp_(0, VALUES - 1).flatten(1)
        total = torch.zeros(len(read), VALUES, dtype=torch.float64).scatter_add_(1, index, weights)
        return Difference(best_tables(total, [bits])[bits])


def _filled(own: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return the ranges' weights (C, S, 256), of which a little is the channel's, as (S C, 256)."""
    share = whole / whole.sum(1, keepdim=True)
    total = own.sum(2, keepdim=True)
    least = SHARE * total.mean()  # what was never seen goes by the channel alone
    return (own + SHARE * torch.maximum(total, least) * share[:, None]).flatten(0, 1)


def gathered(
    network: CodedGraph, pictures: torch.Tensor, known: Mapping[str, Profile]
) -> Iterator[tuple[str, Neighbours]]:
    """Yield the maps of ``known`` with what is beside what in them, on pictures uint8."""
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in known}

    def look(name: str, a: torch.Tensor) -> None:
        if name in kept:
            kept[name].append(a)

    network.scores(pictures, {}, look=look)
    for name, profile in known.items():
        found = Neighbours(profile)
        for a in kept.pop(name):
            found.add(a)
        yield name, found
