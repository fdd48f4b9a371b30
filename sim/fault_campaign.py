"""The fault bench as one run: small engines and networks, faults of every kind, a count by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

from ..hw.config import EngineConfig
from ..hw.descriptor import ErrorCode
from ..model import golden
from ..model.coded import with_codes, with_zeros_left_out
from ..model.compile import compile_network
from ..model.cycles import predict_cycles
from ..model.network import Network
from ..model.zeros import zero_groups
from .builder import NetworkBuilder
from .fault_bench import MARGIN, Outcome, run_faults
from .fault_maps import coded, contents, without_zeros
from .faults import Fault, Faults
from .fuzz_codes import random_code

WATCHDOG_BITS = 8  # what hangs shows after 2^8 cycles, not the preset's 2^16
BATCH = 100  # faults of one simulation
ENGINE = EngineConfig(
    name="faults", rows=2, cols=2, code_bits=3, max_terms=2, max_fan_in=64, hold=8,
    buffer_words=64, burst_beats=8, weight_fifo=8, max_layers=4, watchdog_bits=WATCHDOG_BITS,
)  # fmt: skip
STORED = ENGINE.replace(name="stored", codec_bits=3, codec_planes=4, zero_maps=True)
_NAMES = {code.value: code.name for code in ErrorCode}


@dataclass(frozen=True)
class System:
    """A small network compiled for an engine: convolutions, a pool, bands and tiles.

    One of its two maps is coded where the engine has a codec, the other, or both, stored without
    zeros where it can do that.

    Attributes
    ----------
    cycles : int
        Of an undisturbed run, predicted.
    """

    config: EngineConfig
    program: Any
    inputs: dict[str, Any]
    want: dict[str, Any]
    cycles: int


@dataclass(frozen=True)
class KindCount:
    """Faults of one kind.

    Attributes
    ----------
    codes : dict of str to int
        How many ended with which error code, by name.
    stated, recovered : int
        How many ended as stated, and after how many the next run was right.
    strays, early : int
        Stray write beats, and bytes written of layers beyond the one at fault.
    hung : int
    """

    kind: str
    faults: int
    codes: dict[str, int]
    stated: int
    strays: int
    early: int
    hung: int
    recovered: int


def small_system(config: EngineConfig) -> System:
    """Compile the bench's network for an engine.

    Raises
    ------
    ValueError
        If the engine is too small for it.
    """
    middle = 1 << (config.act_bits - 1)
    codes = min(3, config.code_bits)
    builder = NetworkBuilder(3, 3, 4, 4, middle, config.act_bits)
    builder.conv(3, (2, 2), padding=(1, 0, 0, 1), bits=codes, terms=1)
    builder.max_pool((2, 2), (1, 1))
    builder.conv(4, bits=codes, terms=min(2, config.max_terms))
    network, x = _stored(builder.build(), config), builder.picture()
    program = compile_network(network, config, base=MARGIN, keep_all=True)
    want = golden.run(network, x, exact="integer", written=True)
    cycles = predict_cycles(program, config, tensors=want).cycles
    return System(config, program, {network.input: x[0]}, want, cycles)


def _stored(network: Network, config: EngineConfig) -> Network:
    """Return the network with maps that are stored as the engine can."""
    if config.codec_bits:
        first = network.layers[0].output
        info = network.tensors[first]
        code = random_code(Random("faults"), info.channels, config.codec_bits, info.top)
        network = with_codes(network, {first: code})
    names = [n for group in zero_groups(network, config) for n in group if n not in network.codes]
    return with_zeros_left_out(network, names) if config.zero_maps else network


def all_faults(system: System, seed: int) -> list[Fault]:
    """Return every fault that can be listed, and many of those that are drawn at random."""
    make, config = Faults(system.program, system.config, seed, system.want), system.config
    return [
        *make.checksums(300), *make.headers(), *make.sizes(), *make.stuck(), *make.addresses(),
        *make.reads(), *make.writes(), *make.silences(8),
        *make.disturbances(system.cycles, soft=100, hard=60, alone=60, drained=20, start=40),
        *contents(make, 60), *(coded(make) if config.codec_bits else []),
        *(without_zeros(make) if config.zero_maps else []),
    ]  # fmt: skip


def draw(faults: Iterable[Fault], count: int, seed: int) -> list[Fault]:
    """Return ``count`` faults, as many of each kind as there are or as comes out even.

    Raises
    ------
    ValueError
        If ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    rng = Random(seed)
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    shuffled = [rng.sample(of_kind, len(of_kind)) for of_kind in kinds.values()]
    turns = [fault for turn in zip_longest(*shuffled) for fault in turn if fault is not None]
    return turns[:count]


def draw_for(
    systems: Sequence[System], count: int, seed: int
) -> list[tuple[System, list[Fault]]]:  # fmt: skip
    """Draw ``count`` faults in all, as many for each system; systems that get none are left out.

    Raises
    ------
    ValueError
        If ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    shares = [(count + place) // len(systems) for place in reversed(range(len(systems)))]
    return [
        (system, draw(all_faults(system, seed), share, seed))
        for system, share in zip(systems, shares, strict=True)
        if share
    ]


def run_campaign(
    system: System, verilog: Path, faults: Sequence[Fault], simulator: str = "verilator"
) -> Iterator[Outcome]:
    """Run faults, some at a time; yield what became of each.

    Raises
    ------
    SimulatorError
        If the simulator is missing, or does not build or run this.
    """
    limit = 20_000 + (8 << system.config.watchdog_bits)
    for first in range(0, len(faults), BATCH):
        yield from run_faults(
            system.program, system.config, verilog, system.inputs, system.want,
            faults[first : first + BATCH], simulator, max_cycles=limit,
        )  # fmt: skip


def count_kinds(outcomes: Iterable[Outcome]) -> list[KindCount]:
    """Count outcomes by kind of fault."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.fault.kind, []).append(outcome)
    return [
        KindCount(
            kind, len(some), dict(Counter(_NAMES.get(o.code, str(o.code)) for o in some)),
            sum(o.stated for o in some), sum(o.strays for o in some), sum(o.early for o in some),
            sum(o.hung for o in some), sum(o.recovered for o in some),
        )
        for kind, some in sorted(kinds.items())
    ]  # fmt: skip
