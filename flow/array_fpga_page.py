"""What array circuits take on FPGAs, as a table and a section of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from .array_fpga import DEVICES
from .files import write_atomic, write_json
from .tables import markdown_table, rich_table, wanted

#: Most that is wanted of a circuit: part of the lookup tables of int8 without DSP blocks.
TARGETS = {"n1_rows": 0.28, "n2_rows": 0.60}
PLAIN = "int8_plain"

TITLE = "## Lookup tables on ECP5 and iCE40\n"
SECTION = """
`shiftwork bench-array --only-fpga --page docs/reference` measures and writes this part alone.

4-input lookup tables per lane, weights in registers: one column of {rows} lanes with its adders
and accumulator, mapped by Yosys without DSP blocks. Each circuit is mapped twice, sums of many
as one block of full adders, as Yosys does by itself, and as carry chains; the smaller one counts
(a CCU2C is two lookup tables).

- **Absorbed**: tables that only ECP5 adders read, taken into them where four inputs allow it
  (`flow/absorb.py`), for every circuit alike; parts are of these. An iCE40's carry takes its two
  operands as they are, so nothing is absorbed there.
- **MHz** of the column with the fewest tables, placed by itself on an ECP5-25F, speed grade 6, one
  seed: from registers through lane, adders and accumulator in one cycle.
- *A row per bit*: x or nothing, which adders absorb. *Radix-4 digits* of -1, 0, 1 or 2 take one
  table per bit. *Rows*: lanes of shifts whose last multiplexer adders absorb. Their rows are added
  in running sums of four and a tree above, *in pairs* (int4's digits too) in a balanced tree, as
  engines do; plain shifters and plain `*` in a balanced tree of lanes.
"""

CAPACITY = """
Products per cycle that an {device} has room for: {luts:,} lookup tables over those of a lane,
nothing else on the device; {dsps} DSP blocks (MULT18X18D), each {products} products of 8 x 8
bits, {dsps} x {products} = {blocks}, and for both, that plus {luts:,} over the smallest int8 lane.
DSP blocks are taken to add up their products by themselves, which favours int8.
"""


Row = dict[str, Any]


def _luts(row: Row, family: str, which: str = "luts") -> float:
    return row["families"][family][which]


def _bases(document: dict[str, Any], family: str) -> dict[str, Row]:
    """Return the int8 circuits that others are compared with, by what they are called."""
    int8 = [row for row in document["circuits"] if row["name"].startswith("int8")]
    plain = [row for row in int8 if row["name"] == PLAIN]
    found = {"plain `*`": plain[0]} if plain else {}
    if int8:
        found["the smallest int8"] = min(int8, key=lambda row: _luts(row, family))
    return found


def _columns(document: dict[str, Any]) -> list[str]:
    found = ["circuit"]
    for family, device in DEVICES.items():
        found.append(f"{device.name} LUT4")
        found += ["absorbed"] if device.ecp5 else []
        found += [f"of {what}" for what in _bases(document, family)]
        found += ["MHz"] if device.ecp5 else []
    return found


def _cells(document: dict[str, Any]) -> list[list[str]]:
    return [
        [row["title"], *(cell for family in DEVICES for cell in _of_family(document, row, family))]
        for row in document["circuits"]
    ]


def _of_family(document: dict[str, Any], row: Row, family: str) -> list[str]:
    cells = [f"{_luts(row, family, 'apart'):.1f}"]
    if DEVICES[family].ecp5:
        cells.append(f"{_luts(row, family):.1f}")
    for base in _bases(document, family).values():
        cells.append(f"{_luts(row, family) / _luts(base, family):.2f}")
    if DEVICES[family].ecp5:
        cells.append(f"{_luts(row, family, 'mhz'):.0f}")
    return cells


def fpga_table(document: dict[str, Any]) -> Table:
    """Return the table for the terminal."""
    return rich_table(_columns(document), _cells(document))


def fpga_verdicts(document: dict[str, Any]) -> list[str]:
    """Return what is reached of the targets, a line each."""
    rows = {row["name"]: row for row in document["circuits"]}
    lines = []
    for name, target in TARGETS.items():
        for family, device in DEVICES.items():
            for what, base in _bases(document, family).items() if name in rows else ():
                part = _luts(rows[name], family) / _luts(base, family)
                lines.append(
                    f"{rows[name]['title']}, {device.name}: of the lookup tables of {what} "
                    f"{part:.3f}, {wanted(part, target)}."
                )
    return lines


def fpga_markdown(document: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        TITLE, SECTION.format(rows=document["rows"]).lstrip(),
        *markdown_table(_columns(document), _cells(document)),
        CAPACITY.format(
            device=document["device"], luts=document["device_luts"], dsps=document["dsps"],
            products=document["products"], blocks=document["dsps"] * document["products"],
        ),
        *markdown_table(
            ("what", "products per cycle"),
            [(name, f"{count:,}") for name, count in document["capacity"].items()],
        ),
        "", *(f"- {line}" for line in fpga_verdicts(document)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def find_section(page: Path) -> tuple[Path, str, str]:
    """Return power.md in a folder, and what stands before and after this section.

    Raises
    ------
    ValueError
        If there is no power.md with such a section.
    """
    path = page / "power.md"
    before, title, rest = (path.read_text() if path.exists() else "").partition(TITLE)
    if not title:
        raise ValueError(f"{path} has no section {TITLE[3:].strip()!r}: run it all once")
    _, follows, after = rest.partition("\n## ")
    return path, before, follows + after


def write_fpga(document: dict[str, Any], out_dir: Path, page: Path | None) -> Path:
    """Write fpga.json, and with ``page`` this section of power.md; return the JSON's path.

    Raises
    ------
    ValueError
        If there is no power.md with such a section.
    """
    if page is not None:
        path, before, after = find_section(page)
        write_atomic(path, before + fpga_markdown(document) + after)
    return write_json(out_dir / "fpga.json", document)
