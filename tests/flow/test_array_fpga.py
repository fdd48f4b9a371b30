"""Lookup tables per lane: measured on a small column, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftwork.flow.array_fpga import DEVICES, capacity, measure_luts
from shiftwork.flow.array_fpga_page import fpga_markdown, fpga_table, fpga_verdicts
from shiftwork.hw.arrays.circuits import FPGA_CIRCUITS


def row(name: str, luts: float) -> dict[str, Any]:
    families = {family: {"luts": luts, "ways": {"chains": luts}} for family in DEVICES}
    return {"name": name, "title": FPGA_CIRCUITS[name].title, "families": families}


ROWS = [row("int8_plain", 180.0), row("int8_digits", 100.0), row("n1_plain", 50.0)]
DOCUMENT: dict[str, Any] = {
    "circuits": ROWS, "rows": 16, "device": "ECP5-85F", "device_luts": 83640, "dsps": 156,
    "products": 2, "capacity": capacity(ROWS),
}  # fmt: skip


def test_a_column_has_tables_for_selecting_and_adding(tmp_path: Path) -> None:
    found = measure_luts(FPGA_CIRCUITS["n1_b3_plain"], rows=2, cache=tmp_path)
    for family in found["families"].values():
        assert family["luts"] == min(family["ways"].values())
        # Per lane 8 + 9 + 10 multiplexers at most, an addition of 11 bits, half an accumulator.
        assert 20 < family["luts"] < 60
    assert measure_luts(FPGA_CIRCUITS["n1_b3_plain"], rows=2, cache=tmp_path) == found
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_device_holds() -> None:
    assert capacity(ROWS) == {
        "int8, plain `*`": 464, "int8, radix-4 digits": 836, "N=1, B=4, the engine's lane": 1672,
        "int8 in DSP blocks": 312, "int8 in DSP blocks and lookup tables": 312 + 836,
    }  # fmt: skip


def test_the_section_says_what_is_reached() -> None:
    said = fpga_verdicts(DOCUMENT)
    assert [line.rpartition(": ")[2] for line in said] == ["reached."] * 2 + ["missed by 79%."] * 2
    text = fpga_markdown(DOCUMENT)
    assert all(f"- {line}" in text for line in said)
    assert "| N=1, B=4, the engine's lane | 50.0 | 0.28 | 0.50 | 50.0 | 0.28 | 0.50 |" in text
    assert "| int8 in DSP blocks | 312 |" in text
    assert fpga_table(DOCUMENT).row_count == 3


@pytest.mark.parametrize("name", ["int8_digits", "int4_digits"])
def test_digits_add_up_to_the_weight(name: str) -> None:
    lane: Any = FPGA_CIRCUITS[name].lane
    top = 1 << (lane.weight_bits - 1)
    weights = np.arange(-top, top)
    digits = lane.recode(weights[None])
    assert np.array_equal(sum(digit << (2 * i) for i, digit in enumerate(digits)), weights)
    assert all(digit.min() >= -1 and digit.max() <= 2 for digit in digits[:-1])
    assert digits[-1].min() >= -2
    assert digits[-1].max() <= 2
    assert lane.hold(weights[None]).max() >> lane.held_bits == 0
