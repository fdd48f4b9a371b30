"""Exports of the register map against the description they come from, and by foreign tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from systemrdl.compiler import RDLCompiler
from systemrdl.node import AddrmapNode

from shiftwork.flow.registers import c_header, page, system_rdl, write_registers
from shiftwork.hw.config import preset
from shiftwork.hw.descriptor import ErrorCode
from shiftwork.hw.registers import REGISTERS, Access, constants

CONFIG = preset("small")
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "registers.md"


def test_the_page_is_the_generated_one() -> None:
    assert DOCS.read_text() == page(), "run `make registers`"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: install gcc to run this")
def test_a_c_program_reads_the_header(tmp_path: Path) -> None:
    (tmp_path / "map.h").write_text(c_header(CONFIG))
    (tmp_path / "other.h").write_text(c_header(preset("tiny")))
    checks: list[str] = []
    for register in REGISTERS:
        name = f"SHIFTWORK_{register.name}"
        checks.append(f"{name} == {register.offset}")
        for field in register.fields:
            mask = ((1 << field.bits) - 1) << field.lsb
            place = f"{name}_{field.name.upper()}"
            checks += [f"{place}_MASK == {mask}u", f"{place}_SHIFT == {field.lsb}"]
    checks += [f"SHIFTWORK_ERROR_CODE_{code.name} == {code.value}" for code in ErrorCode]
    for engine in (CONFIG, preset("tiny")):
        checks += [
            f"{engine.module_name.upper()}_{register}_{field.upper()} == {value}u"
            for (register, field), value in constants(engine).items()
        ]
    asserts = "\n".join(f'_Static_assert({check}, "{check}");' for check in checks)
    source = tmp_path / "check.c"
    source.write_text(f'#include "map.h"\n#include "other.h"\n#include "map.h"\n{asserts}\n')
    subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", source],
        check=True, cwd=tmp_path,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: install gcc to run this")
def test_headers_of_different_maps_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "new.h").write_text(c_header(CONFIG))
    old = c_header(preset("tiny")).replace("REGISTER_MAP 3u", "REGISTER_MAP 2u")
    (tmp_path / "old.h").write_text(old)
    (tmp_path / "check.c").write_text('#include "old.h"\n#include "new.h"\n')
    done = subprocess.run(
        ["cc", "-std=c11", "-c", "check.c"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "shiftwork_small: another version of the register map is included" in done.stderr


def test_systemrdl_compiler_sees_the_same_map(tmp_path: Path) -> None:
    path = tmp_path / "map.rdl"
    path.write_text(system_rdl(CONFIG))
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    top = compiler.elaborate().top
    assert isinstance(top, AddrmapNode)
    assert top.inst_name == CONFIG.module_name
    fixed = constants(CONFIG)
    registers = list(top.registers())
    assert len(registers) == len(REGISTERS)
    for node, register in zip(registers, REGISTERS, strict=True):
        assert (node.inst_name, node.absolute_address) == (register.name, register.offset)
        fields = list(node.fields())
        assert len(fields) == len(register.fields)
        for seen, field in zip(fields, register.fields, strict=True):
            assert seen.inst_name == f"{field.name}_f"
            assert (seen.low, seen.width) == (field.lsb, field.bits)
            assert seen.get_property("desc") == field.doc
            assert seen.is_sw_writable == (field.access is not Access.RO)
            assert seen.is_sw_readable == (field.access is not Access.W1)
            known = fixed.get((register.name, field.name))
            if known is not None or field.access is Access.RW:
                assert seen.get_property("reset") == (known if known is not None else field.reset)


def test_both_files_stand_beside_the_verilog(tmp_path: Path) -> None:
    header, rdl = write_registers(CONFIG, tmp_path)
    assert (header.name, rdl.name) == ("shiftwork_small.h", "shiftwork_small.rdl")
    assert re.search(r"#ifndef SHIFTWORK_SMALL_H\n#define SHIFTWORK_SMALL_H", header.read_text())
