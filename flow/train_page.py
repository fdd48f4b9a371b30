"""The page of the training bench: Markdown, and a table for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

HEAD = """\
# Training: the figures

Written by `make bench-train`; do not edit. How to train: [the guide](../guide/training.md).

Fashion-MNIST: {training_pictures} training pictures, {held_out_pictures} more held out of them to
choose recipes by, {test_pictures} test pictures, looked at once. The network is a small ResNet:
stem of stride {stem_stride}, 3 stages of {depth} at widths {widths}, scores; {parameters}
parameters. ResNet-20 has the same widths with 3 blocks a stage and stride 1; this one is smaller so
that the bench takes minutes. Activations have 8 bits; weights have one scale per {scale}. One seed;
{variants} on {cores} cores, {minutes} minutes of one core's time for training in all, torch
{torch}. The sampling error of a row is about 0.28 points on 10 000 pictures, that of a difference
between two rows about 0.2.

*Test* is the trained module's top-1, *held* that on the pictures held out; *golden* is that of the
integer network exported from it, which is the hardware's to the last bit. *Differs*: share of test
pictures on which the two name different classes; *steps*: the largest difference of a score, in
steps of the stored output; *exact*: share of scores that differ when the module computes with the
requantisers' own numbers.
"Float, trained on" is the float network given the epochs that the pre-trained ones are given; those
learn from the float network's scores (temperature {temperature:g}) beside the classes. DeepShift-Q
at 4 bits takes half the rate ([why](../decisions/007-training.md)).

| network | start | epochs | held % | test % | to float | golden % | differs % | steps | exact % | \
CPU s |
|---|---|---|---|---|---|---|---|---|---|---|
"""

EXPORT = """
## Export

Networks of the zoo, trained for a few steps from the float network's scores on unlabelled
pictures (float32, batch norm folded), beside the integer network exported from them, on the
labelled pictures and those it learnt from. Columns as above; *values*: share of scores that differ
at all.

| network | method | N | B | pictures | differs % | values % | steps | exact % |
|---|---|---|---|---|---|---|---|---|
"""


def to_markdown(document: dict[str, Any]) -> str:
    """Return the page of a bench's document."""
    network, rows = document["network"], document["rows"]
    minutes = round(document["cpu_seconds"] / 60)
    widths = "/".join(map(str, network["widths"]))
    blocks, jobs = network["blocks"], document["jobs"]
    words = {
        "widths": widths, "minutes": minutes,
        "depth": "one block" if blocks == 1 else f"{blocks} blocks",
        "variants": "one variant at a time" if jobs == 1 else f"{jobs} variants at a time",
    }  # fmt: skip
    lines = [HEAD.format(**{**document, **network, **words}).rstrip()]
    base = next((row["top1"] for row in rows if row["method"] == "float"), None)
    for row in rows:
        cells = [row["variant"], row["start"], str(row["epochs"])]
        cells += [f"{row['held_out']:.2f}", f"{row['top1']:.2f}"]
        cells.append("" if base is None or row is rows[0] else f"{row['top1'] - base:+.2f}")
        if row["golden_top1"] is None:
            cells += ["", "", "", ""]
        else:
            cells += [f"{row['golden_top1']:.2f}", f"{row['differs']:.2f}", str(row["max_steps"])]
            cells.append(f"{row['exact_differs']:.2f}")
        cells.append(f"{row['cpu_seconds']:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    if document["export"]:
        lines.append(EXPORT.rstrip())
    for row in document["export"]:
        shares = [f"{row[key]:.2f}" for key in ("differs", "values_differ", "exact_differs")]
        plain = [row["network"], row["method"], row["terms"], row["bits"], row["pictures"]]
        cells = [*map(str, plain), *shares[:2], str(row["max_steps"]), shares[2]]
        lines.append(f"| {' | '.join(cells)} |")
    if not document["complete"]:
        lines += ["", "The run did not come to its end: rows are missing."]
    return "\n".join([*lines, ""])


def to_table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table for the terminal."""
    table = Table(title="Fashion-MNIST, top-1 in percent", title_justify="left")
    for name in (
        "network",
        "start",
        "epochs",
        "held out",
        "test",
        "golden",
        "differs",
        "exact",
        "CPU s",
    ):
        table.add_column(name, justify="left" if name in ("network", "start") else "right")
    for row in rows:
        table.add_row(
            row["variant"], row["start"], str(row["epochs"]), f"{row['held_out']:.2f}",
            f"{row['top1']:.2f}",
            *("" if v is None else f"{v:.2f}" for v in
              (row["golden_top1"], row["differs"], row["exact_differs"])),
            f"{row['cpu_seconds']:.0f}",
        )  # fmt: skip
    return table
