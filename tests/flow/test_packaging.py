"""What pyproject.toml and requirements.txt promise."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("hw", "model", "sim", "flow", "boards")


def test_every_package_is_listed_and_mapped() -> None:
    found = {
        f"shiftwork.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    tools = PROJECT["tool"]["setuptools"]
    assert set(tools["packages"]) == found
    assert {name: f"shiftwork.{path.replace('/', '.')}" for name, path in
            tools["package-dir"].items()} == {name: name for name in found}  # fmt: skip


def test_data_files_are_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if not path.is_file() or path.suffix in (".py", ".pyc"):
                continue
            name = f"shiftwork.{folder}"
            places = [(patterns["*"], path.name)]
            places.append((patterns.get(name, []), path.relative_to(ROOT / folder).as_posix()))
            assert any(Path(p).match(pattern) for pats, p in places for pattern in pats), path


def test_requirements_are_exact_and_admitted() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    locked = {canonicalize_name(name): number for name, number in locked.items()}
    for number in locked.values():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", number), number
    project = PROJECT["project"]
    extras = dict(project["optional-dependencies"])
    del extras["gowin"]  # large, for one board, and not installed by make
    groups = [project["dependencies"], *extras.values()]
    wanted = [text for group in groups for text in group]
    for text in wanted:
        need = Requirement(text)
        assert need.specifier.contains(locked[canonicalize_name(need.name)]), text


def test_what_is_imported_is_declared() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]

    def declared(*groups: list[str]) -> set[str]:
        return {canonicalize_name(Requirement(text).name) for group in groups for text in group}

    always = declared(project["dependencies"])
    simulating = always | declared(extras["sim"])
    allowed = {
        "hw": always, "model": always, "sim": simulating, "flow": simulating,
        "boards": always | declared(extras["fpga"]),
        "tests": always | declared(*extras.values()),
    }  # fmt: skip
    names = {
        "pil": "pillow", "cocotb-tools": "cocotb", "systemrdl": "systemrdl-compiler",
        "serial": "pyserial",
    }  # fmt: skip
    for folder, may in allowed.items():
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    modules = [node.module or ""]
                else:
                    continue
                for module in modules:
                    top, _, rest = module.partition(".")
                    if top in sys.stdlib_module_names or top in ("shiftwork", "tests"):
                        continue
                    if top == "cocotbext":
                        top = f"{top}-{rest.partition('.')[0]}"
                    name = canonicalize_name(top)
                    assert names.get(name, name) in may, f"{path} imports {module}"


def test_each_dependency_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for block in re.findall(r"^(?:dependencies|sim|fpga|dev) = \[\n(.*?)^\]", text, re.M | re.S):
        for line in block.splitlines():
            assert re.search(r'",  # \S', line), line


def test_folders_import_in_one_direction() -> None:
    allowed = {
        "hw": set(), "model": {"hw"}, "sim": {"hw", "model"}, "boards": {"hw", "model"},
        "flow": {"hw", "model", "sim", "boards"},
    }  # fmt: skip
    plain = {
        "codec.layout",
        "config",
        "descriptor",
        "digits",
        "geometry",
        "record",
        "registers",
    }  # what model may take from hw
    for folder, may in allowed.items():
        for path in (ROOT / folder).rglob("*.py"):
            depth = len(path.relative_to(ROOT / folder).parts)
            dots = r"\." * (depth + 1)
            text = path.read_text()
            for other, module in re.findall(rf"^\s*from {dots}(\w+)(?:\.([\w.]+))?", text, re.M):
                assert other in may, f"{path} imports {other}"
                assert folder != "model" or module in plain, f"{path} imports hw.{module}"
            for other in re.findall(r"^\s*(?:from|import) shiftwork\.(\w+)", text, re.M):
                assert other in may | {folder}, f"{path} imports {other}"
            forbidden = {"hw": r"torch", "model": r"amaranth"}.get(folder)
            if forbidden:
                assert not re.search(rf"^\s*(?:from|import) {forbidden}\b", text, re.M), path
