"""What ``bench-asic`` measures as a table and a page of the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from .asic.clock_gates import MOST
from .files import write_atomic, write_json
from .tables import markdown_table, rich_table

COLUMNS = (
    "engine", "lanes", "cells", "area, mm2", "of int8", "array, mm2", "of int8", "lane, um2",
    "critical ns", "period ns", "memories, kbit", "netlist",
)  # fmt: skip

PREFACE = """\
# Whole engines in standard cells

`{command}`
writes this page and measures everything on it, in {library}.

`arithmetic="int8"` and `"int4"` make an engine whose weights are integers: the same buffers,
dataflow, accumulators, requantiser, program and registers, and another lane in the array. The lane
multiplies by radix-4 digits -1, 0, 1, 2:
[the decision](../decisions/014-integer-engines.md) says why.

- **Netlist**: the emitted Verilog, module by module, by Yosys; full adders that it finds in the
  logic become the library's cell, in every arithmetic: without it int8's columns are larger and
  shift's a little smaller. No clock tree, no wires, no test logic.
- **Memories** are not part of it, queues and records included; their bits stand beside. In the
  simulation a model takes their place whose words are random at first, and where a word is read
  that is just being written.
- **netlist**: bytes of a small network (convolutions, a depthwise one, an addition, a maximum)
  that the netlist wrote in the cocotb bench (Icarus, with the delays of its cells), all equal
  to the golden model's, and the cycles it took. One byte that differs, and the command fails.
- **critical ns**: the longest path between registers, by OpenSTA. Pins of memories count as
  registers: what a memory takes to be read, and paths through one that is read at once, are not in
  it. Modules are mapped one by one, so nets between them have no buffers.
- **period ns**: the shortest clock period these allow: the longest path, or twice the longest one
  to a clock gate, which has half a period.
"""

POWER = """\
## Power

By OpenSTA at {mhz:.0f} MHz from the toggles of every net, while the netlist, with the delays of its
cells, runs a real layer: the second convolution of the Fashion-MNIST network, 5 x 5
pixels of its output (8 x 8 at a stride of 1 with more than 64 lanes) for two blocks of columns,
with the activations of a test picture; weights of as many terms as a lane takes at once, rounded
greedily, or integers rounded to nearest. Toggles are counted in every cycle from the first access
to memory to the interrupt; in those of *beats* the array computes. Every byte written was equal to
the golden model's; one that differs, or less than 95 % of the pins with toggles, and the command
fails. *no value*: pins of nets that had none all the while, as behind registers that
are not used; they count among those with toggles, and as still.
Memories have no part in it, nor wires and the clock tree. What clock pins take is: inside, and to
charge their capacitance, as often as the clock came through the gate before them. *uJ per picture*:
pJ per cycle times the cycles of the whole network on this engine, as the cycle model has them.
"""

GATES = """\
## Clock gates

Flip-flops that share an enable with at least one more get their clock through a gate
([the decision](../decisions/018-clock-gates.md)): an OR of the clock and the enable's inverse, one
for every {most} of them, cells of the library like others. Registers of 8 bits and more without an
enable, but those of the array, have one for every 8 bits: that they would change. *no clock gates*:
a multiplexer before flip-flops with an enable instead. *enables ns*: the longest path to a gate,
which has half a period; later, and the command fails. The clock is ideal: gates have no delay in
timing and simulation. *of plain*: of the same engine without clock gates.
"""

GATE_COLUMNS = (
    "engine", "flip-flops", "gated", "gates", "enables ns", "area, mm2", "of plain", "pJ per cycle",
    "of plain", "all but array", "of plain",
)  # fmt: skip

POWER_COLUMNS = (
    "engine", "mW", "internal", "switching", "leakage", "pJ per cycle", "array", "all else",
    "pJ per MAC", "of int8", "uJ per picture", "of int8", "pins", "no value", "cycles", "beats",
    "bytes equal",
)  # fmt: skip

NOTES = """\
An engine of shift arithmetic runs N = 1 at the rate of the integer ones, and N terms in N passes;
*two-term* (`lane_terms=2`, `code_bits=3`, `max_terms=2`) runs N = 2 in one.
Array: columns with the held codes, lanes, adders, and the registers about the accumulators'
memories. Lane: the array's area by its lanes.
"""


def title_of(row: dict[str, Any]) -> str:
    """Return what to call an engine."""
    return f"{row['engine']}, {row['arithmetic']}{'' if row['gates'] else ', no clock gates'}"


def _of(value: float, row: dict[str, Any], rows: list[dict[str, Any]], name: str) -> str:
    """Return a value in parts of int8's, of the same engine and with or without gates as it."""
    for other in rows:
        same = (other["engine"], not other["gates"]) == (row["engine"], not row["gates"])
        if same and other["arithmetic"] == "int8" and name in other:
            return f"{value / other[name]:.3f}"
    return ""


def least_period(row: dict[str, Any]) -> float:
    """Return the shortest clock period of an engine in ns; enables of clock gates have half."""
    return max(row["critical_ns"], 2 * row.get("enables_ns", 0.0))


def table_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the table's cells, one row per engine and arithmetic."""
    rows = document["engines"]
    return [
        [
            title_of(row), str(row["lanes"]), f"{row['cells']:,}",
            f"{row['area_total'] / 1e6:.3f}",
            _of(row["area_total"], row, rows, "area_total"),
            f"{row['area_array'] / 1e6:.3f}",
            _of(row["area_array"], row, rows, "area_array"),
            f"{row['area_array'] / row['lanes']:,.0f}",
            f"{row['critical_ns']:.1f}" if "critical_ns" in row else "",
            f"{least_period(row):.1f}" if "critical_ns" in row else "",
            f"{row['memory_bits'] / 1024:,.0f}",
            f"{row['checked']:,} bytes, {row['cycles']:,} cycles" if "checked" in row else "",
        ]
        for row in rows
    ]  # fmt: skip


def power_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of power, one row per engine that was run for it."""
    rows = [row for row in document["engines"] if "power" in row]
    found = []
    for row in rows:
        parts = {
            part: 1e3 * sum(of[part] for of in row["power"].values())
            for part in ("internal", "switching", "leakage")
        }
        array = row["pj_per_cycle_array"]
        found.append([
            title_of(row), f"{sum(parts.values()):.2f}",
            *(f"{value:.2f}" if part != "leakage" else f"{value:.4f}"
              for part, value in parts.items()),
            f"{row['pj_per_cycle']:,.0f}", f"{array:,.0f}", f"{row['pj_per_cycle'] - array:,.0f}",
            f"{row['pj_per_mac']:,.1f}", _of(row["pj_per_mac"], row, rows, "pj_per_mac"),
            f"{row['uj_per_picture']:,.1f}",
            _of(row["uj_per_picture"], row, rows, "uj_per_picture"),
            f"{row['annotated']:.1%}", f"{row['unknown']:.1%}",
            f"{row['power_cycles']:,}", f"{row['beats'] / row['power_cycles']:.0%}",
            f"{row['power_checked']:,}",
        ])  # fmt: skip
    return found


def gate_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of clock gates, one row per engine."""
    found = []
    for row in document["engines"]:
        key = row["engine"], row["arithmetic"]
        same = [each for each in document["engines"] if (each["engine"], each["arithmetic"]) == key]
        plain = next((each for each in same if not each["gates"]), None)
        cells = [
            title_of(row), f"{row['flip_flops']:,}", f"{row['gated'] / row['flip_flops']:.0%}",
            f"{row['gates']:,}", f"{row['enables_ns']:.1f}" if row.get("enables_ns") else "",
        ]  # fmt: skip
        for value, digits in ((_area, 3), (_energy, 0), (_all_else, 0)):
            mine, other = value(row), value(plain)
            cells.append("" if mine is None else f"{mine:,.{digits}f}")
            share = mine / other if mine is not None and other is not None else 0.0
            cells.append(f"{share:.2f}" if row["gates"] and share else "")
        found.append(cells)
    return found


def _area(row: dict[str, Any] | None) -> float | None:
    return row["area_total"] / 1e6 if row else None


def _energy(row: dict[str, Any] | None) -> float | None:
    return row.get("pj_per_cycle") if row else None


def _all_else(row: dict[str, Any] | None) -> float | None:
    total = _energy(row)
    return total - row["pj_per_cycle_array"] if row and total is not None else None


def _power_blocks(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the columns, and for each block what it takes: internal + switching, pJ per cycle."""
    rows = [row for row in document["engines"] if "power" in row]
    names = [title_of(row) for row in rows]
    scale = 1e3 * document["period_ns"]
    blocks = dict.fromkeys(block for row in rows for block in row["area"])
    none = {"internal": 0.0, "switching": 0.0, "leakage": 0.0}
    cells = []
    for block in blocks:
        parts = [row["power"].get(block, none) for row in rows]
        cells.append([
            block,
            *(f"{scale * of['internal']:,.1f} + {scale * of['switching']:,.1f}" for of in parts),
        ])  # fmt: skip
    return ["block", *names], cells


def _power_lines(document: dict[str, Any]) -> list[str]:
    if not any("power" in row for row in document["engines"]):
        return []
    columns, cells = _power_blocks(document)
    preface = POWER.format(mhz=1e3 / document["period_ns"])
    return [
        preface, *markdown_table(POWER_COLUMNS, power_rows(document)), "",
        "By block, internal + switching energy in pJ per cycle:", "",
        *markdown_table(columns, cells), "",
    ]  # fmt: skip


def largest_blocks(rows: list[dict[str, Any]], count: int = 5) -> list[str]:
    """Return the blocks that take most power, over all engines that were run."""
    blocks = dict.fromkeys(block for row in rows for block in row["power"])
    taken = {
        block: sum(sum(row["power"].get(block, {}).values()) for row in rows) for block in blocks
    }
    return sorted(taken, key=lambda block: -taken[block])[:count]


def gate_table(document: dict[str, Any]) -> Table:
    """Return the clock gates' table for the terminal."""
    return rich_table(GATE_COLUMNS, gate_rows(document), narrow=True)


def power_table(document: dict[str, Any]) -> Table:
    """Return the power's table for the terminal."""
    return rich_table(POWER_COLUMNS, power_rows(document), narrow=True)


def _block_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the area of each block, a column per engine and arithmetic, in 1000 um2."""
    rows = document["engines"]
    blocks = dict.fromkeys(block for row in rows for block in row["area"])
    return [
        [block, *(f"{row['area'].get(block, 0) / 1e3:,.1f}" for row in rows)] for block in blocks
    ]


def _memory_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the memories of a kbit and more: words x bits, how many in each engine."""
    rows = document["engines"]
    counts = [
        {
            (m["words"], m["bits"]): m["count"]
            for m in row["memories"]
            if m["words"] * m["bits"] >= 1024
        }
        for row in rows
    ]
    sizes = sorted({size for count in counts for size in count}, key=lambda s: (-s[0] * s[1], s))
    return [
        [f"{words} x {bits}", *(str(count.get((words, bits), "")) for count in counts)]
        for words, bits in sizes
    ]


def to_table(document: dict[str, Any]) -> Table:
    """Return the table for the terminal."""
    return rich_table(COLUMNS, table_rows(document), narrow=True)


def markdown(document: dict[str, Any], command: str) -> str:
    """Return the page."""
    names = [title_of(row) for row in document["engines"]]
    lines = [
        PREFACE.format(command=command, library=document["library"]),
        *markdown_table(COLUMNS, table_rows(document)),
        "",
        NOTES,
        GATES.format(most=MOST),
        *markdown_table(GATE_COLUMNS, gate_rows(document)),
        "",
        *_power_lines(document),
        "## By block, in 1000 square micrometres",
        "",
        *markdown_table(("block", *names), _block_rows(document)),
        "",
        "## Memories of a kbit and more, words x bits",
        "",
        *markdown_table(("memory", *names), _memory_rows(document)),
        "",
    ]
    return "\n".join(lines)


def write(document: dict[str, Any], folder: Path, page: Path | None, command: str) -> Path:
    """Write ``asic.json`` into a folder, ``asic.md`` into that of the page; return the first."""
    path = write_json(folder / "asic.json", document)
    if page is not None:
        write_atomic(page / "asic.md", markdown(document, command))
    return path
