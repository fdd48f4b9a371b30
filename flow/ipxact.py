"""The IP-XACT component of an engine (IEEE 1685-2014): ports, bus interfaces, registers, files."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from ..hw.config import EngineConfig
from ..hw.registers import ADDR_BITS, Access, register_map

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_SCHEMA = f"{NAMESPACE} {NAMESPACE}/index.xsd"
_ACCESS = {
    Access.RO: ("read-only", None),
    Access.RW: ("read-write", None),
    Access.W1: ("write-only", None),
    Access.W1C: ("read-write", "oneToClear"),
}
# Vendor, library, name, version of a bus definition, and of its abstraction.
_AXI4 = ("amba.com", "AMBA4", "AXI4", "r0p0_0")
_AXI_LITE = ("amba.com", "AMBA4", "AXI4-Lite", "r0p0_0")
_SIGNAL = "xilinx.com", "signal"


def _add(parent: ET.Element, tag: str, text: object = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, f"{{{NAMESPACE}}}{tag}", attributes)
    if text is not None:
        element.text = str(text)
    return element


def _interface(
    parent: ET.Element, name: str, bus: tuple[str, str, str, str], ports: dict[str, str]
) -> ET.Element:
    """Add a bus interface with logical names and the ports they are; return where its mode goes."""
    interface = _add(parent, "busInterface")
    _add(interface, "name", name)
    vendor, library, kind, number = bus
    names = {"vendor": vendor, "library": library, "name": kind, "version": number}
    _add(interface, "busType", **names)
    types = _add(_add(interface, "abstractionTypes"), "abstractionType")
    _add(types, "abstractionRef", **{**names, "name": f"{kind}_rtl"})
    maps = _add(types, "portMaps")
    for logical, physical in ports.items():
        mapped = _add(maps, "portMap")
        _add(_add(mapped, "logicalPort"), "name", logical)
        _add(_add(mapped, "physicalPort"), "name", physical)
    return interface


def component_xml(
    config: EngineConfig, ports: list[dict[str, Any]], vendor: str, library: str, name: str,
    number: str,
) -> str:  # fmt: skip
    """Return the component as XML text.

    Parameters
    ----------
    config : EngineConfig
        The engine's parameters.
    ports : list of dict
        ``name``, ``direction`` (input or output) and ``width`` of each port.
    vendor, library, name, number : str
        What it is called; ``name`` is the module's, too.
    """
    ET.register_namespace("ipxact", NAMESPACE)
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    schema = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
    root = ET.Element(f"{{{NAMESPACE}}}component", {schema: _SCHEMA})
    for tag, text in (
        ("vendor", vendor), ("library", library), ("name", name), ("version", number),
    ):  # fmt: skip
        _add(root, tag, text)
    names = [port["name"] for port in ports]

    def group(prefix: str) -> dict[str, str]:
        return {n.removeprefix(prefix).upper(): n for n in names if n.startswith(prefix)}

    interfaces = _add(root, "busInterfaces")
    master = _interface(interfaces, "m_axi", _AXI4, group("m_axi_"))
    _add(_add(master, "master"), "addressSpaceRef", addressSpaceRef="memory")
    slave = _interface(interfaces, "s_axil", _AXI_LITE, group("s_axil_"))
    _add(_add(slave, "slave"), "memoryMapRef", memoryMapRef="registers")
    for port, kind, logical, mode in (
        ("clk", "clock", "CLK", "slave"), ("rst", "reset", "RST", "slave"),
        ("irq", "interrupt", "INTERRUPT", "master"),
    ):  # fmt: skip
        interface = _interface(interfaces, port, (*_SIGNAL, kind, "1.0"), {logical: port})
        _add(interface, mode)
        if port == "clk":
            _parameter(interface, "ASSOCIATED_BUSIF", "m_axi:s_axil")
        if port == "rst":
            _parameter(interface, "POLARITY", "ACTIVE_HIGH")

    space = _add(_add(root, "addressSpaces"), "addressSpace")
    _add(space, "name", "memory")
    _add(space, "range", "'h1_0000_0000")
    _add(space, "width", config.bus_bits)
    _memory_map(root, config)

    model = _add(root, "model")
    view = _add(_add(model, "views"), "view")
    _add(view, "name", "rtl")
    _add(view, "componentInstantiationRef", "verilog")
    instantiation = _add(_add(model, "instantiations"), "componentInstantiation")
    _add(instantiation, "name", "verilog")
    _add(instantiation, "language", "verilog")
    _add(instantiation, "moduleName", name)
    _add(_add(instantiation, "fileSetRef"), "localName", "rtl")
    listed = _add(model, "ports")
    for port in ports:
        wire = _add(listed, "port")
        _add(wire, "name", port["name"])
        wire = _add(wire, "wire")
        _add(wire, "direction", {"input": "in", "output": "out"}[port["direction"]])
        if port["width"] > 1:
            vector = _add(_add(wire, "vectors"), "vector")
            _add(vector, "left", port["width"] - 1)
            _add(vector, "right", 0)

    files = _add(_add(root, "fileSets"), "fileSet")
    _add(files, "name", "rtl")
    file = _add(files, "file")
    _add(file, "name", f"{name}.v")
    _add(file, "fileType", "verilogSource")
    _add(root, "description", "Convolutional networks without multipliers")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _parameter(interface: ET.Element, name: str, value: str) -> None:
    parameter = _add(_add(interface, "parameters"), "parameter", parameterId=name)
    _add(parameter, "name", name)
    _add(parameter, "value", f'"{value}"')


def _memory_map(root: ET.Element, config: EngineConfig) -> None:
    mapped = _add(_add(root, "memoryMaps"), "memoryMap")
    _add(mapped, "name", "registers")
    block = _add(mapped, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "'h0")
    _add(block, "range", f"'h{1 << ADDR_BITS:x}")
    _add(block, "width", 32)
    _add(block, "usage", "register")
    for register in register_map(config):
        entry = _add(block, "register")
        _add(entry, "name", register["name"])
        _add(entry, "description", register["doc"])
        _add(entry, "addressOffset", f"'h{register['offset']:x}")
        _add(entry, "size", 32)
        for field in register["fields"]:
            access, modified = _ACCESS[Access(field["access"])]
            item = _add(entry, "field")
            _add(item, "name", field["name"])
            _add(item, "description", field["doc"])
            _add(item, "bitOffset", field["lsb"])
            if access != "write-only":
                _add(_add(_add(item, "resets"), "reset"), "value", f"'h{field['reset']:x}")
            _add(item, "bitWidth", field["bits"])
            _add(item, "access", access)
            if modified:
                _add(item, "modifiedWriteValue", modified)
    _add(mapped, "addressUnitBits", 8)
