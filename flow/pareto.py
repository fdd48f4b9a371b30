"""Which engines no other beats: energy, area and cycles of a picture, and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = ("design", "uJ", "mm2", "cycles", "top-1", "beaten by")
AXES = {"uJ per picture": "total", "mm2": "area", "cycles per picture": "cycles"}


def top1(row: dict[str, Any]) -> float | None:
    """Return the accuracy in percent, None where it was not measured."""
    right = row["accuracy"]
    return 100 * right["top1"] / right["pictures"] if right else None


def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether a design is nowhere worse than another, and somewhere better."""
    ours, theirs = top1(one), top1(other)
    assert ours is not None and theirs is not None
    pairs = [(one[name], other[name]) for name in AXES.values()] + [(theirs, ours)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def pareto_rows(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of a table of the designs of one network whose accuracy was measured."""
    known = [row for row in rows if row["accuracy"]]
    return [
        [
            row["design"], f"{row['total']:,.0f}", f"{row['area']:.2f}", f"{row['cycles']:,}",
            f"{top1(row):.1f}",
            ", ".join(other["design"] for other in known if beats(other, row)) or "none",
        ]
        for row in known
    ]  # fmt: skip


def points(rows: Sequence[dict[str, Any]], axis: str) -> dict[str, tuple[float, float]]:
    """Return where the designs of known accuracy lie over one of `AXES`."""
    return {
        row["design"]: (row[AXES[axis]], right)
        for row in rows if (right := top1(row)) is not None
    }  # fmt: skip
