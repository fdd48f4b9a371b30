"""What array circuits take on FPGAs, as a table and a section of the page."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from .array_fpga import DEVICES
from .tables import markdown_table, rich_table, wanted

#: Most that is wanted of a circuit: part of the lookup tables of int8 without DSP blocks.
TARGETS = {"n1_plain": 0.28, "n2_plain": 0.60}
BASELINES = {"int8_plain": "plain `*`", "int8_digits": "the smallest int8"}

SECTION = """\
## Lookup tables on ECP5 and iCE40

4-input lookup tables per lane, weights in registers: one column of {rows} lanes with its adders
and accumulator, mapped by Yosys without DSP blocks. Each circuit is mapped twice, sums of many
as one block of full adders, as Yosys does by itself, and as carry chains; the smaller one counts
(a CCU2C is two lookup tables). Radix-4 digits are the smallest int8 found: a digit of -1, 0, 1 or
2 takes one table per bit.
"""

CAPACITY = """
Products per cycle that an {device} has room for: {luts:,} lookup tables over those of a lane,
nothing else on the device; {dsps} DSP blocks (MULT18X18D), each {products} products of 8 x 8
bits, {dsps} x {products} = {blocks}, and for both, that plus {luts:,} over the smallest int8 lane.
DSP blocks are taken to add up their products by themselves, which favours int8.
"""


def _ratio(row: dict[str, Any], other: dict[str, Any] | None, family: str) -> str:
    if other is None:
        return ""
    return f"{row['families'][family]['luts'] / other['families'][family]['luts']:.2f}"


def _columns() -> list[str]:
    return ["circuit", *(
        name for device in DEVICES.values()
        for name in (f"{device.name} LUT4", *(f"of {what}" for what in BASELINES.values()))
    )]  # fmt: skip


def _cells(document: dict[str, Any]) -> list[list[str]]:
    rows = {row["name"]: row for row in document["circuits"]}
    return [
        [row["title"], *(
            cell for family in DEVICES
            for cell in (
                f"{row['families'][family]['luts']:.1f}",
                *(_ratio(row, rows.get(base), family) for base in BASELINES),
            )
        )]
        for row in rows.values()
    ]  # fmt: skip


def fpga_table(document: dict[str, Any]) -> Table:
    """Return the table for the terminal."""
    return rich_table(_columns(), _cells(document))


def fpga_verdicts(document: dict[str, Any]) -> list[str]:
    """Return what is reached of the targets, a line each."""
    rows = {row["name"]: row for row in document["circuits"]}
    lines = []
    for name, target in TARGETS.items():
        for base, what in BASELINES.items():
            for family, device in DEVICES.items():
                if name in rows and base in rows:
                    luts = [rows[n]["families"][family]["luts"] for n in (name, base)]
                    part = luts[0] / luts[1]
                    lines.append(
                        f"{rows[name]['title']}, {device.name}: of the lookup tables of {what} "
                        f"{part:.3f}, {wanted(part, target)}."
                    )
    return lines


def fpga_markdown(document: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        SECTION.format(rows=document["rows"]),
        *markdown_table(_columns(), _cells(document)),
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
