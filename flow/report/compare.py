"""What changed between two runs: the figures, parameters, layers and blocks that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import write_atomic
from .data import Report
from .html import TableData, render_comparison

#: Numbers of a report, and what they are called.
FIGURES = {
    "mismatches": "values that differ from the golden model",
    "values_checked": "values compared", "layers_checked": "layers compared",
    "cycles": "cycles", "ideal_cycles": "ideal cycles", "utilisation": "utilisation",
    "program_bytes": "bytes of program", "peak_map_bytes": "bytes of feature maps",
    "verilog_bytes": "bytes of Verilog", "lut": "LUT",
    "absorbed": "tables taken into adders", "ff": "FF", "bram": "block RAM",
    "dsp": "DSP", "multipliers": "multipliers", "fmax_mhz": "Fmax, MHz",
    "milliseconds": "milliseconds", "probability": "probability of the label",
}  # fmt: skip
TEXTS = {
    "preset": "preset", "network": "network", "terms": "terms per weight", "bits": "bits per code",
    "picture": "picture", "simulator": "simulator", "bit_exact": "bit-exact", "label": "label",
    "target": "target", "verilog_sha256": "digest of the Verilog",
}  # fmt: skip
COLUMNS = ("before", "after", "change")
_LAYER = ("cycles", "ideal_cycles", "macs", "bytes_read", "bytes_written")
_BLOCK = ("lut", "ff", "bram", "dsp")


def _text(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _change(before: Any, after: Any) -> str:
    """Return by how much a number changed, as a share of what it was."""
    numbers = [v for v in (before, after) if isinstance(v, (int, float)) and v is not True]
    if len(numbers) < 2:
        return ""
    return f"{after / before - 1:+.1%}" if before else f"{after - before:+,}"


def _rows(
    pairs: Iterable[tuple[str, Any, Any]],
) -> list[tuple[str, str, str, str]]:
    return [
        (name, _text(old), _text(new), _change(old, new)) for name, old, new in pairs if old != new
    ]


def _nested(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]],
    keys: Iterable[str],
) -> Iterable[tuple[str, Any, Any]]:  # fmt: skip
    """Yield every key of what is in either, the value None where it is in one alone."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, {}), after.get(name, {})
        for key in keys:
            yield f"{name}: {key.replace('_', ' ')}", old.get(key), new.get(key)


def compare(before: Report, after: Report) -> list[TableData]:
    """Return what differs, a table for each kind; kinds without a difference are left out."""
    old, new = before.to_dict(), after.to_dict()

    def layers(report: Report) -> dict[str, dict[str, Any]]:
        return {layer.name: vars(layer) for layer in report.layers}

    kinds = {
        "Runs": [(title, old[name], new[name]) for name, title in TEXTS.items()],
        "Figures": [(title, old[name], new[name]) for name, title in FIGURES.items()],
        "Engine": [
            (name, before.config.get(name), after.config.get(name))
            for name in dict.fromkeys([*before.config, *after.config])
        ],
        "Layers": _nested(layers(before), layers(after), _LAYER),
        "Area by block": _nested(before.blocks, after.blocks, _BLOCK),
        "Tools": [
            (name, before.tools.get(name), after.tools.get(name))
            for name in dict.fromkeys([*before.tools, *after.tools])
        ],
    }
    found = {title: _rows(pairs) for title, pairs in kinds.items()}
    return [TableData(title, (title, *COLUMNS), rows) for title, rows in found.items() if rows]


def write_comparison(
    tables: list[TableData], before: Path, after: Path, out_dir: Path
) -> Path:  # fmt: skip
    """Write compare.html, whole or not at all; return its path."""
    note = f"Before: {before}. After: {after}. Only what differs is shown."
    page = render_comparison("Shiftwork: what changed", note, tables)
    return write_atomic(Path(out_dir) / "compare.html", page)
