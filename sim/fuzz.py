"""The fuzzer: random networks and memories through the Verilog, against the golden model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ..hw.config import EngineConfig
from ..model import golden
from ..model.compile import compile_network
from .fuzz_coverage import features, program_features
from .fuzz_networks import random_network
from .result import SimResult
from .runner import SimulatorError
from .scoreboard import FAST, Latency, simulate


@dataclass(frozen=True)
class Case:
    """One network through the Verilog.

    Attributes
    ----------
    engine : str
        The engine's name.
    seed : int
        All of network, input and memory follow from it and the engine.
    layers : tuple of str
        Kinds, in order.
    shared : bool
        Tensors share memory; they do in three cases of four.
    features : frozenset of str
        What `fuzz_coverage` sees in it.
    values : int
        Bytes compared.
    cycles : int
        Simulated clock cycles.
    trouble : str
        What went wrong, empty if nothing.
    seconds : float
        Wall time, golden model and compiler included.
    """

    engine: str
    seed: int
    layers: tuple[str, ...]
    shared: bool
    features: frozenset[str]
    latency: Latency
    values: int
    cycles: int
    trouble: str
    seconds: float


def random_latency(seed: int) -> Latency:
    """Return how the memory of a case behaves; one in four is as fast as can be."""
    rng = Random(f"memory {seed}")
    if rng.randrange(4) == 0:
        return FAST
    return Latency(
        read=rng.randint(0, 40), write=rng.randint(0, 40), random=rng.choice([0, 8, 40]),
        stall=rng.choice([0.0, 0.1, 0.3, 0.5]),
    )  # fmt: skip


def fuzz(
    config: EngineConfig,
    verilog: Path,
    *,
    count: int,
    seed: int,
    simulator: str = "verilator",
    waveform: bool = False,
) -> Iterator[Case]:
    """Run networks of the seeds ``seed`` to ``seed + count - 1``; yield what became of each.

    Parameters
    ----------
    config : EngineConfig
    verilog : Path
        The engine's Verilog.
    count, seed : int
        How many networks, and the first one's seed.
    simulator : str
        ``icarus`` or ``verilator``.
    waveform : bool
        Trace what goes wrong.

    Raises
    ------
    ValueError
        If ``count`` or ``seed`` is out of range.
    """
    yield from fuzz_engines(
        [(config, verilog)], count=count, seed=seed, simulator=simulator, waveform=waveform
    )


def fuzz_engines(
    engines: Sequence[tuple[EngineConfig, Path]],
    *,
    count: int,
    seed: int,
    simulator: str = "verilator",
    waveform: bool = False,
) -> Iterator[Case]:
    """Do the same on several engines with their Verilog: seed modulo their number is whose turn.

    Raises
    ------
    ValueError
        If ``count`` or ``seed`` is out of range.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if not 0 <= seed < (1 << 31) - count:
        raise ValueError(f"seed must be in 0..{(1 << 31) - count - 1}, not {seed}")
    for number in range(seed, seed + count):
        yield _run(*engines[number % len(engines)], number, simulator, waveform)


def _run(config: EngineConfig, verilog: Path, seed: int, simulator: str, waveform: bool) -> Case:
    start = time.monotonic()
    network, x = random_network(seed, config)
    latency = random_latency(seed)
    kinds = tuple(type(layer).__name__ for layer in network.layers)
    shared = Random(f"sharing {seed}").randrange(4) > 0
    values = cycles = 0
    seen = features(network, latency)
    try:
        program = compile_network(network, config, keep_all=not shared)
        seen |= program_features(program, config)
        want = golden.run(network, x, exact="integer", written=True)
        result = simulate(
            program, config, verilog, {network.input: x[0]}, want, simulator, latency=latency,
            seed=seed, waveform=waveform,
        )  # fmt: skip
        values, cycles = result.checked_bytes, result.cycles
        trouble = _trouble(result)
    except SimulatorError:
        raise
    except (ValueError, ArithmeticError, AssertionError) as error:
        # the compiler has to take every network
        trouble = f"{type(error).__name__}: {error}"
    return Case(
        config.name,
        seed,
        kinds,
        shared,
        seen,
        latency,
        values,
        cycles,
        trouble,
        time.monotonic() - start,
    )


def _trouble(result: SimResult) -> str:
    if not result.ok:
        return result.summary()
    if not result.checked_bytes:
        return "nothing was compared"
    return ""
