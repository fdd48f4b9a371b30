"""Energy per picture of engines that differ in their arithmetic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..hw.config import Arithmetic, EngineConfig
from ..model.compile import compile_network
from ..model.graph import ConvNode
from ..model.integers import IntegerBook
from ..model.mixed_cycles import mixed_network
from ..model.quantize import calibrate, quantize
from ..model.zoo import MODELS
from ..model.zoo.loader import BATCH
from .energy_cost import Costs, default_costs, picture_energy
from .energy_count import Accesses, count_accesses
from .progress import Stages

NETWORKS = ("squeezenet1_1", "resnet8", "efficientnet_lite0")
INT8 = ("int8_booth", "int8_magnitude")  # the one that takes less is the baseline


@dataclass(frozen=True)
class Design:
    """An engine: its arithmetic and how often its array runs.

    Attributes
    ----------
    title : str
    circuits : tuple of str
        Circuits of the array; the one of least energy is taken.
    weight_bits : int
        Bits per weight and pass in memory.
    terms : int or None
        Passes per weight; None: as many as the layer has terms in ``variant``.
    variant : str
        Row of ``accuracy.json`` whose accuracy stands beside it, "" for none.
    rounded : bool
        Whether only weights rounded for accuracy tell its energy: greedily rounded ones have far
        fewer terms.
    arithmetic : "shift", "int8" or "int4"
        Of the engine that the program is compiled for.
    """

    title: str
    circuits: tuple[str, ...]
    weight_bits: int
    terms: int | None
    variant: str
    rounded: bool = False
    arithmetic: Arithmetic = "shift"


DESIGNS = (
    Design("int8", INT8, 8, 1, "int8, nearest", arithmetic="int8"),
    Design("int4", ("int4_magnitude", "int4_booth"), 4, 1, "int4, compensated", arithmetic="int4"),
    Design("N=1", ("n1",), 4, 1, "N=1, B=4, compensated"),
    Design("mixed 1.25", ("n1",), 4, None, "mixed 1.25, B=4, compensated"),
    Design("mixed 1.5", ("n1",), 4, None, "mixed 1.5, B=4, compensated"),
    Design("N=2, one-term", ("n1",), 4, 2, "N=2, B=4, compensated"),
    Design("N=2, two-term", ("n2",), 8, 1, "N=2, B=4, compensated"),
    Design("N=2, B=3, two-term", ("n2_b3",), 6, 1, "N=2, B=3, compensated", True),
)


@dataclass(frozen=True)
class Changes:
    """Costs in place of the default ones, pJ per bit, control's per cycle; None keeps them."""

    buffer: float | None = None
    sums: float | None = None
    queue: float | None = None
    external: float | None = None
    control: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"--{name} must be 0 or more pJ, not {value}")

    def to(self, costs: Costs) -> Costs:
        """Return costs with these changes."""
        return replace(costs, **{n: v for n, v in asdict(self).items() if v is not None})


def read_json(path: Path, command: str) -> dict[str, Any]:
    """Return what a command has written.

    Raises
    ------
    ValueError
        If it is not there or is damaged; the message names the command.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError:
        raise ValueError(f"{path} is missing: run `shiftwork {command}` first") from None
    except ValueError:
        raise ValueError(f"{path} is damaged: run `shiftwork {command}` again") from None


def choose_circuit(names: Sequence[str], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the circuit among ``names`` that takes least, weights held.

    Raises
    ------
    ValueError
        If none of them was measured.
    """
    rows = [row for row in arrays["circuits"] if row["name"] in names]
    if not rows:
        wanted = " or ".join(names)
        raise ValueError(f"circuit {wanted} was not measured: run `shiftwork bench-array`")
    return min(rows, key=lambda row: row["modes"]["held"]["energy_total"])


def bench_energy(
    networks: Sequence[str], config: EngineConfig, arrays: Mapping[str, Any],
    accuracy: Mapping[str, Any] | None, stages: Stages, node: int = 180,
    changes: Changes = Changes(), engines: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the energy of one picture for every network and design, as JSON data.

    Parameters
    ----------
    networks : sequence of str
        Of the zoo.
    config : EngineConfig
        The engine, with lanes of one term.
    arrays : mapping
        ``arrays.json`` of ``bench-array``.
    accuracy : mapping, optional
        ``accuracy.json`` of ``accuracy``: without it there is no accuracy, and nothing mixed.
    stages : Stages
    node : int
        180 or 45, in nm.
    changes : Changes
    engines : mapping, optional
        ``asic.json`` of ``bench-asic``: without an engine whose netlist was run in it control
        costs nothing.

    Raises
    ------
    ValueError
        If there is no such network or node, or the engine cannot run a network.
    """
    for name in networks:
        if name not in MODELS:
            raise ValueError(f"no network {name!r} in the zoo; it has {', '.join(MODELS)}")
    control = find_control(engines, config.name)
    all_else = _area_of_all_else(engines, config.name)
    costs = {
        bits: changes.to(default_costs(config, bits, node, control["pj"] if control else 0.0))
        for bits in {row["acc_bits"] for row in arrays["circuits"]}
    }
    measured = {n["network"]: n for n in accuracy["networks"]} if accuracy else {}
    rows: list[dict[str, Any]] = []
    for name in networks:
        with stages.stage(f"{MODELS[name].title}: count accesses", name):
            found = _accesses(name, config, measured.get(name))
        for design in DESIGNS:
            key = design.variant if design.terms is None else design.terms
            if design.arithmetic != "shift":
                key = design.arithmetic
            if key not in found or (design.rounded and not arrays["rounded"]):
                continue
            circuit = choose_circuit(design.circuits, arrays)
            moved = found[key]
            if design.arithmetic == "shift":
                moved = moved.with_weights(design.weight_bits, config.code_bits)
            parts = picture_energy(moved, circuit, config, costs[circuit["acc_bits"]])
            rows.append({
                "network": name, "design": design.title, "circuit": circuit["name"],
                "cycles": moved.cycles, "accesses": asdict(moved), "parts": parts,
                "total": sum(parts.values()),
                "area": circuit["area_total"] * config.lanes / 1e6 + all_else,
                "accuracy": _accuracy(measured.get(name), design.variant),
            })  # fmt: skip
    return {
        "config": config.to_dict(), "node": node, "picture": arrays["picture"],
        "library": arrays["library"], "period_ns": arrays["period_ns"],
        "rounded": arrays["rounded"],
        "area_of_all_else": all_else,
        "control": None if changes.control is not None else control,
        "costs": {str(bits): asdict(cost) for bits, cost in costs.items()},
        "note": accuracy["note"] if accuracy else None, "rows": rows,
    }  # fmt: skip


def find_control(engines: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    """Return what control takes, measured on an engine of shift arithmetic.

    That engine is the one called ``name``, else the one of most lanes.

    Returns
    -------
    dict or None
        ``engine``, ``lanes``, ``pj`` per cycle of all blocks but the array; None if none was run.
    """
    rows = [
        row for row in (engines or {}).get("engines", [])
        if row["arithmetic"] == "shift" and "power" in row
    ]  # fmt: skip
    if not rows:
        return None
    row = max(rows, key=lambda row: (row["engine"] == name, row["lanes"]))
    return {
        "engine": row["engine"], "lanes": row["lanes"],
        "pj": row["pj_per_cycle"] - row["pj_per_cycle_array"],
    }  # fmt: skip


def _area_of_all_else(engines: Mapping[str, Any] | None, name: str) -> float:
    """Return the area of an engine but its array and memories, in mm2; 0 if it is not known."""
    for row in (engines or {}).get("engines", []):
        if (row["engine"], row["arithmetic"]) == (name, "shift"):
            return (row["area_total"] - row["area_array"]) / 1e6
    return 0.0


def _accesses(
    name: str, config: EngineConfig, measured: Mapping[str, Any] | None
) -> dict[int | str, Accesses]:
    """Count by terms, arithmetic, and the names of mixed variants, however weights are rounded."""
    graph = MODELS[name].load_float()
    frac_bits = calibrate(graph, MODELS[name].calibration(BATCH).split(BATCH))
    convs = [node.name for node in graph.nodes if isinstance(node, ConvNode)]
    chosen: dict[int | str, Mapping[str, int]] = {n: dict.fromkeys(convs, n) for n in (1, 2)}
    for variant, mix in (measured or {}).get("mixes", {}).items():
        chosen[variant] = mix["terms"]
    found: dict[int | str, Accesses] = {}
    for key, terms in chosen.items():
        network = mixed_network(graph, frac_bits, terms, config.code_bits)
        found[key] = count_accesses(compile_network(network, config), config)
    for arithmetic in ("int8", "int4"):
        engine = config.replace(arithmetic=arithmetic)
        network = quantize(graph, frac_bits, scale="channel", book=IntegerBook(engine.code_bits))
        found[arithmetic] = count_accesses(compile_network(network, engine), engine)
    return found


def _accuracy(measured: Mapping[str, Any] | None, variant: str) -> dict[str, int] | None:
    for row in (measured or {}).get("rows", []):
        if row["variant"] == variant:
            return {name: row[name] for name in ("top1", "top5", "pictures")}
    return None
