"""Saved codes of any kind, read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from .frozen import FrozenPlanes, Kind
from .switched import SwitchedTable
from .table import TableCode

SavedCode = TableCode | SwitchedTable | FrozenPlanes
KINDS: dict[str, type[SavedCode]] = {
    "table": TableCode, "switched": SwitchedTable, **dict.fromkeys(get_args(Kind), FrozenPlanes),
}  # fmt: skip


def code_from_dict(data: Mapping[str, Any]) -> SavedCode:
    """Return the code that the ``to_dict`` of any kind of code wrote.

    Raises
    ------
    ValueError
        If the kind is unknown, or as the kind's own ``from_dict``.
    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"codec kind must be one of {', '.join(KINDS)}, not {kind!r}")
    return KINDS[kind].from_dict(data)
