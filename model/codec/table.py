"""Table code: per channel, a value becomes k bits by comparators and comes back by a table.

The 8 planes of a value map to k planes by k learned Boolean functions and back by 8 functions of
k bits. Monotone functions suffice: the code is the number of thresholds a value reaches, so the
encoder is 2^k - 1 comparators per channel, and the code of a maximum is the maximum of the codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

VALUES = 256  # values of a stored activation, 8 bits
BITS_MAX = 7  # 8 bits would store the value itself


@dataclass(frozen=True, eq=False)
class TableCode:
    """Code of one tensor: thresholds of the encoder and levels of the decoder per channel.

    ``code = number of thresholds t with a >= t`` and ``decoded = levels[code]``.

    Attributes
    ----------
    bits : int
        k, bits stored per value, 1..7.
    thresholds : Tensor uint8 (C, 2^k - 1)
        Sorted. Equal thresholds leave codes between them unused.
    levels : Tensor uint8 (C, 2^k)
        Sorted, so that decoding commutes with maxima.

    Raises
    ------
    ValueError
        If bits is out of range, or a table has another type or shape or is not sorted.
    """

    bits: int
    thresholds: torch.Tensor
    levels: torch.Tensor

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= BITS_MAX:
            raise ValueError(f"a table code's bits must be 1..{BITS_MAX}, not {self.bits}")
        for name, entries in (("thresholds", (1 << self.bits) - 1), ("levels", 1 << self.bits)):
            table: torch.Tensor = getattr(self, name)
            if table.dtype != torch.uint8:
                raise ValueError(f"{name} must be uint8, not {table.dtype}")
            if table.ndim != 2 or table.shape[1] != entries or not table.shape[0]:
                raise ValueError(
                    f"{name} of {self.bits} bits must be (C, {entries}), not {tuple(table.shape)}"
                )
            falls = (table[:, 1:] < table[:, :-1]).any(1).nonzero()
            if len(falls):
                raise ValueError(f"{name} of channel {int(falls[0])} must not fall: sort them")
        if len(self.thresholds) != len(self.levels):
            raise ValueError(
                f"thresholds have {len(self.thresholds)} channels, levels {len(self.levels)}"
            )

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.levels)

    @property
    def bits_per_value(self) -> float:
        """Bits stored per value."""
        return float(self.bits)

    @property
    def table_bits(self) -> int:
        """Bits of the code's own tables: 8 for each threshold and level."""
        return 8 * (self.thresholds.numel() + self.levels.numel())

    @cached_property
    def codes(self) -> torch.Tensor:
        """Code of every value, uint8 (C, 256)."""
        values = torch.arange(VALUES, dtype=torch.uint8)
        return (values[None, :, None] >= self.thresholds[:, None, :]).sum(2).to(torch.uint8)

    @cached_property
    def decoded(self) -> torch.Tensor:
        """What every value becomes in storage, uint8 (C, 256)."""
        return self.levels.gather(1, self.codes.long())

    def encode(self, a: torch.Tensor) -> torch.Tensor:
        """Return the codes 0..2^k - 1 of values uint8 (B, C, ...), uint8 of the same shape."""
        return look_up(self.codes, a)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the values uint8 of codes uint8 (B, C, ...).

        Raises
        ------
        ValueError
            If a code has more than k bits.
        """
        check_codes(codes, self.bits)
        return look_up(self.levels, codes)

    def __call__(self, a: torch.Tensor) -> torch.Tensor:
        """Return ``decode(encode(a))``."""
        return look_up(self.decoded, a)

    def select(self, start: int, stop: int) -> TableCode:
        """Return the code of channels start..stop - 1: of one part of a concatenation."""
        return TableCode(self.bits, self.thresholds[start:stop], self.levels[start:stop])

    @staticmethod
    def join(parts: Sequence[TableCode]) -> TableCode:
        """Return the code of the parts' channels one after another; all need the same bits."""
        return TableCode(
            parts[0].bits,
            torch.cat([part.thresholds for part in parts]),
            torch.cat([part.levels for part in parts]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the code as plain lists, for JSON."""
        return {
            "kind": "table",
            "bits": self.bits,
            "thresholds": self.thresholds.tolist(),
            "levels": self.levels.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableCode:
        """Return the code that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            If the data are of another kind, incomplete or damaged; the message names the field.
        """
        if data.get("kind") != "table":
            raise ValueError(f"codec kind must be 'table', not {data.get('kind')!r}")
        bits = data.get("bits")
        if not isinstance(bits, int) or isinstance(bits, bool):
            raise ValueError(f"codec bits must be an integer, not {bits!r}")
        tables = [
            integers(data, name, 0, VALUES - 1).to(torch.uint8) for name in ("thresholds", "levels")
        ]
        return cls(bits, *tables)


def look_up(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return ``table[c, index]`` for every entry of index uint8 (B, C, ...), in table's type.

    Raises
    ------
    ValueError
        If index is not uint8 or has another number of channels than table (C, entries).
    """
    channels, entries = table.shape
    if index.dtype != torch.uint8:
        raise ValueError(f"values must be uint8, not {index.dtype}")
    if index.ndim < 2 or index.shape[1] != channels:
        raise ValueError(f"values must be (B, {channels}, ...), not {tuple(index.shape)}")
    first = torch.arange(channels, dtype=torch.int32) * entries
    flat = index.int() + first.view(-1, *(1,) * (index.ndim - 2))
    return table.reshape(-1).index_select(0, flat.flatten()).view(index.shape)


def check_codes(codes: torch.Tensor, bits: int) -> None:
    """Refuse stored codes of more than so many bits.

    Raises
    ------
    ValueError
        If there is one.
    """
    if codes.numel() and int(codes.max()) >> bits:
        raise ValueError(f"codes must have {bits} bits, not value {int(codes.max())}")


def integers(
    data: Mapping[str, Any], name: str, low: int, high: int, where: str = ""
) -> torch.Tensor:
    """Return a field of lists of integers ``low``..``high`` as a tensor int64.

    Raises
    ------
    ValueError
        If the field, whose name follows ``where`` in the message, is anything else.
    """
    try:
        table = torch.tensor(data[name])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"codec {where}{name} must be lists of equal lengths of integers"
        ) from error
    if table.dtype != torch.int64 or (table < low).any() or (table > high).any():
        raise ValueError(f"codec {where}{name} must be integers {low}..{high}")
    return table
