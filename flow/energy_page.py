"""Energy per picture as a table, a plot and a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table

from ..model.zoo import MODELS
from .energy_cost import PARTS, SOURCE
from .energy_designs import KEPT
from .files import write_atomic, write_json
from .pareto import COLUMNS as PARETO
from .pareto import pareto_rows, top1
from .report.plots import stacked_bars
from .tables import markdown_table, rich_table, wanted

BASELINE = "int8"
TARGET = 0.5  # of the int8 engine, per picture of SqueezeNet, within a point of its accuracy
TARGET_POINTS = 1.0
COLUMNS = ("design", "circuit", "cycles", "MB", *PARTS, "uJ", "of int8", "top-1")
EMITTED_COLUMNS = ("memories", "design", "array", "of the bench's", "uJ", "of int8 alike",
                   "of int8 as it is", "top-1")  # fmt: skip
LEVER_COLUMNS = (
    "memories", "design", "cycles", "MB", *PARTS, "uJ", "of int8 alike", "of int8 as it is",
    "top-1",
)  # fmt: skip
FRUGAL_COLUMNS = ("network", "top-1", "top-5", "agrees with float", "divergence",
                  "bits per weight", "non-zero terms per weight")  # fmt: skip

PREFACE = """\
# Energy per picture

`{command}` writes this page, from what `bench-array`, `bench-asic`
and `accuracy` have measured. Energies in uJ of one picture on an engine of {rows} x {cols} lanes
(`{name}`).

**Measured**: energy per product of the array, by gate-level simulation with delays of three layers
of SqueezeNet on `{picture}` in {library} ([power.md](power.md)){also}.
**Counted**: beats of the array, blocks of weights, accesses of every memory, by the cycle model and
the program's descriptors, which agree with the Verilog's counters ([zoo.md](zoo.md)).
**Computed**: everything else, that is

- *array*: every beat costs all its lanes, idle ones too, as if all layers and networks were like
  those measured; between the energies of held and changing weights by the share of beats with new
  ones, never below the first.
- *sums* (accumulators read and written), *buffer* (activations), *queue* (weights on their way),
  *weights* and *maps* (memory outside; what describes layers is among the maps): bits times pJ per
  bit: {costs}. On-chip
  memories after {source}, by size{scaled}; external memory is the lower end of that table, and
  another chip's. Options change each of them.
- *control*: all of the engine but array and memories, registers and requantiser among it: {control}
- *few terms*: N=2, B=3 rounded with a price for each non-zero term. *mixed by cycles*: a second
  term where it costs few of this engine's cycles, 1.1 times those of N=1 in all.
- Every engine runs programs of its own: those of int8 and int4 (`arithmetic`), those of lanes that
  take two terms at once (`lane_terms=2`: *two-term*, *few terms*) and those of one-term lanes, in
  N passes.

**Not included**: {missing}clock tree, wires, and the leakage of memories. The circuits are those of
`hw/arrays`; {built}
"""

LEVERS = """\
## What the memories' levers give

SqueezeNet v1.1, the same for every arithmetic. *half the memories*: {hold} accumulators per column
and bank in place of {holds}, {words:,} words of activation buffer in place of {wordss:,}: each bit
costs less, weights are read more often. *maps without zeros*: `zero_maps`, without any loss; what
it moves was counted on the zoo's picture. *weights kept*: {kept} kB more on chip, where the codes
of layers that fit are read once; **no engine has that yet**, it is computed.
"""

EMITTED = """\
## As emitted

SqueezeNet v1.1, with the array of the emitted Verilog in place of the bench's circuit, where it was
measured ([asic.md](asic.md)): all that it took while it ran, by the beats that it made:
{array} pJ per cycle. Its weights there
were rounded without a price for terms. Everything but memories is a mapped netlist's then.
"""

FRUGAL = """\
## Accuracies that [accuracy.md](accuracy.md) lacks

SqueezeNet v1.1 on the same pictures, rounded with the same crops. With 6-bit activations the
picture itself keeps 8 bits, which an engine of `act_bits` 6 does not take.
"""

NOTE = """\
*MB* is read and written outside. *top-1* is in percent of the labelled pictures
([accuracy.md](accuracy.md)), - where it was not measured."""

AREA = """\
Energy, area, cycles and accuracy together; *mm2* is that of {area}. A design is
beaten by one that is nowhere worse and somewhere better."""

GREEDY = """\
The array was measured with weights rounded greedily; those of the accuracies have more terms, and
N=1 took 2 % more with them (decision 012)."""


def _cells(row: dict[str, Any], baseline: dict[str, Any] | None) -> list[str]:
    moved = (row["accesses"]["read"] + row["accesses"]["written"]) / 8e6
    right = top1(row)
    return [
        row["design"], row["circuit"], f"{row['cycles']:,}", f"{moved:.2f}",
        *(f"{row['parts'][part]:,.0f}" for part in PARTS), f"{row['total']:,.0f}",
        f"{row['total'] / baseline['total']:.2f}" if baseline else "",
        "-" if right is None else f"{right:.1f}",
    ]  # fmt: skip


def by_network(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each network."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in document["rows"]:
        found.setdefault(row["network"], []).append(row)
    return found


def title_of(network: str) -> str:
    """Return what to call a network."""
    return MODELS[network].title


def cells_of(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of one network's table."""
    return [_cells(row, _baseline(rows)) for row in rows]


def _baseline(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((row for row in rows if row["design"] == BASELINE), None)


def to_table(rows: list[dict[str, Any]]) -> Table:
    """Return one network's table for the terminal."""
    kept = [index for index, name in enumerate(COLUMNS) if name not in ("circuit", "cycles", "MB")]
    cells = [[row[index] for index in kept] for row in cells_of(rows)]
    title = title_of(rows[0]["network"])
    return rich_table([COLUMNS[index] for index in kept], cells, title=title, narrow=True)


def alike(document: dict[str, Any], row: dict[str, Any]) -> float:
    """Return a lever's row in parts of the int8 engine with the same lever."""
    rows = [other for other in document["levers"] if other["lever"] == row["lever"]]
    baseline = _baseline(rows)
    assert baseline is not None
    return row["total"] / baseline["total"]


def verdict(document: dict[str, Any]) -> str | None:
    """Return whether the target is reached, None where it cannot be told.

    The engine of shifts is compared with int8's that has the same memories; what none has yet does
    not count.
    """
    baseline = _baseline(document["levers"])
    best = top1(baseline) if baseline else None
    if baseline is None or best is None:
        return None
    found = [
        row for row in document["levers"]
        if not row["design"].startswith("int") and not row["lever"].endswith("kept")
        and (points := top1(row)) is not None and points >= best - TARGET_POINTS
    ]  # fmt: skip

    within = f"within {TARGET_POINTS:.0f} point of its accuracy"
    if not found:
        return f"SqueezeNet: no engine is {within}."
    row = min(found, key=lambda row: alike(document, row))
    part = alike(document, row)
    return (
        f"SqueezeNet, {row['design']}, {row['lever']}: {part:.2f} of the int8 engine that has the "
        f"same memories, {row['total'] / baseline['total']:.2f} of int8's as it is, {within}, "
        f"{wanted(part, TARGET)}."
    )


def lever_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the levers' table."""
    first = _baseline(document["levers"])
    found = []
    for row in document["levers"]:
        name, _, cycles, *rest, _, right = _cells(row, first)
        as_it_is = f"{row['total'] / first['total']:.2f}" if first else ""
        part = f"{alike(document, row):.2f}"
        found.append([row["lever"], name, cycles, *rest, part, as_it_is, right])
    return found


def as_emitted(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the levers' rows whose array was measured, with it in place of the bench's."""
    found = []
    for row in document["levers"]:
        if row["emitted"] is not None:
            total = row["total"] - row["parts"]["array"] + row["emitted"]
            found.append({**row, "total": total})
    return found


def emitted_rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of engines as emitted."""
    document = {**document, "levers": as_emitted(document)}
    if _baseline(document["levers"]) is None:
        return []
    found = lever_rows(document)
    rows = zip(document["levers"], found, strict=True)
    return [
        [*cells[:2], f"{row['emitted']:,.0f}", f"{row['emitted'] / row['parts']['array']:.2f}",
         *cells[-4:]]
        for row, cells in rows
    ]  # fmt: skip


def _frugal_cells(row: dict[str, Any]) -> list[str]:
    shares = [f"{100 * row[name] / row['pictures']:.1f}" for name in ("top1", "top5", "agree")]
    return [
        row["variant"], *shares, f"{row['divergence']:.3f}", f"{row['bits_per_weight']:.3g}",
        f"{row['mean_terms']:.2f}",
    ]  # fmt: skip


def _costs(document: dict[str, Any]) -> str:
    costs = list(document["costs"].values())
    sums = sorted({cost["sums"] for cost in costs})
    between = f"{sums[0]:.2f}" if len(sums) == 1 else f"{sums[0]:.2f} to {sums[-1]:.2f}"
    one = costs[0]
    return (
        f"sums {between}, buffer {one['buffer']:.2f}, queue {one['queue']:.2f},\n"
        f"  external {one['external']:.1f}"
    )


def _control(document: dict[str, Any]) -> tuple[str, str]:
    """Return what is said of control, and what of it is left out."""
    control = document.get("control")
    if control:
        same = control["engine"] == document["config"]["name"]
        other = "" if same else ", another engine, not scaled to this one"
        pj = ", ".join(
            f"{each:,.0f} ({name}{'' if name in control['measured'] else ', not measured: shift'})"
            for name, each in control["pj"].items()
        )
        told = document["rows"]
        of_pictures = [row["accesses"]["beats"] / row["cycles"] for row in told]
        return (
            f"{pj} pJ\n  per cycle, by gate-level simulation with delays of the mapped "
            f"`{control['engine']}` of {control['lanes']} lanes, with\n  clock gates{other}, while "
            "it runs a corner of a layer ([asic.md](asic.md)). Of it the\n  window's goes by the "
            "beat and that of drain, requantiser and storer by the output, which pictures have\n  "
            f"more of: {_split(control)}. The array computed in {_span(control['beats'].values())} "
            f"of the\n  cycles measured, and does in {_span(of_pictures)} of the pictures' here."
        ), ""
    pj = next(iter(document["costs"].values()))["control"]["cycle"]
    if pj:
        known = "[decision 016](../decisions/016-power-of-engines.md) has what was measured"
        return f"{pj:,.0f} pJ\n  per cycle, as given; {known}.", ""
    why = document.get("no_control") or "not measured"
    return f"not known\n  here, and 0: {why}.", "control, address generation, requantiser, buses, "


def _split(control: dict[str, Any]) -> str:
    """Return what control takes by cycle, beat and output."""
    return "; ".join(
        f"{part['cycle']:,.0f} pJ a cycle, {part['beat']:,.0f} a beat, {part['output']:,.0f} an "
        f"output ({name})"
        for name, part in control["split"].items()
        if name in control["measured"]
    )


def _built(document: dict[str, Any]) -> str:
    """Return what is said of the array that the emitted Verilog has."""
    if emitted_rows(document):
        return "what the emitted Verilog's array takes [stands apart](#as-emitted)."
    return "the emitted Verilog has lanes of its own."


def _span(shares: Iterable[float]) -> str:
    """Return the least and the largest of shares in percent."""
    percent = sorted({f"{100 * share:.0f}" for share in shares}, key=int)
    return f"{percent[0]} %" if len(percent) == 1 else f"{percent[0]} to {percent[-1]} %"


def _area(document: dict[str, Any]) -> str:
    if not document.get("area_of_all_else"):
        return "the array alone"
    return "the array, of the bench's circuit, and of all else as mapped, without memories"


def to_markdown(document: dict[str, Any], image: str | None, command: str) -> str:
    """Return the page; ``image`` is the plot's file name."""
    config = document["config"]
    scaled = {
        180: ", times 16 for 0.18 um at 1.8 V (capacitance times voltage squared)",
        45: ", the array's energy over 16 for 45 nm at 0.9 V (capacitance times voltage squared)",
    }[document["node"]]
    control, missing = _control(document)
    lines = [PREFACE.format(
        command=command, also="; control, see there" if document.get("control") else "",
        control=control, missing=missing, built=_built(document),
        rows=config["rows"], cols=config["cols"], name=config["name"],
        picture=document["picture"], library=document["library"], costs=_costs(document),
        source=SOURCE, scaled=scaled,
    )]  # fmt: skip
    for rows in by_network(document).values():
        lines += [f"## {title_of(rows[0]['network'])}", ""]
        lines += markdown_table(COLUMNS, cells_of(rows))
        lines.append("")
        if compared := pareto_rows(rows):
            lines += [AREA.format(area=_area(document)), ""]
            lines += [*markdown_table(PARETO, compared), ""]
    if document["levers"]:
        lines += [LEVERS.format(
            hold=config["hold"] // 2, holds=config["hold"], words=config["buffer_words"] // 2,
            wordss=config["buffer_words"], kept=KEPT >> 10,
        )]  # fmt: skip
        lines += [*markdown_table(LEVER_COLUMNS, lever_rows(document)), ""]
    if said := verdict(document):
        lines += [said, ""]
    if emitted := emitted_rows(document):
        pj = ", ".join(f"{array:,.0f} ({name})" for name, array in document["emitted"].items())
        lines += [EMITTED.format(array=pj), *markdown_table(EMITTED_COLUMNS, emitted), ""]
        if said := verdict({**document, "levers": as_emitted(document)}):
            lines += [said, ""]
    if document["frugal"]:
        frugal = [_frugal_cells(row) for row in document["frugal"]]
        lines += [FRUGAL, *markdown_table(FRUGAL_COLUMNS, frugal), ""]
    lines += [NOTE, ""] if document["rounded"] else [NOTE, GREEDY, ""]
    if image:
        lines += [f"![Energy per picture]({image})", ""]
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]]) -> str:
    """Return one network's energies as bars of parts."""
    series = {part: [row["parts"][part] for row in rows] for part in PARTS}
    title = f"Energy of one picture, {title_of(rows[0]['network'])}"
    return stacked_bars(title, [row["design"] for row in rows], series, "uJ")


def write(document: dict[str, Any], out_dir: Path, page: Path | None, command: str) -> Path:
    """Write energy.json, and with ``page`` energy.md and its plot; return the JSON's path."""
    if page is not None:
        first = next(iter(by_network(document).values()))
        write_atomic(page / "energy.svg", plot(first))
        write_atomic(page / "energy.md", to_markdown(document, "energy.svg", command))
    return write_json(out_dir / "energy.json", document)
