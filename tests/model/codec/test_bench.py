"""The accuracy bench on real weights and a few pictures: rows that can be checked by themselves."""

from __future__ import annotations

import pytest

from shiftwork.model.codec.bench import FIXED, MASKED, Bench
from shiftwork.model.codec.plan import PLANS, SQ2


@pytest.mark.slow
def test_every_row_of_the_bench_adds_up() -> None:
    plan = PLANS["squeezenet1_1"]
    bench = Bench("squeezenet1_1", limit=24, crops=24, held=12, steps=2)
    rows = list(bench.rows())
    first = rows[0]
    assert first.bits == 8.0 and first.agree == first.pictures == 24
    for row in rows:
        assert row.top1 == first.top1 - row.lost + row.won
        assert row.agree + row.lost + row.won <= row.pictures
        assert 0 < row.bits < 14 and row.divergence >= 0
    by = {(row.maps, row.code, row.bits): row for row in rows}
    for maps in ("SQ2", "ALL"):
        learned = [by[maps, "table", float(k)].divergence for k in plan.bits if k <= 4]
        assert learned == sorted(learned)
        assert by[maps, "table", 3.0].divergence < by[maps, "truncation", 3.0].divergence
        assert (maps, "table, measured", 3.0) in by
    for k in plan.planes:  # two layers of sums are the table itself
        layers, table = by["SQ2", "planes, two layers", k], by["SQ2", "table, measured", k]
        assert layers.divergence == pytest.approx(table.divergence)
        assert layers.table_bytes > table.table_bytes
        assert by["SQ2", "planes, int8", k].divergence < by["SQ2", "truncation", k].divergence
    switched = by["SQ2", "table, 4 by left neighbour", 3]
    assert switched.divergence < by["SQ2", "table", 3.0].divergence
    assert by["SQ2", "planes, 3x3 stride 2", 2.0].table_bytes > 100_000
    rates = [row.bits for row in rows if row.code == FIXED]
    assert all(most - 0.5 < bits <= most for bits, most in zip(rates, plan.fixed, strict=True))
    chosen = next(row for row in rows if row.code == FIXED and row.bits <= 4)
    assert chosen.divergence < by["ALL", "table", 4.0].divergence
    masked = [row.bits for row in rows if row.code == MASKED]
    assert masked == sorted(masked, reverse=True) and len(masked) == len(plan.masked)
    assert set(SQ2) <= set(bench.sets["ALL"]) and len(bench.sets["ALL"]) == 17


def test_a_network_without_a_bench_is_refused() -> None:
    with pytest.raises(ValueError, match="knows squeezenet1_1, efficientnet_lite0, not 'nanodet'"):
        Bench("nanodet")
