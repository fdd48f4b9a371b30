# amaranth: UnusedElaboratable=no
"""iCEBreaker: clock, what a top asks of its platform, and what the device's tools get."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from shiftwork.boards.icebreaker import (
    ENGINE,
    ICEBREAKER,
    IcebreakerPlatform,
    at_clock,
    ice40_pll,
)
from shiftwork.boards.top import Top
from shiftwork.boards.virtual.platform import VirtualBoard
from shiftwork.flow.emit import to_verilog
from shiftwork.hw.config import preset


@pytest.mark.parametrize("mhz", [18, 20, 24, 25.5, 27, 28.5, 30, 33, 36, 48])
def test_the_pll_s_dividers_are_within_the_device_s_ranges(mhz: float) -> None:
    pll = ice40_pll(12e6, mhz * 1e6)
    vco = 12e6 * (pll.divf + 1) / (pll.divr + 1)
    assert (pll.divr, pll.filter_range) == (0, 1)
    assert 533e6 <= vco <= 1066e6 and 0 <= pll.divf <= 127 and 1 <= pll.divq <= 6
    assert pll.hz == pytest.approx(vco / (1 << pll.divq))
    assert 0.97 * mhz <= pll.hz / 1e6 <= mhz


def test_a_clock_the_pll_cannot_make_is_refused() -> None:
    with pytest.raises(ValueError, match="the PLL cannot make 12 MHz of 12 MHz"):
        ice40_pll(12e6, 12e6)
    assert at_clock(ICEBREAKER, 30.2e6).clock_hz == 30e6


def test_clock_line_and_memory_are_what_the_board_has() -> None:
    assert ICEBREAKER.clock_hz / ICEBREAKER.divisor == ICEBREAKER.baud == 3e6
    assert ice40_pll(12e6, ICEBREAKER.clock_hz).hz == ICEBREAKER.clock_hz
    assert ICEBREAKER.memory_bytes == 112 << 10
    assert ENGINE.fingerprint == preset("tiny").fingerprint  # tiny's programs
    with pytest.raises(ValueError, match="rows of a serial engine must be 4, not 8"):
        replace(ICEBREAKER, config=preset("small"))


def test_the_tools_get_pins_and_clock_of_the_board() -> None:
    plan: Any = IcebreakerPlatform(ICEBREAKER.clock_hz).build(Top(ICEBREAKER), do_build=False)
    constraints, netlist = (
        text if isinstance(text, str) else text.decode()
        for text in (plan.files["top.pcf"], plan.files["top.il"])
    )
    for pin, site in (("uart_0__rx__io", 6), ("uart_0__tx__io", 9), ("clk12_0__io", 35),
                      ("led_0__io", 11), ("led_1__io", 37)):  # fmt: skip
        assert re.search(rf"^\s*set_io {pin} {site}$", constraints, re.M)
    assert constraints.count("set_io") == 5
    assert re.search(r"set_frequency clk12_0__io 12\.0", constraints)
    assert netlist.count("cell \\SB_PLL40_PAD") == 1
    for name, value in (("DIVR", 0), ("DIVF", 71), ("DIVQ", 5), ("FILTER_RANGE", 1)):
        assert re.search(rf"parameter (?:signed )?\\{name} (?:{value}|32'{value:032b})", netlist)
    assert netlist.count("cell \\SB_SPRAM256KA") == 4
    assert "SB_MAC16" not in netlist


def test_the_virtual_board_has_the_same_top_without_the_device_s_cells() -> None:
    text, _ = to_verilog(VirtualBoard(Top(ICEBREAKER, 4)), "virtual_board")
    assert not re.search(r"^\s*SB_\w+ ", text, re.M)
    head = text[text.index("module virtual_board (") :]
    outputs = set(re.findall(r"output +(?:wire|reg) (\w+)", head[: head.index(");")]))
    assert {"tx", "alive", "running"} <= outputs
