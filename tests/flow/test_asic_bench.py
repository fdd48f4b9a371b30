"""The command bench-asic: what it refuses, its table and its page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shiftwork.flow import asic_bench
from shiftwork.flow.asic.engine import EngineNetlist, Memory
from shiftwork.flow.asic.engine_power import Run
from shiftwork.flow.asic_bench import kind, small_network, split_names, variants
from shiftwork.flow.asic_page import COLUMNS, least_period, table_rows
from shiftwork.flow.cli import main
from shiftwork.flow.engine_workload import Scene
from shiftwork.hw.config import PRESETS, EngineConfig, preset
from shiftwork.model.compile import compile_network
from shiftwork.sim.result import SimResult

from .asic.conftest import library

__all__ = ["library"]  # the fixture

Capture = pytest.CaptureFixture[str]


def test_every_arithmetic_of_an_engine() -> None:
    found = variants(preset("tiny"))
    assert [config.arithmetic for config in found] == ["shift", "int8", "int4"]
    assert {(config.name, config.rows, config.hold) for config in found} == {("tiny", 4, 64)}
    with pytest.raises(ValueError, match=r"^engine tiny is of int8 arithmetic: give the shift eng"):
        variants(found[1])
    *same, two = variants(preset("tiny"), two_terms=True)
    assert same == found
    assert (two.arithmetic, two.lane_terms, two.code_bits, two.max_terms) == ("shift", 2, 3, 2)
    with pytest.raises(
        ValueError, match=r"^engine tiny has lanes of 2 terms: give the one of one-"
    ):
        variants(two)


@pytest.mark.parametrize("name", PRESETS)
def test_the_network_runs_on_every_preset(name: str) -> None:
    for config in variants(preset(name), two_terms=True):
        program = compile_network(small_network(config).build(), config)
        assert {plan.kind for plan in program.layers} == {"conv", "depthwise", "add", "max_pool"}


def fake_scene(config: EngineConfig, picture: str | None) -> Any:
    builder = small_network(config)
    network, x = builder.build(), builder.picture()
    program = compile_network(network, config)
    return Scene(network, x[0], program, 4000, 50_000)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Netlists of known area in place of Yosys'; returns which were run."""
    areas = {"shift": 5e5, "int8": 8e5, "int4": 4e5, "two-term": 7e5}
    ran: list[str] = []

    def map_engine(
        verilog: Path, top: str, library: Any, work: Path, least: int, *_: Any
    ) -> EngineNetlist:
        area = {"control": 1e6 if least else 2e6, "array": areas[top]}
        memories = (Memory(64, 26, True, 8), Memory(4, 8, False, 1))
        cells = {"FAX1": 7, "INVX1": 3}
        return EngineNetlist(area, cells, memories, 200, 150 if least else 0, 20 if least else 0)

    def check_netlist(config: Any, timed: Any, library: Any, work: Path) -> Any:
        ran.append(f"{config.name} {kind(config)}")
        return SimResult.__new__(SimResult)

    def run_engine(config: EngineConfig, *_: Any) -> Run:
        ran.append(f"{config.name} {kind(config)} with delays")
        scale = 2.0 if config.arithmetic == "int8" else 1.0
        power = {
            name: {"internal": part * scale, "switching": part / 2, "leakage": 1e-9}
            for name, part in (("control", 2e-3), ("array", 1e-3))
        }
        return Run(power, 0.998, 0.012, 1000, 640, 288)

    def emit(config: EngineConfig, folder: Path) -> Any:
        return SimpleNamespace(verilog=folder / "x.v", top=kind(config), sha256=kind(config))

    monkeypatch.chdir(tmp_path)  # where results are kept
    monkeypatch.setattr(asic_bench, "emit", emit)
    monkeypatch.setattr(
        asic_bench, "time_engine", lambda *_: SimpleNamespace(critical=8.7, enables=4.2)
    )
    monkeypatch.setattr(asic_bench, "run_engine", run_engine)
    monkeypatch.setattr(asic_bench, "corner", fake_scene)
    monkeypatch.setattr(asic_bench, "map_engine", map_engine)
    monkeypatch.setattr(asic_bench, "check_netlist", check_netlist)
    monkeypatch.setattr(SimResult, "checked_bytes", 300, raising=False)
    monkeypatch.setattr(SimResult, "cycles", 2000, raising=False)
    return ran


def test_the_page(mapped: list[str], library: Any, tmp_path: Path, capsys: Capture) -> None:
    assert main(["bench-asic", "tiny", "--page", str(tmp_path), "-o", str(tmp_path)]) == 0
    engines = ["tiny shift", "tiny int8", "tiny int4", "tiny two-term"]
    assert mapped == [each for name in engines for each in (f"{name} with delays", name)]
    text = (tmp_path / "asic.md").read_text()
    assert "`shiftwork bench-asic tiny --page docs/reference`\nwrites this page" in text
    row = "| tiny, shift | 16 | 10 | 1.500 | 0.833 | 0.500 | 0.625 | 31,250 | 8.7 | 8.7 | 13 |"
    assert f"{row} 300 bytes, 2,000 cycles |" in text
    assert "| array | 500.0 | 800.0 | 400.0 | 700.0 |" in text
    # 4.5 mW are 180 pJ per cycle of 40 ns; 1000 cycles, 4000 products, 50 000 cycles a picture.
    row = (
        "| tiny, shift | 4.50 | 3.00 | 1.50 | 0.0000 | 180 | 60 | 120 | 45.0 | 0.600 | 9.0 | 0.600"
    )
    assert f"{row} | 99.8% | 1.2% | 1,000 | 64% | 288 |" in text
    assert "| array | 40.0 + 20.0 | 80.0 + 20.0 | 40.0 + 20.0 | 40.0 + 20.0 |" in text
    assert "| 64 x 26 | 8 | 8 | 8 | 8 |" in text and "4 x 8" not in text
    assert "0.833" in capsys.readouterr().out
    assert max(len(line) for line in text.splitlines() if "|" not in line) <= 100


def test_only_named_engines_are_run(
    mapped: list[str], library: Any, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["bench-asic", "small", "-o", str(tmp_path)]) == 0
    assert mapped == []
    both = ["bench-asic", "tiny", "small", "--check", "small", "--power", "small"]
    assert main([*both, "-o", str(tmp_path)]) == 0
    mapped[:] = [each for each in mapped if "with delays" not in each]
    assert mapped == [f"small {arithmetic}" for arithmetic in ("shift", "int8", "int4")]
    capsys.readouterr()
    assert main([*both, "-o", str(tmp_path)]) == 0
    assert len(mapped) == 3  # kept from before
    capsys.readouterr()
    assert main(["bench-asic", "tiny", "--check", "base", "-o", str(tmp_path)]) == 1
    wanted = "shiftwork: error: --check base: not among the engines, tiny\n"
    assert capsys.readouterr().err == wanted
    assert main(["bench-asic", "tiny", "--two-term", "base", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == wanted.replace("--check", "--two-term")
    assert main(["bench-asic", "tiny/shift", "--two-term", "tiny", "-o", str(tmp_path)]) == 1
    said = "--two-term tiny: only shift of it is measured; name tiny/two-term too"
    assert capsys.readouterr().err == f"shiftwork: error: {said}\n"
    mapped.clear()
    (tmp_path / "build").rename(tmp_path / "before")
    assert main(["bench-asic", "small", "--power", "small/int8", "-o", str(tmp_path)]) == 0
    assert mapped == ["small int8 with delays"]
    two = ["--two-term", "small", "--power", "small/two-term"]
    assert main(["bench-asic", "small", *two, "--page", str(tmp_path), "-o", str(tmp_path)]) == 0
    assert mapped[1:] == ["small two-term with delays"]
    text = (tmp_path / "asic.md").read_text()
    assert "`shiftwork bench-asic small --power small/two-term --two-term small --page" in text
    capsys.readouterr()
    assert main(["bench-asic", "tiny", "--power", "base", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == wanted.replace("--check", "--power")


def test_one_arithmetic_of_an_engine(mapped: list[str], library: Any, tmp_path: Path) -> None:
    assert split_names(["base", "a/b.json", "base/int8", "x/shift", "x/two-term"]) == {
        "base": set(), "a/b.json": set(), "x": {"shift", "two-term"},
    }  # fmt: skip
    names = ["small/int8", "small/two-term", "tiny/shift"]
    assert main(["bench-asic", *names, "--power", "small", "-o", str(tmp_path)]) == 0
    assert mapped == ["small int8 with delays", "small two-term with delays", "tiny shift"]


def test_without_clock_gates_too(
    mapped: list[str], library: Any, tmp_path: Path, capsys: Capture
) -> None:
    options = ["--power", "tiny/shift", "--ungated", "tiny/shift", "--picture", "a b.png"]
    assert main(["bench-asic", *options, "--page", str(tmp_path), "-o", str(tmp_path)]) == 0
    # Both are run for power; those with gates alone are checked.
    both = ["tiny shift with delays", "tiny shift", "tiny shift with delays"]
    assert mapped == [*both, "tiny int8", "tiny int4", "tiny two-term"]
    text = (tmp_path / "asic.md").read_text()
    row = (
        "| tiny, shift, no clock gates | 16 | 10 | 2.500 |  | 0.500 |  | 31,250 | 8.7 | 8.7 | 13 |"
    )
    assert f"{row}  |" in text
    row = "| tiny, shift | 200 | 75% | 20 | 4.2 | 1.500 | 0.60 | 180 | 1.00 | 120 | 1.00 |"
    assert row in text
    row = "| tiny, shift, no clock gates | 200 | 0% | 0 | 4.2 | 2.500 |  | 180 |  | 120 |  |"
    assert row in text
    told = "`shiftwork bench-asic tiny --power tiny/shift --ungated tiny/shift --picture 'a b.png'"
    assert f"{told} --page docs/reference`" in text
    capsys.readouterr()
    assert main(["bench-asic", "--ungated", "base", "-o", str(tmp_path)]) == 1
    assert "--ungated base: not among the engines, tiny" in capsys.readouterr().err
    assert main(["bench-asic", "tiny/shift", "--power", "tiny/int8", "-o", str(tmp_path)]) == 1
    assert "--power tiny/int8: not among the engines, tiny" in capsys.readouterr().err
    assert main(["bench-asic", "tiny/int9", "-o", str(tmp_path)]) == 1
    wanted = "tiny/int9: 'int9' must be one of shift, int8, int4, two-term\n"
    assert capsys.readouterr().err == f"shiftwork: error: {wanted}"


def test_an_enable_has_half_a_period() -> None:
    assert least_period({"critical_ns": 5.0, "enables_ns": 4.2}) == pytest.approx(8.4)
    assert least_period({"critical_ns": 5.0}) == 5.0


def test_engines_without_int8_beside_them_have_no_share() -> None:
    row = {"engine": "x", "arithmetic": "shift", "lanes": 4, "cells": 9, "area_total": 2e6,
           "area_array": 1e6, "memory_bits": 2048, "gates": 2}  # fmt: skip
    (cells,) = table_rows({"engines": [row]})
    assert len(cells) == len(COLUMNS) and cells[4] == cells[6] == cells[-1] == ""
