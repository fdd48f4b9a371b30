"""Energy per picture of engines that differ in their arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..hw.config import EngineConfig
from ..model.coded import with_zeros_left_out
from ..model.compile import compile_network
from ..model.golden import run
from ..model.graph import ConvNode
from ..model.integers import IntegerBook
from ..model.mixed_cycles import mixed_network
from ..model.network import Network
from ..model.quantize import calibrate, quantize
from ..model.variants import FRUGAL
from ..model.zeros import without_zeros
from ..model.zoo import MODELS
from ..model.zoo.loader import BATCH
from .asic_bench import ARITHMETICS, TWO_TERM, TWO_TERMS, kind
from .energy_accuracy import with_frugal
from .energy_cost import Control, Costs, check_node, default_costs, keep_weights, picture_energy
from .energy_count import Accesses, count_accesses
from .energy_designs import DESIGNS, KEPT, LEVERED, LEVERS, Design, Lever, Weights
from .inputs import open_network, open_picture
from .progress import Stages

NETWORKS = ("squeezenet1_1", "resnet8", "efficientnet_lite0")
BY_BEAT = ("window",)  # blocks that do nothing without a beat
BY_OUTPUT = ("drain", "requantise", "outputs", "storer")
TARGET_NETWORK = "squeezenet1_1"  # whose engines' memories are changed too


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
        """Return costs with these changes; a control that is given is all of it."""
        given: dict[str, Any] = {n: v for n, v in asdict(self).items() if v is not None}
        if self.control is not None:
            given["control"] = Control(self.control)
        return replace(costs, **given)


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
        The engine; what its lanes are is the designs'.
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
    check_node(node)
    control = find_control(engines, config.name)
    measured = {n["network"]: n for n in accuracy["networks"]} if accuracy else {}
    measured |= {n: with_frugal(measured[n], config, stages) for n in networks if n in measured}
    work = _Work(
        arrays, node, changes, control, _area_of_all_else(engines, config.name), config.name
    )
    rows: list[dict[str, Any]] = []
    levers: list[dict[str, Any]] = []
    for name in networks:
        entry = measured.get(name)
        with stages.stage(f"{MODELS[name].title}: count accesses", name):
            found = _networks(name, entry)
            rows += work.rows(name, entry, DESIGNS, _accesses(found, DESIGNS, config), config)
            if name != TARGET_NETWORK:
                continue
            maps = _without_zeros(name, config)
            designs = [design for design in DESIGNS if design.title in LEVERED]
            for lever in LEVERS:
                engine = lever.engine(config)
                counted = _accesses(found, designs, engine, maps if lever.zeros else None)
                levers += work.rows(name, entry, designs, counted, engine, lever)
    return {
        "config": config.to_dict(), "node": node, "picture": arrays["picture"],
        "library": arrays["library"], "period_ns": arrays["period_ns"],
        "rounded": arrays["rounded"],
        "area_of_all_else": work.all_else,
        "given": {n: value for n, value in asdict(changes).items() if value is not None},
        "control": None if changes.control is not None else control,
        "no_control": None if control else why_no_control(engines),
        "emitted": work.built,
        "costs": {
            str(bits): asdict(work.costs(config, bits))
            for bits in {row["acc_bits"] for row in arrays["circuits"]}
        },
        "note": accuracy["note"] if accuracy else None, "rows": rows, "levers": levers,
        "frugal": frugal_rows(measured.get(TARGET_NETWORK)),
    }  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """What rows are worked out from."""

    arrays: Mapping[str, Any]
    node: int
    changes: Changes
    control: Mapping[str, Any] | None
    all_else: Mapping[str, float]
    engine: str

    @property
    def built(self) -> dict[str, float]:
        """What the emitted Verilog's array takes, in pJ per cycle, of what was measured."""
        known = self.control
        if known is None or known["engine"] != self.engine:
            return {}
        return {name: known["array"][name] for name in known["measured"]}

    def emitted(self, engine: EngineConfig, moved: Accesses, costs: Costs) -> float | None:
        """Return what the emitted Verilog's array takes, in uJ; None where it was not measured.

        All that it took is its beats', what it took between them too.
        """
        each = kind(engine)
        if self.control is None or each not in self.built:
            return None
        if each == TWO_TERM and engine.code_bits != TWO_TERMS["code_bits"]:
            return None
        beat = self.built[each] / self.control["beats"][each]
        return moved.beats * beat * costs.array / 1e6

    def costs(self, config: EngineConfig, acc_bits: int, each: str = "shift") -> Costs:
        control = Control(**self.control["split"][each]) if self.control else Control()
        return self.changes.to(default_costs(config, acc_bits, self.node, control))

    def rows(
        self, name: str, measured: Mapping[str, Any] | None, designs: Sequence[Design],
        found: Mapping[str, Accesses], config: EngineConfig, lever: Lever = LEVERS[0],
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return a row for every design that can be told of."""
        rows: list[dict[str, Any]] = []
        for design in designs:
            if design.title not in found or (design.rounded and not self.arrays["rounded"]):
                continue
            circuit = choose_circuit(design.circuits, self.arrays)
            engine = design.engine(config)
            each = kind(engine)
            costs = self.costs(config, circuit["acc_bits"], each)
            moved = found[design.title]
            parts = picture_energy(moved, circuit, config, costs)
            if lever.kept:
                parts |= keep_weights(moved, costs, self.node, KEPT)
            rows.append({
                "network": name, "design": design.title, "lever": lever.title,
                "circuit": circuit["name"], "cycles": moved.cycles,
                "accesses": asdict(moved), "parts": parts, "total": sum(parts.values()),
                "emitted": self.emitted(engine, moved, costs),
                "area": circuit["area_total"] * config.lanes / 1e6 + self.all_else.get(each, 0.0),
                "accuracy": _accuracy(measured, design.variant),
            })  # fmt: skip
        return rows


def find_control(engines: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    """Return what control takes, measured on engines with clock gates.

    They are those called ``name`` if the one of shift arithmetic was measured, else those of most
    lanes. Where one of another arithmetic or lane was not, it is that of shifts.

    Returns
    -------
    dict or None
        ``engine``, ``lanes``; by what `kind` says ``pj``, per cycle of all blocks but the array,
        ``split``, the fields of `Control` that this is, ``array``, per cycle of that, and
        ``beats``, the share of the cycles measured in which it computed; ``measured``, those that
        were; None if none was run.
    """
    rows = [row for row in (engines or {}).get("engines", []) if "power" in row and row["gates"]]
    shifts = [row for row in rows if row["arithmetic"] == "shift"]
    if not shifts:
        return None
    found = max(shifts, key=lambda row: (row["engine"] == name, row["lanes"]))
    known = {row["arithmetic"]: row for row in rows if row["engine"] == found["engine"]}
    each = {name: known.get(name, found) for name in (*ARITHMETICS, TWO_TERM)}
    return {
        "engine": found["engine"], "lanes": found["lanes"],
        "pj": {n: row["pj_per_cycle"] - row["pj_per_cycle_array"] for n, row in each.items()},
        "split": {n: asdict(_split(row, (engines or {})["period_ns"])) for n, row in each.items()},
        "array": {n: row["pj_per_cycle_array"] for n, row in each.items()},
        "beats": {n: row["beats"] / row["power_cycles"] for n, row in each.items()},
        "measured": [name for name in each if name in known],
    }  # fmt: skip


def _split(row: Mapping[str, Any], period_ns: float) -> Control:
    """Return what control took, that of some blocks by the beats and outputs there were."""
    pj = {
        name: sum(block[part] for part in ("internal", "switching", "leakage")) * period_ns * 1e3
        for name, block in row["power"].items()
    }
    beat, output = (sum(pj.get(name, 0.0) for name in names) for names in (BY_BEAT, BY_OUTPUT))
    cycles = row["power_cycles"]
    return Control(
        cycle=row["pj_per_cycle"] - row["pj_per_cycle_array"] - beat - output,
        beat=beat * cycles / row["beats"],
        output=output * cycles / row["power_checked"],
    )


def why_no_control(engines: Mapping[str, Any] | None) -> str:
    """Say why `find_control` finds nothing."""
    if any("power" in row for row in (engines or {}).get("engines", [])):
        return "no engine with clock gates was run in bench-asic; its library may have no known one"
    return "bench-asic has run no engine"


def _area_of_all_else(engines: Mapping[str, Any] | None, name: str) -> dict[str, float]:
    """Return the area of an engine but its array and memories, in mm2, by what `kind` says.

    Where an arithmetic or lane was not measured it is that of shifts; empty without these.
    """
    known = {
        row["arithmetic"]: (row["area_total"] - row["area_array"]) / 1e6
        for row in (engines or {}).get("engines", [])
        if row["engine"] == name and row["gates"]
    }
    if "shift" not in known:
        return {}
    return {each: known.get(each, known["shift"]) for each in (*ARITHMETICS, TWO_TERM)}


def _networks(name: str, measured: Mapping[str, Any] | None) -> dict[Weights, Network]:
    """Return networks by `Design.weights`, however rounded."""
    graph = MODELS[name].load_float()
    frac_bits = calibrate(graph, MODELS[name].calibration(BATCH).split(BATCH))
    convs = [node.name for node in graph.nodes if isinstance(node, ConvNode)]
    mixes = (measured or {}).get("mixes", {})
    found: dict[Weights, Network] = {}
    for arithmetic, terms, bits in dict.fromkeys(design.weights for design in DESIGNS):
        if arithmetic != "shift":
            network = quantize(graph, frac_bits, scale="channel", book=IntegerBook(bits))
        elif isinstance(terms, int):
            network = mixed_network(graph, frac_bits, dict.fromkeys(convs, terms), bits)
        elif terms in mixes:
            network = mixed_network(graph, frac_bits, mixes[terms]["terms"], bits)
        else:
            continue
        found[arithmetic, terms, bits] = network
    return found


def _without_zeros(name: str, config: EngineConfig) -> dict[str, Any]:
    """Return the values of the maps worth storing without zeros, of the zoo's picture.

    They are those of the network of two terms, as the array is shown them, whatever the design.
    """
    network = open_network(name)
    picture = open_picture(None, network)[0][None]
    chosen = without_zeros(network, config.replace(zero_maps=True), picture).zeros
    tensors = run(network, picture)
    return {each: tensors[each][0].numpy() for each in chosen}


def _accesses(
    networks: Mapping[Weights, Network], designs: Sequence[Design], config: EngineConfig,
    maps: Mapping[str, Any] | None = None,
) -> dict[str, Accesses]:  # fmt: skip
    """Count what every design needs of whose weights there is a network, by its title.

    ``maps`` are stored without zeros.
    """
    counted: dict[tuple[Weights, EngineConfig], Accesses] = {}
    found: dict[str, Accesses] = {}
    for design in designs:
        if design.weights not in networks:
            continue
        engine = design.engine(config)
        key = design.weights, engine
        if key not in counted:
            network = networks[design.weights]
            stored = with_zeros_left_out(network, maps) if maps else network
            counted[key] = count_accesses(compile_network(stored, engine), engine, maps)
        found[design.title] = counted[key]
    return found


def frugal_rows(measured: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the accuracies that the page of accuracies lacks."""
    names = {variant.name for variant in FRUGAL}
    return [row for row in (measured or {}).get("rows", []) if row["variant"] in names]


def _accuracy(measured: Mapping[str, Any] | None, variant: str) -> dict[str, int] | None:
    for row in (measured or {}).get("rows", []):
        if row["variant"] == variant:
            return {name: row[name] for name in ("top1", "top5", "pictures")}
    return None
