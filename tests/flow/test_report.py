"""report.json round trip and refusals; report.html is whole, alone and readable."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shiftwork.flow.cli import app
from shiftwork.flow.energy_cost import PARTS
from shiftwork.flow.figures import layer_table
from shiftwork.flow.report import LayerFigures, Report, ReportError, compare, load_report, render
from shiftwork.flow.report import write_report as write
from shiftwork.flow.report.compare import _change
from shiftwork.flow.report.plots import paired_bars
from shiftwork.flow.report_sections import sections_of

from .test_array_bench import row


def layer(name: str, **changes: Any) -> LayerFigures:
    values: dict[str, Any] = {
        "name": name, "kind": "conv", "macs": 5000, "cycles": 200, "ideal_cycles": 150,
        "stalls": {"weights": 30, "drain": 20}, "bytes_read": 640, "bytes_written": 64,
    }  # fmt: skip
    return LayerFigures(**{**values, **changes})


FULL = Report(
    network="net <1>", terms=2, bits=4, picture="cat.png", preset="small",
    config={"rows": 8, "cols": 8}, simulator="verilator", bit_exact=True, layers_checked=2,
    convolutions_checked=1, pools_checked=1, values_checked=1234, mismatches=0, label="tabby",
    probability=0.5, top5=[{"label": "tabby", "probability": 0.5}], cycles=300, ideal_cycles=150,
    utilisation=0.5, layers=[layer("conv1"), layer("pool1", kind="max_pool", ideal_cycles=0)],
    verilog_bytes=400_000, verilog_sha256="0" * 64, target="ECP5-25F speed 6", lut=1000, ff=900,
    absorbed=70,
    bram=3, dsp=0, multipliers=0, fmax_mhz=90.5, milliseconds=0.003,
    blocks={"core.column*": {"lut": 700, "ff": 600, "bram": 0, "dsp": 0}},
    critical=["  1.00 ns  a"], seconds={"simulate": 1.5}, tools={"amaranth": "0.5"},
)  # fmt: skip


ARRAYS: dict[str, Any] = {
    "picture": "cat.png", "layers": ["conv"], "library": "OSU", "period_ns": 40.0,
    "circuits": [row("int8_booth", 8000.0, 12.0), row("n1_plain", 4000.0, 5.1)],
}  # fmt: skip
ENGINE: dict[str, Any] = {
    "engine": "tiny", "lanes": 16, "cells": 9, "area": {"array": 1e5, "control": 4e5},
    "area_total": 5e5, "area_array": 1e5, "memory_bits": 2048, "memories": [], "critical_ns": 8.7,
    "flip_flops": 5, "gated": 4, "gates": 2,
}  # fmt: skip
POWER: dict[str, Any] = {
    "power": {block: {"internal": 1e-3, "switching": 5e-4, "leakage": 1e-9}
              for block in ("array", "control", "a", "b", "c", "d")},
    "pj_per_cycle": 360.0, "pj_per_cycle_array": 60.0, "pj_per_mac": 30.0, "uj_per_picture": 18.0,
    "annotated": 0.99, "power_cycles": 40, "power_checked": 288,
    "unknown": 0.0, "beats": 20,
}  # fmt: skip
ENGINES: dict[str, Any] = {
    "library": "OSU", "period_ns": 40, "engines": [
        {**ENGINE, **POWER, "arithmetic": "shift"}, {**ENGINE, "arithmetic": "int8"},
    ],
}  # fmt: skip
ENERGY: dict[str, Any] = {"control": {"engine": "tiny"}, "area_of_all_else": 0.4, "rows": [
    {"network": "squeezenet1_1", "design": design, "circuit": "c", "cycles": 5, "total": total,
     "area": total / 200,
     "accesses": {"read": 8_000_000, "written": 0}, "parts": dict.fromkeys(PARTS, total / 5),
     "accuracy": {"top1": right, "top5": right, "pictures": 100}}
    for design, total, right in (("int8", 500.0, 60), ("N=1", 300.0, 58))
]}  # fmt: skip


class Page(HTMLParser):
    """Collects tags that fetch, and checks that every other one is closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetches: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetches += [f"{k}={v}" for k, v in attrs if k in ("src", "href", "xlink:href")
                         and not (v or "").startswith("#")]  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_round_trip(tmp_path: Path) -> None:
    data, page = write(FULL, tmp_path)
    assert load_report(data) == FULL
    assert page.read_text() == render(FULL)


def test_a_report_from_before_adders_took_tables_in(tmp_path: Path) -> None:
    path, _ = write(FULL, tmp_path)
    data = json.loads(path.read_text())
    del data["absorbed"]
    path.write_text(json.dumps(data))
    assert load_report(path) == replace(FULL, absorbed=None)


@pytest.mark.parametrize("report", [FULL, Report(preset="tiny")], ids=["full", "empty"])
def test_the_page_is_whole_and_fetches_nothing(report: Report) -> None:
    page = Page()
    page.feed(render(report))
    assert page.open == []
    assert page.fetches == []


def test_the_page_escapes_names_and_says_the_figures() -> None:
    text = render(FULL)
    assert "net &lt;1&gt;" in text
    assert "net <1>" not in text
    for figure in (
        "tabby",
        "90.50 MHz",
        "50.0 %",
        "1,000",
        "; 70 more are in adders",
        "core.column*",
    ):
        assert figure in text
    assert text.count("<svg") == 4


def test_missing_parts_are_left_out() -> None:
    text = render(Report(preset="tiny", lut=5, target="ECP5"))
    assert "Bit-exact" not in text
    assert "<svg" not in text


def test_plots_are_reproducible_and_follow_the_text_colour() -> None:
    series = {"a": [1.0, 20.0], "b": [0.5, 3.0]}
    svg = paired_bars("Cycles", ["x", "y"], series, "cycles")
    assert svg == paired_bars("Cycles", ["x", "y"], series, "cycles")
    ElementTree.fromstring(svg.replace("currentColor", "#000000"))
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "#000000" not in svg
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'(?:href="#|url\(#)([^")]*)', svg)} <= set(ids)
    assert svg.count("<pattern") >= 1  # told apart without colour


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format must be 1, not 99"),
        ({"layers": {}}, "'layers' must be a list"),
        ({"layers": [{"name": "x"}]}, r"layers\[0\]: field 'kind' is missing"),
        ({"layers": [3]}, r"layers\[0\]: must be an object"),
        ({"cycles": "many"}, "field 'cycles' cannot be 'many'"),
        ({"cycles": True}, "field 'cycles' cannot be True"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_a_damaged_report_names_the_field(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**FULL.to_dict(), **change}))
    with pytest.raises(ReportError, match=message):
        load_report(path)


def test_a_missing_key_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    data = FULL.to_dict()
    del data["dsp"]
    path.write_text(json.dumps(data))
    with pytest.raises(ReportError, match="field 'dsp' is missing"):
        load_report(path)
    path.write_text('{"a": 1}')
    with pytest.raises(ReportError, match="not a Shiftwork report"):
        load_report(path)
    path.write_text("no")
    with pytest.raises(ReportError, match="not JSON"):
        load_report(path)
    with pytest.raises(ReportError, match="No such file"):
        load_report(tmp_path / "none.json")


def test_figures_are_exact() -> None:
    assert layer("a").utilisation == 0.75
    assert layer("a", cycles=0).utilisation == 0.0


def test_more_than_all_cycles_is_explained() -> None:
    early = layer("early", cycles=140)
    report = replace(FULL, layers=[early])
    assert early.utilisation > 1
    assert "107.1 % (overlaps)" in render(report)
    console = Console(file=io.StringIO(), width=100)
    console.print(layer_table(report))
    assert isinstance(console.file, io.StringIO)
    assert "107.1 % (overlaps)" in console.file.getvalue()
    assert "overlaps" not in render(replace(FULL, layers=[layer("late")]))


def test_only_what_differs_is_compared(tmp_path: Path) -> None:
    later = replace(
        FULL, lut=1100, cycles=150, utilisation=None, config={"rows": 8, "cols": 16},
        layers=[layer("conv1", cycles=100), layer("new")],
        blocks={"core.column*": {"lut": 700, "ff": 500, "bram": 0, "dsp": 0}},
    )  # fmt: skip
    tables = {table.title: [*table.rows] for table in compare(FULL, later)}
    assert tables == {
        "Figures": [
            ("cycles", "300", "150", "-50.0%"), ("utilisation", "0.5", "not there", ""),
            ("LUT", "1,000", "1,100", "+10.0%"),
        ],
        "Engine": [("cols", "8", "16", "+100.0%")],
        "Layers": [
            ("conv1: cycles", "200", "100", "-50.0%"),
            *((f"pool1: {key}", value, "not there", "") for key, value in (
                ("cycles", "200"), ("ideal cycles", "0"), ("macs", "5,000"),
                ("bytes read", "640"), ("bytes written", "64"))),
            *((f"new: {key}", "not there", value, "") for key, value in (
                ("cycles", "200"), ("ideal cycles", "150"), ("macs", "5,000"),
                ("bytes read", "640"), ("bytes written", "64"))),
        ],
        "Area by block": [("core.column*: ff", "600", "500", "-16.7%")],
    }  # fmt: skip
    assert compare(FULL, FULL) == []
    assert _change(0, 3) == "+3"


def test_the_command_compares(tmp_path: Path) -> None:
    for name, report in (("a", FULL), ("b", replace(FULL, network="net <2>"))):
        write(report, tmp_path / name)
    a, b = (str(tmp_path / name / "report.json") for name in "ab")
    result = CliRunner().invoke(app, ["report", "--compare", a, b, "-o", str(tmp_path / "out")])
    assert result.exception is None
    page = Page()
    text = (tmp_path / "out/compare.html").read_text()
    page.feed(text)
    assert page.open == page.fetches == []
    assert "net &lt;1&gt;" in text
    assert f"Before: {a}. After: {b}." in text
    assert not (tmp_path / "out/report.html").exists()
    options = ["report", b, "--compare", b, "-o", str(tmp_path / "out"), "--json"]
    assert CliRunner().invoke(app, options).stdout == "[]\n"
    assert "Nothing differs." in (tmp_path / "out/compare.html").read_text()
    result = CliRunner().invoke(app, ["report", "--compare", str(tmp_path / "none"), b])
    assert isinstance(result.exception, ReportError)


def test_what_the_build_holds_is_shown(tmp_path: Path) -> None:
    for name, document in (("arrays", ARRAYS), ("energy", ENERGY), ("asic", ENGINES)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.json").write_text(json.dumps(document))
    said: list[str] = []
    assert sections_of(tmp_path / "other", said.append) == []
    sections = sections_of(tmp_path, said.append)
    assert said == []
    text = render(FULL, sections)
    page = Page()
    page.feed(text)
    assert page.open == page.fetches == []
    # Bars of area and energy, for arrays and engines; parts, and accuracy over three axes.
    assert text.count("<svg") == 4 + 2 + 2 + 1 + 3
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    for figure in (
        "N=1, B=4, plain shifter",
        "SqueezeNet v1.1: accuracy, mm2",
        ">58.0<",
        "all else",
        ">360<",
        "SqueezeNet v1.1: which none beats",
    ):
        assert figure in text
    write(FULL, tmp_path / "demo")
    options = ["report", str(tmp_path / "demo/report.json"), "--build", str(tmp_path)]
    assert CliRunner().invoke(app, options).exception is None
    assert (tmp_path / "demo/report.html").read_text() == text
    for place in ("none", "demo/report.json"):
        wrong = CliRunner().invoke(app, [*options[:-1], str(tmp_path / place)])
        assert wrong.exit_code == 2 and place in wrong.output
    (tmp_path / "energy/energy.json").write_text("{}")
    assert len(sections_of(tmp_path, said.append)) == 2
    assert "energy.json is left out" in said[0]
    assert "run `shiftwork energy` again" in said[0]


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/report.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)`", page, re.M))
    wanted = set(Report.__dataclass_fields__) | set(LayerFigures.__dataclass_fields__)
    assert documented == wanted
