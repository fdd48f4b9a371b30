"""What ``energy`` is worked out from: the files of three commands, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..model.graph import ConvNode
from ..model.zoo import MODELS
from .energy_bench import choose_circuit
from .energy_designs import DESIGNS
from .measured import ANY, Form, read_measured

_ENERGY = {"energy_total": float}
ARRAYS: Form = {
    "picture": str, "library": str, "period_ns": float, "rounded": bool,
    "circuits": [{
        "name": str, "acc_bits": int, "area_total": float,
        "modes": {"held": _ENERGY, "changing": _ENERGY},
    }],
}  # fmt: skip
ACCURACY: Form = {
    "note": str,
    "networks": [{
        "network": str,
        "rows": [{"variant": str, "top1": int, "top5": int, "pictures": int}],
        "mixes": {ANY: {"terms": {ANY: int}}},
        "sensitivity": [{
            "name": str, "weights": int, "divergence": float, "error_low": float,
            "error_high": float,
        }],
    }],
}  # fmt: skip
_ENGINE: dict[str, Form] = {
    "engine": str, "arithmetic": str, "lanes": int, "gates": int, "area_total": float,
    "area_array": float,
}  # fmt: skip
_RUN = _ENGINE | {
    "pj_per_cycle": float, "pj_per_cycle_array": float, "beats": int, "power_cycles": int,
    "power_checked": int,
    "power": {ANY: {"internal": float, "switching": float, "leakage": float}},
}  # fmt: skip
ENGINES: Form = {
    "period_ns": float,
    "engines": [lambda row: _RUN if isinstance(row, dict) and "power" in row else _ENGINE],
}


def open_arrays(path: Path) -> dict[str, Any]:
    """Return ``arrays.json``, with a circuit for every engine that is compared.

    Raises
    ------
    ValueError
        As of `measured.read_measured`, or if no circuit of an engine was measured.
    """
    arrays = read_measured(path, "bench-array", ARRAYS)
    for design in DESIGNS:
        if arrays["rounded"] or not design.rounded:
            try:
                choose_circuit(design.circuits, arrays)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
    return arrays


def open_accuracy(path: Path, networks: Sequence[str]) -> dict[str, Any]:
    """Return ``accuracy.json``, whose networks are the zoo's.

    Raises
    ------
    ValueError
        As of `measured.read_measured`, or if a network is not in the zoo, or one of ``networks``
        has other layers there.
    """
    accuracy = read_measured(path, "accuracy", ACCURACY)
    for number, entry in enumerate(accuracy["networks"]):
        name, at = entry["network"], f"{path}: networks[{number}]"
        if name not in MODELS:
            raise ValueError(
                f"{at}.network must be one of {', '.join(MODELS)}, not {name!r}: "
                "run `shiftwork accuracy` again"
            )
        if name in networks and (strange := strange_layers(entry)):
            raise ValueError(
                f"{at}.{strange} are not of the layers of {name}: run `shiftwork accuracy` again"
            )
    return accuracy


def strange_layers(entry: Mapping[str, Any]) -> str | None:
    """Return what of a network's accuracies is told of other layers than it has; None if nothing.

    Parameters
    ----------
    entry : mapping
        Of ``networks`` in ``accuracy.json``.
    """
    nodes = MODELS[entry["network"]].load_float().nodes
    layers = {node.name for node in nodes if isinstance(node, ConvNode)}
    if entry["sensitivity"] and {row["name"] for row in entry["sensitivity"]} != layers:
        return "sensitivity"
    for name, mix in entry["mixes"].items():
        if set(mix["terms"]) != layers:
            return f"mixes.{name}.terms"
    return None


def open_engines(path: Path) -> dict[str, Any]:
    """Return ``asic.json``.

    Raises
    ------
    ValueError
        As of `measured.read_measured`, or if an engine was run for no cycle.
    """
    engines = read_measured(path, "bench-asic", ENGINES)
    for number, row in enumerate(engines["engines"]):
        for name in ("power_cycles", "beats", "power_checked"):
            if row.get(name, 1) < 1:
                raise ValueError(
                    f"{path}: engines[{number}].{name} must be 1 or more, not {row[name]}: "
                    "run `shiftwork bench-asic` again"
                )
    return engines
