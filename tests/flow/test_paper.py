"""ShiftCNN's tables again: counts by hand, ratios of what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork.flow.paper import PUBLISHED_POWER, bench_paper, power_ratios, saved, to_markdown
from shiftwork.hw.config import preset
from shiftwork.sim.builder import NetworkBuilder


def circuit(name: str, total: float, shared: float) -> dict[str, Any]:
    energy = {"activations": {"internal": shared / 2, "switching": shared / 2, "leakage": 0.0}}
    return {
        "name": name, "title": name.upper(), "cols": 2,
        "modes": {"held": {"energy_total": total, "energy": energy}},
    }  # fmt: skip


ARRAYS: dict[str, Any] = {
    "picture": "cat.png", "library": "OSU",
    "circuits": [circuit("int8_plain", 25.0, 1.0), circuit("n2_plain", 13.0, 1.0)],
}  # fmt: skip


def test_products_of_a_network_whose_map_is_read_twice() -> None:
    b = NetworkBuilder(1, 16, 6, 5)
    first = b.conv(8, terms=1)
    b.conv(8, (3, 3), padding=(1, 1, 1, 1), source="input", terms=1)
    b.conv(24, source=first, terms=1)
    row = saved("net", b.build(), preset("small"))
    pixels = 30
    assert row["macs"] == pixels * (16 * 8 + 16 * 8 * 9 + 8 * 24)
    assert row["read"] == pixels * (16 + 16 + 8)
    assert row["distinct"] == pixels * (16 + 8)
    # 8 lanes a beat: every one of 8 columns, or 24 in three blocks, takes from the same word.
    assert row["formed"] == pixels * (16 + 16 * 9 + 8 * 3)
    assert row["per_formed"] == 8.0
    assert row["per_distinct"] == row["macs"] / row["distinct"]


def test_power_leaves_out_what_columns_share() -> None:
    (row,) = power_ratios(ARRAYS)
    assert (row["base"], row["energy"], row["ratio"]) == (24.0, 12.0, 2.0)
    assert row["what"].startswith("N2_PLAIN")
    assert power_ratios({"circuits": ARRAYS["circuits"][:1]}) == []


def test_the_page_has_both_definitions() -> None:
    b = NetworkBuilder(1, 16, 6, 5)
    b.conv(8, terms=1)
    row = saved("resnet8", b.build(), preset("small"))
    document = bench_paper([], preset("small"), ARRAYS) | {
        "saved": [row],
        "command": "shiftwork paper x",
    }
    text = to_markdown(document)
    assert "\n`shiftwork paper x` writes this page.\n" in text
    assert "arXiv:1706.02393" in text
    assert "SqueezeNet 260, GoogleNet 687, ResNet-18 1090" in text
    assert "3.8 to 4.1 times less" in text
    assert f"8-bit, DSP {PUBLISHED_POWER['8-bit, DSP']}" in text
    assert "(plain circuits: 16 x 2)" in text
    assert (
        "| N2_PLAIN (as the synthesiser makes them) | INT8_PLAIN | 24.00 | 12.00 | 2.00 |" in text
    )
    with pytest.raises(ValueError, match="no network 'x' in the zoo"):
        bench_paper(["x"], preset("small"), ARRAYS)
