"""The register map for others: C header, SystemRDL and a page of the reference."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..hw.config import EngineConfig
from ..hw.descriptor import ErrorCode
from ..hw.registers import ADDR_BITS, MAP_VERSION, REGISTERS, Access, Field, Register, constants
from .files import write_atomic

PAGE = Path("docs/reference/registers.md")

# SystemRDL properties: software access, and what hardware does.
_RDL = {
    Access.RO: "sw = r; hw = w;",
    Access.RW: "sw = rw; hw = r;",
    Access.W1: "sw = w; hw = r; singlepulse;",
    Access.W1C: "sw = rw; hw = w; onwrite = woclr;",
}
_MEANING = {
    Access.RO: "read only",
    Access.RW: "read and write",
    Access.W1: "writing 1 acts, reads 0",
    Access.W1C: "writing 1 clears",
}


def _mask(field: Field) -> int:
    return ((1 << field.bits) - 1) << field.lsb


def c_header(config: EngineConfig) -> str:
    """Return a C header: offsets, masks, shifts and error codes, and what this engine's reads give.

    The map is every engine's, so headers of several engines share it; names of the constants
    begin with the engine's.
    """
    fixed = constants(config)
    own = config.module_name.upper()
    shared = "SHIFTWORK_REGISTER_MAP"
    lines = [
        f"/* Registers of {config.module_name}; generated, do not edit. */",
        f"#ifndef {own}_H",
        f"#define {own}_H",
        "",
        "/* constants of this engine */",
    ]
    for (register, field), value in fixed.items():
        lines.append(f"#define {own}_{register}_{field.upper()} 0x{value:X}u")
    lines += [
        "",
        "/* the map, the same for every engine */",
        f"#ifndef {shared}",
        f"#define {shared} {MAP_VERSION}u",
        "",
    ]
    for register in REGISTERS:
        name = f"SHIFTWORK_{register.name}"
        lines.append(f"#define {name} 0x{register.offset:02X}u /* {register.doc} */")
        for field in register.fields:
            place = f"{name}_{field.name.upper()}"
            lines.append(
                f"#define {place}_MASK 0x{_mask(field):08X}u /* "
                f"{_MEANING[field.access]}: {field.doc} */"
            )
            lines.append(f"#define {place}_SHIFT {field.lsb}u")
            if field.reset:
                lines.append(f"#define {place}_RESET 0x{field.reset:X}u")
    lines += ["", "/* ERROR.code */"]
    lines += [f"#define SHIFTWORK_ERROR_CODE_{code.name} {code.value}u" for code in ErrorCode]
    lines += [
        "",
        f"#elif {shared} != {MAP_VERSION}u",
        f'#error "{config.module_name}: another version of the register map is included"',
        f"#endif /* {shared} */",
        "",
        f"#endif /* {own}_H */",
    ]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rdl_register(register: Register, fixed: dict[tuple[str, str], int]) -> list[str]:
    lines = ["    reg {", f"        desc = {_quoted(register.doc)};"]
    for field in register.fields:
        value = fixed.get((register.name, field.name), field.reset)
        # Only what software or the build decides has a value after reset to state.
        stated = (register.name, field.name) in fixed or field.access is not Access.RO
        reset = f" = {field.bits}'h{value:X}" if stated else ""
        high = field.lsb + field.bits - 1
        lines += [
            "        field {",
            f"            desc = {_quoted(field.doc)};",
            f"            {_RDL[field.access]}",
            f"        }} {field.name}_f[{high}:{field.lsb}]{reset};",
        ]
    return [*lines, f"    }} {register.name} @ 0x{register.offset:X};"]


def system_rdl(config: EngineConfig) -> str:
    """Return the map as a SystemRDL 2.0 address map; field names end in ``_f``.

    The suffix keeps them clear of the language's keywords.
    """
    fixed = constants(config)
    lines = [
        f"// Registers of {config.module_name}; generated, do not edit.",
        f"addrmap {config.module_name} {{",
        f"    desc = {_quoted(f'AXI4-Lite registers, a window of {1 << ADDR_BITS} bytes')};",
        "    default regwidth = 32;",
        "    default accesswidth = 32;",
    ]
    for register in REGISTERS:
        lines += _rdl_register(register, fixed)
    return "\n".join([*lines, "};", ""])


def page() -> str:
    """Return the reference page of the map, Markdown."""
    lines = [
        "# Registers",
        "",
        "The AXI4-Lite slave `s_axil_*`: 32-bit registers in a window of 4 KiB. An address beyond",
        "the last register answers SLVERR. This page is generated: `make registers`.",
        "",
        "CONFIG has no room for every parameter: others, as `lane_terms`, are in `NAME.json`, and",
        "FINGERPRINT is another one for each that a program depends on; the driver compares it.",
        "",
        "| Offset | Register | Bits | Field | Access | Reset | Meaning |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for register in REGISTERS:
        for field in register.fields:
            high = field.lsb + field.bits - 1
            bits = f"{high}:{field.lsb}" if field.bits > 1 else str(field.lsb)
            reset = f"0x{field.reset:X}" if field.access is Access.RW else ""
            meaning = field.doc if len(register.fields) > 1 else f"{register.doc}: {field.doc}"
            lines.append(
                f"| 0x{register.offset:02X} | {register.name} | {bits} | {field.name} | "
                f"{field.access.value} | {reset} | {meaning} |"
            )
    lines += ["", "Access: " + "; ".join(f"{a.value} {_MEANING[a]}" for a in Access) + "."]
    lines += ["", "## Error codes", "", "| Code | Name |", "| --- | --- |"]
    lines += [f"| {code.value} | {code.name} |" for code in ErrorCode]
    return "\n".join([*lines, ""])


def write_registers(config: EngineConfig, out_dir: Path) -> tuple[Path, Path]:
    """Write NAME.h and NAME.rdl into a folder; return their paths."""
    name = config.module_name
    header = write_atomic(Path(out_dir) / f"{name}.h", c_header(config))
    return header, write_atomic(Path(out_dir) / f"{name}.rdl", system_rdl(config))


def main() -> None:
    """Write the reference page."""
    parser = argparse.ArgumentParser(description="write the reference page of the registers")
    parser.add_argument("path", nargs="?", type=Path, default=PAGE)
    write_atomic(parser.parse_args().path, page())


if __name__ == "__main__":
    main()
