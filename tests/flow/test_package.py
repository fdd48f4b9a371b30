"""Packages for the tools of others: run by FuseSoC, read as XML, and as Tcl."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from shiftwork.flow.emit import emit
from shiftwork.flow.ipxact import NAMESPACE
from shiftwork.flow.package import Package, write_package
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.registers import REGISTERS

CONFIG = EngineConfig(
    name="packed", rows=2, cols=2, max_fan_in=64, hold=8, buffer_words=64, burst_beats=8,
    weight_fifo=8, max_terms=1, max_layers=4,
)  # fmt: skip
SPACE = {"x": NAMESPACE}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("package")
    return write_package(CONFIG, emit(CONFIG, folder))


@pytest.fixture(scope="module")
def component(package: Package) -> ET.Element:
    return ET.parse(package.component).getroot()


def fusesoc(package: Package, work: Path, *target: str) -> subprocess.CompletedProcess[str]:
    name = f"shiftwork:engines:{CONFIG.module_name}"
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(package.core.parent)]
    return subprocess.run(
        [*command, "run", "--build-root", str(work), *target, name],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_fusesoc_runs_the_core_in_icarus(package: Package, tmp_path: Path) -> None:
    done = fusesoc(package, tmp_path, "--target=sim")
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "PASS" in told.splitlines(), told


def test_the_smoke_test_fails_on_another_engine(package: Package, tmp_path: Path) -> None:
    text = package.testbench.read_text()
    wrong = f"{CONFIG.fingerprint ^ 1:08x}"
    changed = tmp_path / package.testbench.name
    changed.write_text(text.replace(f"{CONFIG.fingerprint:08x}", wrong))
    assert changed.read_text() != text
    verilog = package.core.with_suffix(".v")
    subprocess.run(["iverilog", "-g2005", "-o", tmp_path / "tb", verilog, changed], check=True)
    done = subprocess.run(
        ["vvp", "-n", tmp_path / "tb"], capture_output=True, text=True, check=True
    )
    assert "FAIL" in done.stdout.splitlines()


def texts(element: ET.Element, path: str) -> list[str]:
    return [found.text or "" for found in element.findall(path, SPACE)]


def test_the_component_has_the_engine_s_ports(component: ET.Element, package: Package) -> None:
    description: dict[str, Any] = json.loads(package.core.with_suffix(".json").read_bytes())
    found = {}
    for port in component.findall("x:model/x:ports/x:port", SPACE):
        left = port.findtext("x:wire/x:vectors/x:vector/x:left", "0", SPACE)
        direction = port.findtext("x:wire/x:direction", "", SPACE)
        found[port.findtext("x:name", "", SPACE)] = (f"{direction}put", int(left) + 1)
    assert found == {p["name"]: (p["direction"], p["width"]) for p in description["ports"]}


def test_every_port_is_in_one_bus_interface(component: ET.Element) -> None:
    ports = texts(component, "x:model/x:ports/x:port/x:name")
    mapped = texts(component, ".//x:physicalPort/x:name")
    assert sorted(mapped) == sorted(ports)
    logical = {
        interface.findtext("x:name", "", SPACE): texts(interface, ".//x:logicalPort/x:name")
        for interface in component.findall("x:busInterfaces/x:busInterface", SPACE)
    }
    assert set(logical) == {"m_axi", "s_axil", "clk", "rst", "irq"}
    assert {"ARADDR", "RDATA", "WSTRB", "BREADY", "AWLEN"} <= set(logical["m_axi"])
    assert {"ARADDR", "RDATA", "WSTRB", "BREADY"} <= set(logical["s_axil"])


def test_every_reference_of_the_component_is_met(component: ET.Element) -> None:
    for tag, path in (
        ("addressSpaceRef", "x:addressSpaces/x:addressSpace/x:name"),
        ("memoryMapRef", "x:memoryMaps/x:memoryMap/x:name"),
    ):
        (reference,) = component.findall(f".//x:{tag}", SPACE)
        assert reference.get(tag) in texts(component, path)
    (instantiation,) = texts(component, ".//x:view/x:componentInstantiationRef")
    assert instantiation in texts(component, ".//x:componentInstantiation/x:name")
    (file_set,) = texts(component, ".//x:fileSetRef/x:localName")
    assert file_set in texts(component, "x:fileSets/x:fileSet/x:name")
    assert texts(component, ".//x:file/x:name") == [f"{CONFIG.module_name}.v"]


def test_the_component_has_every_register(component: ET.Element) -> None:
    found = {
        register.findtext("x:name", "", SPACE): (
            register.findtext("x:addressOffset", "", SPACE),
            texts(register, "x:field/x:name"),
        )
        for register in component.findall(".//x:register", SPACE)
    }
    assert found == {r.name: (f"'h{r.offset:x}", [f.name for f in r.fields]) for r in REGISTERS}


def test_elements_come_in_the_standard_s_order(component: ET.Element) -> None:
    order = ["vendor", "library", "name", "version", "busInterfaces", "addressSpaces",
             "memoryMaps", "model", "fileSets", "description"]  # fmt: skip
    assert [child.tag.partition("}")[2] for child in component] == order


def test_the_vivado_script_is_tcl_and_packages_both_buses(package: Package) -> None:
    tkinter = pytest.importorskip("tkinter", reason="no Tcl in this Python")
    tcl = tkinter.Tcl()
    calls: list[tuple[str, ...]] = []

    def unknown(*words: str) -> str:
        calls.append(words)
        return "object"

    tcl.createcommand("unknown", unknown)
    tcl.eval(f"info script {{{package.vivado}}}")
    tcl.eval(package.vivado.read_text())
    named = [call[0] for call in calls]
    for command in ("create_project", "add_files", "ipx::package_project", "ipx::save_core"):
        assert named.count(command) == 1
    buses = [call[2] for call in calls if call[0] == "ipx::associate_bus_interfaces"]
    assert buses == ["m_axi", "s_axil"]
    added = next(call for call in calls if call[0] == "add_files")
    assert Path(added[-1]) == package.core.with_suffix(".v")
