# amaranth: UnusedElaboratable=no
"""Tang Primer 20K: clock, and what the device's tools get."""

from __future__ import annotations

import re
from typing import Any

import pytest

from shiftwork.boards.tang_primer_20k import (
    OUTPUT_DIVS,
    TANG_PRIMER_20K,
    TangPrimerPlatform,
    at_clock,
    gowin_pll,
)
from shiftwork.boards.top import Top


@pytest.mark.parametrize("mhz", [6, 12, 24, 27, 30, 40.5, 42, 45, 48, 54, 66.7, 100, 300])
def test_the_pll_s_dividers_are_within_the_device_s_ranges(mhz: float) -> None:
    pll = gowin_pll(27e6, mhz * 1e6)
    assert 1 <= pll.input_div <= 64 and 1 <= pll.times <= 64 and pll.output_div in OUTPUT_DIVS
    assert 27e6 / pll.input_div >= 3e6
    assert 500e6 <= pll.hz * pll.output_div <= 1250e6
    assert pll.hz == pytest.approx(27e6 * pll.times / pll.input_div)
    assert 0.9 * mhz <= pll.hz / 1e6 <= mhz


def test_a_clock_the_pll_cannot_make_is_refused() -> None:
    with pytest.raises(ValueError, match="the PLL cannot make 3 MHz of 27 MHz"):
        gowin_pll(27e6, 3e6)
    assert at_clock(TANG_PRIMER_20K, 42.3e6).clock_hz == 42e6


def test_the_clock_makes_the_baud_rate() -> None:
    assert TANG_PRIMER_20K.clock_hz / TANG_PRIMER_20K.divisor == TANG_PRIMER_20K.baud
    assert gowin_pll(27e6, TANG_PRIMER_20K.clock_hz).hz == TANG_PRIMER_20K.clock_hz


def test_the_tools_get_pins_clock_and_device_of_the_board() -> None:
    platform = TangPrimerPlatform(TANG_PRIMER_20K.clock_hz)
    plan: Any = platform.build(Top(TANG_PRIMER_20K), do_build=False)
    constraints, netlist, script = (
        text if isinstance(text, str) else text.decode()
        for text in (plan.files[name] for name in ("top.cst", "top.il", "build_top.sh"))
    )
    for pin, site in (("uart_0__rx__io", "T13"), ("uart_0__tx__io", "M11"), ("clk27_0__io", "H11"),
                      ("led_0__io", "C13")):  # fmt: skip
        assert f'IO_LOC "{pin}" {site};' in constraints
    assert constraints.count("IO_LOC") == 3 + TANG_PRIMER_20K.leds
    assert netlist.count("cell \\rPLL") == 1
    pll = gowin_pll(27e6, TANG_PRIMER_20K.clock_hz)
    wanted = {
        "IDIV_SEL": pll.input_div - 1, "FBDIV_SEL": pll.times - 1, "ODIV_SEL": pll.output_div,
    }  # fmt: skip
    for name, value in wanted.items():
        assert re.search(rf"parameter (?:signed )?\\{name} (?:{value}|32'{value:032b})\n", netlist)
    assert "--device GW2A-LV18PG256C8/I7 --vopt family=GW2A-18C" in script
    assert f"--freq {TANG_PRIMER_20K.clock_hz / 1e6:.3f}" in script
