"""Finding a library of standard cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shiftwork.flow.asic import library
from shiftwork.flow.asic.library import find_library
from shiftwork.flow.tools import ToolError


@pytest.fixture(autouse=True)
def no_pdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDK_ROOT", raising=False)


def test_without_one_it_says_how_to_install_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "OSU018", tmp_path)
    with pytest.raises(ToolError, match=r"apt-get install qflow-tech-osu018.*--liberty"):
        find_library()


def test_a_library_of_the_users(tmp_path: Path) -> None:
    lib, cells = tmp_path / "mine.lib", tmp_path / "mine.v"
    lib.write_text("library (mine) {\n  cell (NAND2) { area : 1; }\n}\n")
    cells.write_text("module NAND2(input A, input B, output Y); endmodule\n")
    found = find_library(lib, cells)
    assert (found.name, found.liberty, found.cells, found.gates) == ("mine", lib, (cells,), None)
    lib.write_text("library (mine) {\n  cell (FAX1) { area : 1; }\n}\n")
    named = find_library(lib, cells).gates
    assert named is not None
    assert named.name == "osu018.v"


def test_every_gate_is_named_in_every_library() -> None:
    gates = [Path(library.__file__).with_name(f"{n}.v").read_text()
             for n in ("gates", "osu018", "sky130")]  # fmt: skip
    modules = [re.findall(r"^module (\w+)\((.*)\);", text, re.M) for text in gates]
    assert len(modules[0]) == 8
    # without a library's names a clock gate cannot be told from other logic: there is none
    assert [each for each in modules[1] if each[0] != "shiftwork_clock_gate"] == modules[0]
    assert modules[1] == modules[2]
    assert len(modules[1]) == 9


@pytest.mark.parametrize("given", ["liberty", "cells"])
def test_half_a_library_is_refused(given: str, tmp_path: Path) -> None:
    path = tmp_path / "half"
    path.write_text("library (x) {}")
    with pytest.raises(ValueError, match=f"--{given} needs --"):
        find_library(**{given: path})


def test_other_files_are_refused(tmp_path: Path) -> None:
    lib, cells = tmp_path / "x.lib", tmp_path / "x.v"
    with pytest.raises(ValueError, match="No such file"):
        find_library(lib, cells)
    lib.write_text("no such thing")
    cells.write_text("module x; endmodule")
    with pytest.raises(ValueError, match="is not a Liberty file"):
        find_library(lib, cells)
    lib.write_text("library (x) {}")
    cells.write_text("nothing")
    with pytest.raises(ValueError, match="is not Verilog models"):
        find_library(lib, cells)


def test_a_pdk_without_the_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    with pytest.raises(ToolError, match="PDK_ROOT is set, but there is no"):
        find_library()
