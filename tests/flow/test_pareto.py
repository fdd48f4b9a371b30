"""Which designs none beats."""

from __future__ import annotations

from typing import Any

from shiftwork.flow.pareto import beats, pareto_rows, points


def row(design: str, total: float, area: float, cycles: int, right: int | None) -> dict[str, Any]:
    accuracy = None if right is None else {"top1": right, "pictures": 50}
    return {"design": design, "total": total, "area": area, "cycles": cycles, "accuracy": accuracy}


def test_who_is_beaten_by_whom() -> None:
    small, large = row("small", 10, 2, 500, 30), row("large", 20, 3, 400, 35)
    worse, equal = row("worse", 20, 3.5, 400, 35), row("equal", 10, 2, 500, 30)
    assert not beats(small, large) and not beats(large, small)
    assert beats(large, worse) and not beats(worse, large)
    assert not beats(small, equal) and not beats(equal, small)
    rows = [small, large, worse, row("unknown", 1, 1, 1, None)]
    assert pareto_rows(rows) == [
        ["small", "10", "2.00", "500", "60.0", "none"],
        ["large", "20", "3.00", "400", "70.0", "none"],
        ["worse", "20", "3.50", "400", "70.0", "large"],
    ]
    assert points(rows, "mm2") == {"small": (2, 60), "large": (3, 70), "worse": (3.5, 70)}
