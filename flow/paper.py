"""Two tables of ShiftCNN again: product operations saved, and the ratio of power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig
from ..model.compile import compile_network
from ..model.network import Conv, Network
from ..model.zoo import MODELS
from .energy_count import count_accesses
from .files import write_atomic, write_json
from .measured import ANY, Form
from .tables import markdown_table, rich_table

CITATION = (
    "D. A. Gudovskiy, L. Rigazio: ShiftCNN: Generalized Low-Precision Architecture for Inference\n"
    "of Convolutional Neural Networks, arXiv:1706.02393, 2017"
)
PUBLISHED_SAVED = {"SqueezeNet": 260, "GoogleNet": 687, "ResNet-18": 1090}
#: Dynamic power on a Zynq XA7Z030 at 200 MHz, mW: N=2, B=4; 8-bit products in DSPs and in tables.
PUBLISHED_POWER = {"N=2, B=4": 102, "8-bit, DSP": 423, "8-bit, lookup tables": 391}
PAIRS = (
    ("as the synthesiser makes them", "int8_plain", "n2_plain"),
    ("as the synthesiser makes them", "int8_plain", "n1_plain"),
    ("made by hand", "int8_booth", "n2"),
    ("made by hand", "int8_booth", "n1"),
)
SAVED_COLUMNS = (
    "network", "MACs", "activations read", "MACs per activation", "distinct maps",
    "MACs per value of a map", "engine: MACs per activation formed", "published",
)  # fmt: skip
POWER_COLUMNS = ("what", "of int8", "pJ int8", "pJ", "int8 over it")

#: What is needed of ``arrays.json``.
ARRAYS: Form = {
    "picture": str, "library": str,
    "circuits": [{
        "name": str, "title": str, "cols": int,
        "modes": {"held": {"energy_total": float, "energy": {"activations": {ANY: float}}}},
    }],
}  # fmt: skip

PREFACE = """\
# ShiftCNN's tables again

`{command}` writes this page.
{citation}.

## Table 2: product operations saved

The paper counts the terms of an activation as one product operation, since they are made once for
all output channels and kernel taps, and divides multiply-accumulate operations by the number of
activations. Two ways to count these: what every convolution reads (*activations read*), and every
feature map once, however many convolutions read it (*distinct maps*). The engine holds no terms: a
lane picks one from an activation, and an activation is read again for every tap and block of
columns, so that *{config}* forms one for {cols} products or fewer. It makes no product either
way: N shifts and N additions stand for each.
"""
BETWEEN = """
Published: {published}. GoogleNet and ResNet-18 are not in the
zoo; the paper's SqueezeNet may be version 1.0, ours is 1.1.

## Table 3: ratio of power

Published, dynamic power of a pipeline on a Zynq at 200 MHz: {power} mW,
so {low:.1f} to {high:.1f} times less. Its activity and how the 8-bit pipeline was made are not
known to us. Ours: energy per product of an array of 16 x 16 (plain circuits: 16 x {cols}) in
{library}, weights held, by gate-level simulation on `{picture}` ([power.md](power.md)), registers
that columns share left out. Neither has memories.
"""


def saved(name: str, network: Network, config: EngineConfig) -> dict[str, Any]:
    """Count a network's multiply-accumulate operations and what they are made of; JSON data."""
    macs = read = 0
    maps: set[str] = set()
    for layer in network.layers:
        if isinstance(layer, Conv):
            out = network.tensors[layer.output]
            macs += layer.weights.codes[0].numel() * out.height * out.width
            read += _values(network, layer.input)
            maps.add(layer.input)
    distinct = sum(_values(network, tensor) for tensor in maps)
    found = count_accesses(compile_network(network, config), config)
    formed = found.buffer_read // config.act_bits
    return {
        "network": name, "macs": macs, "read": read, "distinct": distinct, "formed": formed,
        "per_read": macs / read, "per_distinct": macs / distinct, "per_formed": macs / formed,
    }  # fmt: skip


def _values(network: Network, tensor: str) -> int:
    info = network.tensors[tensor]
    return info.channels * info.height * info.width


def power_ratios(arrays: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return energy per product of pairs of circuits from ``arrays.json``, those measured."""
    own = {row["name"]: _own(row) for row in arrays["circuits"]}
    titles = {row["name"]: row["title"] for row in arrays["circuits"]}
    return [
        {"what": f"{titles[name]} ({how})", "of": titles[base], "base": own[base],
         "energy": own[name], "ratio": own[base] / own[name]}
        for how, base, name in PAIRS if base in own and name in own
    ]  # fmt: skip


def _own(row: Mapping[str, Any]) -> float:
    held = row["modes"]["held"]
    return held["energy_total"] - sum(held["energy"]["activations"].values())


def bench_paper(
    names: Sequence[str], config: EngineConfig, arrays: Mapping[str, Any]
) -> dict[str, Any]:
    """Return both tables as JSON data.

    Raises
    ------
    ValueError
        If there is no such network, or the engine cannot run it.
    """
    for name in names:
        if name not in MODELS:
            raise ValueError(f"no network {name!r} in the zoo; it has {', '.join(MODELS)}")
    rows = [saved(name, MODELS[name].load_quantized(1, pictures=1), config) for name in names]
    plain = [row["cols"] for row in arrays["circuits"] if row["name"] == "int8_plain"]
    return {
        "citation": CITATION, "saved": rows, "published_saved": PUBLISHED_SAVED,
        "power": power_ratios(arrays), "published_power": PUBLISHED_POWER,
        "engine": config.name, "cols": config.cols, "plain_cols": next(iter(plain), 0),
        "library": arrays["library"], "picture": arrays["picture"],
    }  # fmt: skip


def _saved_cells(row: dict[str, Any]) -> list[str]:
    published = {"squeezenet1_1": PUBLISHED_SAVED["SqueezeNet"]}.get(row["network"])
    return [
        MODELS[row["network"]].title, f"{row['macs']:,}", f"{row['read']:,}",
        f"{row['per_read']:.0f}", f"{row['distinct']:,}", f"{row['per_distinct']:.0f}",
        f"{row['per_formed']:.1f}", str(published or ""),
    ]  # fmt: skip


def _power_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["what"], row["of"], f"{row['base']:.2f}", f"{row['energy']:.2f}", f"{row['ratio']:.2f}"
    ]  # fmt: skip


def tables(document: dict[str, Any]) -> list[Table]:
    """Return both tables for the terminal."""
    return [
        rich_table(SAVED_COLUMNS, map(_saved_cells, document["saved"]), title="Products saved"),
        rich_table(POWER_COLUMNS, map(_power_cells, document["power"]), title="Ratio of power"),
    ]


def to_markdown(document: dict[str, Any]) -> str:
    """Return the page."""
    power = document["published_power"]
    ours = power["N=2, B=4"]
    others = [value / ours for name, value in power.items() if name != "N=2, B=4"]
    lines = [
        PREFACE.format(
            command=document["command"], citation=document["citation"],
            config=document["engine"], cols=document["cols"],
        ),
        *markdown_table(SAVED_COLUMNS, map(_saved_cells, document["saved"])),
        BETWEEN.format(
            published=", ".join(f"{n} {v}" for n, v in document["published_saved"].items()),
            power=", ".join(f"{name} {value}" for name, value in power.items()),
            low=min(others), high=max(others), library=document["library"],
            picture=document["picture"], cols=document["plain_cols"],
        ),
        *markdown_table(POWER_COLUMNS, map(_power_cells, document["power"])),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write(document: dict[str, Any], out_dir: Path, page: Path | None) -> Path:
    """Write paper.json, and with ``page`` paper.md; return the JSON's path."""
    if page is not None:
        write_atomic(page / "paper.md", to_markdown(document))
    return write_json(out_dir / "paper.json", document)
