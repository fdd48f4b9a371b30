# amaranth: UnusedElaboratable=no
"""Board tops: clocks, what a top asks of its platform, and what the device's tools get."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shiftwork.boards.clock import ecp5_pll
from shiftwork.boards.top import LEDS, Top
from shiftwork.boards.ulx3s import ULX3S_85F, Ulx3sPlatform, at_clock
from shiftwork.boards.virtual.platform import VirtualBoard, VirtualPlatform
from shiftwork.flow.emit import to_verilog
from shiftwork.hw.config import EngineConfig, preset

ENGINE = EngineConfig(
    name="least", rows=2, cols=2, max_fan_in=64, hold=8, buffer_words=64, burst_beats=8,
    weight_fifo=8, max_terms=1, max_layers=4,
)  # fmt: skip
BOARD = replace(ULX3S_85F, config=ENGINE, memory_bytes=24 << 10)


@pytest.mark.parametrize("mhz", [12.5, 25, 40, 50, 60, 62.5, 66, 71.7, 75, 80, 96, 100, 120])
def test_the_pll_s_dividers_are_within_the_device_s_ranges(mhz: float) -> None:
    pll = ecp5_pll(25e6, mhz * 1e6)
    phase = 25e6 / pll.input_div
    assert 10e6 <= phase <= 400e6
    assert 400e6 <= phase * pll.vco_times <= 800e6
    assert pll.hz == pytest.approx(phase * pll.vco_times / pll.output_div)
    assert 0.98 * mhz <= pll.hz / 1e6 <= mhz * (1 + 1e-9)
    assert 1 <= pll.vco_times <= 128 and 1 <= pll.output_div <= 128


def test_a_clock_the_pll_cannot_make_is_refused() -> None:
    with pytest.raises(ValueError, match="the PLL cannot make 1 MHz of 25 MHz"):
        ecp5_pll(25e6, 1e6)
    with pytest.raises(ValueError, match="reference must be 8 to 400 MHz, not 1"):
        ecp5_pll(1e6, 50e6)
    assert at_clock(ULX3S_85F, 70e6).clock_hz == 70e6
    assert at_clock(ULX3S_85F, 71.7e6).clock_hz == pytest.approx(71.59e6, abs=1e4)


def test_the_board_s_line_is_within_one_percent_of_its_rate() -> None:
    real = ULX3S_85F.clock_hz / ULX3S_85F.divisor
    assert real == pytest.approx(ULX3S_85F.baud, rel=0.01)


def test_the_tools_get_pins_and_clock_of_the_board(tmp_path: Path) -> None:
    plan: Any = Ulx3sPlatform(BOARD.clock_hz).build(Top(BOARD), do_build=False)
    files = {name: plan.files[name] for name in ("top.lpf", "top.il")}
    constraints, netlist = (str(f if isinstance(f, str) else f.decode()) for f in files.values())
    for pin, site in (("uart_0__rx__io", "M1"), ("uart_0__tx__io", "L4"), ("clk25_0__io", "G2")):
        assert f'LOCATE COMP "{pin}" SITE "{site}";' in constraints
    assert constraints.count("LOCATE COMP") == 3 + len(LEDS)
    assert re.search(rf"FREQUENCY NET \"\S*clock\" {BOARD.clock_hz}\b", constraints) is not None
    assert netlist.count("cell \\EHXPLLL") == 1
    for name, value in (("ICP_CURRENT", "12"), ("LPF_RESISTOR", "8"),
                        ("MFG_ENABLE_FILTEROPAMP", "1"), ("MFG_GMCREF_SEL", "2")):  # fmt: skip
        assert f'attribute \\{name} "{value}"' in netlist
    assert "MULT18X18D" not in netlist


def test_the_virtual_board_has_the_same_top_and_no_more_ports() -> None:
    text, modules = to_verilog(VirtualBoard(Top(BOARD, 4)), "virtual_board")
    head = text[text.index("module virtual_board (") :]
    ports = set(re.findall(r"put +(?:wire|reg) (\w+)", head[: head.index(");")]))
    assert ports == {"clk", "rst", "rx", "tx", *LEDS}
    assert "EHXPLLL" not in text
    assert len(modules) > 10


def test_the_virtual_board_has_no_other_resources() -> None:
    platform = VirtualPlatform()
    with pytest.raises(ValueError, match="no resource 'sdram' 0"):
        platform.request("sdram")
    with pytest.raises(ValueError, match='dir="-"'):
        platform.request("uart", dir="io")


def test_an_engine_with_a_wide_bus_is_refused() -> None:
    with pytest.raises(ValueError, match="needs bus_bits 64, not 128"):
        replace(ULX3S_85F, config=preset("large"))
