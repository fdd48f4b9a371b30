"""The zoo on the engine: every network through the Verilog, counted and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from ..hw.config import EngineConfig, preset
from ..model import golden
from ..model.codebook import Book
from ..model.codec.whole import code_whole
from ..model.compile import compile_network
from ..model.cycles import predict_cycles
from ..model.network import Network
from ..model.zeros import without_zeros
from ..model.zoo import MODELS
from ..sim.result import LayerCounters
from ..sim.scoreboard import FAST, simulate
from .progress import Stages


@dataclass(frozen=True, kw_only=True)
class ZooRow:
    """One network on one engine.

    Attributes
    ----------
    network : str
        Its name, and how its maps are stored where that is otherwise.
    refused : str
        Why the engine cannot run it; then all counts are 0.
    ideal_cycles : int
        MACs x passes / lanes.
    utilisation, least_utilisation : float
        Ideal cycles over cycles, and what they must be at least; 0 where nothing is asked for.
    predicted_cycles, prediction_error
        By the cycle model; the error is relative.
    predicted_read, predicted_written : int
        Bytes by the cycle model.
    program_bytes, table_bytes : int
        Descriptors, weights and the codec's tables in memory; the tables alone.
    peak_map_bytes, unshared_map_bytes : int
        Memory of the feature maps: as it is, and if each had its own.
    stalls : dict of str to int
        Cycles without a beat, by cause.
    mismatches : int
        Wrong bytes.
    seconds, cpu_seconds, cycles_per_second
        Of the simulation; the last by CPU time.
    costly : list of dict
        The layers that lose most cycles: name, cycles, ideal cycles, stalls.
    without_zeros : list of str
        Maps that are stored without zeros.
    trouble : list of str
        What went wrong, if anything.
    """

    network: str
    refused: str = ""
    layers: int = 0
    macs: int = 0
    cycles: int = 0
    ideal_cycles: int = 0
    utilisation: float = 0.0
    least_utilisation: float = 0.0
    predicted_cycles: int = 0
    prediction_error: float = 0.0
    predicted_read: int = 0
    predicted_written: int = 0
    stalls: dict[str, int]
    program_bytes: int = 0
    table_bytes: int = 0
    peak_map_bytes: int = 0
    unshared_map_bytes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    values: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cycles_per_second: float = 0.0
    costly: list[dict[str, Any]] = field(default_factory=list)
    without_zeros: list[str] = field(default_factory=list)
    trouble: list[str]

    @property
    def bit_exact(self) -> bool:
        """Whether it ran and nothing went wrong."""
        return not self.refused and not self.trouble

    @property
    def too_idle(self) -> bool:
        """Whether it ran with less than the utilisation it must have."""
        return not self.refused and self.utilisation < self.least_utilisation


ZVC = "zvc"
CODE_BITS = tuple(map(str, range(1, 8)))
ZERO_PICTURES = 8  # on which zeros are counted
PREDICTION_LIMIT = 0.03  # largest relative error of the cycle model that is no fault
LEAST_UTILISATION = {"squeezenet1_1": 0.90, "resnet8": 0.85, "efficientnet_lite0": 0.60}
"""Of the zoo on preset base with N = 2 and a memory of 8 bytes a cycle, as the project promises."""
STALLS = ("wait_weights", "wait_load", "wait_drain", "wait_other")


def choose(names: Sequence[str] | None) -> list[str]:
    """Return the networks to run: those named, or all.

    Raises
    ------
    ValueError
        If there is no such network; the message lists those there are.
    """
    for name in names or ():
        if name not in MODELS:
            raise ValueError(f"no network {name!r} in the zoo; it has {', '.join(MODELS)}")
    return list(dict.fromkeys(names or MODELS))


def least_utilisation(name: str, config: EngineConfig, terms: int) -> float:
    """Return the utilisation a network must have; 0 but where `LEAST_UTILISATION` holds."""
    reference = config == preset("base") and terms == 2
    return LEAST_UTILISATION.get(name, 0.0) if reference else 0.0


def check_codec(codec: str | None, config: EngineConfig) -> None:
    """Check how maps are to be stored against an engine: as codes of 1..7 bits, or ``ZVC``.

    Raises
    ------
    ValueError
        If there is no such code, or the engine has no circuits for it; the message says what to do.
    """
    if codec is None:
        return
    if codec == ZVC:
        if not config.zero_maps:
            raise ValueError(
                f"--codec {ZVC} needs an engine that stores maps without zeros, {config.name} does "
                "not: add --set zero_maps=true"
            )
        return
    if codec not in CODE_BITS:
        raise ValueError(f"--codec must be 1..7 or {ZVC}, not {codec}")
    if int(codec) > config.codec_bits:
        raise ValueError(
            f"--codec {codec} needs an engine whose codec has {codec} bits, {config.name}'s has "
            f"{config.codec_bits}: add --set codec_bits={codec}"
        )


def open_networks(
    name: str, stages: Stages, config: EngineConfig, *, book: Book, codec: str | None = None
) -> Iterator[tuple[str, Network, torch.Tensor]]:
    """Yield a network of the zoo with what to call it and a stored picture.

    With ``codec``, see `check_codec`, it comes once more: with every map coded that may be, by
    tables fitted to its calibration pictures, or with those maps without zeros that are smaller so
    on some of these pictures.

    Raises
    ------
    MissingDataError
        If its weights or pictures cannot be fetched.
    ValueError
        If codes cannot be fitted to it.
    """
    loader = MODELS[name]
    with stages.stage(f"{name}: quantise"):
        network, x = loader.load_quantized(book=book), loader.input()
    yield name, network, x
    if codec == ZVC:
        with stages.stage(f"{name}: count zeros") as notes:
            pictures = loader.calibration(loader.pictures)[:ZERO_PICTURES]
            coded = without_zeros(network, config, pictures)
            notes.append(f"{len(coded.zeros)} maps without them")
        yield f"{name}, maps without zeros", coded, x
    elif codec is not None:
        with stages.stage(f"{name}: fit codes"):
            pictures = loader.calibration(loader.pictures)
            coded = code_whole(loader.load_float(), network, pictures, int(codec))
        yield f"{name}, {codec}-bit maps", coded, x


def run_network(
    name: str, network: Network, x: torch.Tensor, config: EngineConfig, verilog: Path,
    stages: Stages, *, simulator: str = "verilator",
) -> ZooRow:  # fmt: skip
    """Run one network on an engine and compare every value.

    Parameters
    ----------
    name : str
        What to call it.
    network, x : Network, Tensor uint8 (1, C, H, W)
        From `open_networks`.
    """
    with stages.stage(f"{name}: compute"):
        want = golden.run(network, x, written=True)
    try:
        with stages.stage(f"{name}: compile and predict") as notes:
            program = compile_network(network, config)
            predicted = predict_cycles(
                program, config, read_latency=FAST.read, write_latency=FAST.write, tensors=want
            )
            notes.append(f"{predicted.cycles:,} cycles predicted")
    except ValueError as error:
        return ZooRow(network=name, refused=str(error), stalls={}, trouble=[])
    with stages.stage(f"{name}: run in {simulator}") as notes:
        result = simulate(
            program, config, verilog, {network.input: x[0]}, want, simulator, latency=FAST
        )
        notes.append("bit-exact" if result.ok else "DIFFERS")
    totals, size = result.totals, config.bus_bytes
    cycles = totals.get("busy", 0)
    ideal = sum(plan.ideal_cycles for plan in program.layers)
    return ZooRow(
        network=name,
        layers=len(program.layers),
        macs=sum(plan.macs for plan in program.layers),
        cycles=cycles,
        ideal_cycles=ideal,
        utilisation=ideal / cycles if cycles else 0.0,
        predicted_cycles=predicted.cycles,
        prediction_error=predicted.cycles / cycles - 1 if cycles else 0.0,
        predicted_read=predicted.bytes_read,
        predicted_written=predicted.bytes_written,
        stalls={cause: totals.get(cause, 0) for cause in STALLS},
        program_bytes=len(program.image),
        table_bytes=program.table_bytes,
        peak_map_bytes=program.peak_map_bytes,
        unshared_map_bytes=program.unshared_map_bytes,
        bytes_read=totals.get("read", 0) * size,
        bytes_written=totals.get("written", 0) * size,
        values=result.checked_bytes,
        mismatches=result.wrong_bytes,
        seconds=round(result.seconds, 1),
        cpu_seconds=round(result.cpu_seconds, 1),
        cycles_per_second=round(result.cycles_per_second),
        costly=costly_layers(result.layers),
        without_zeros=list(network.zeros),
        trouble=[] if result.ok else result.summary().splitlines(),
    )


def costly_layers(layers: Sequence[LayerCounters], count: int = 3) -> list[dict[str, Any]]:
    """Return the ``count`` layers that take most cycles beyond the ideal ones."""
    most = sorted(layers, key=lambda layer: layer.ideal_cycles - layer.cycles)[:count]
    return [
        {
            "name": layer.name, "cycles": layer.cycles, "ideal_cycles": layer.ideal_cycles,
            "compute": layer.counters["compute"],
            "stalls": {cause: layer.counters[cause] for cause in STALLS},
        }
        for layer in most
    ]  # fmt: skip


def to_json(
    config: EngineConfig, rows: Sequence[ZooRow], *, book: Book, simulator: str
) -> dict[str, Any]:
    """Return the report as plain JSON data."""
    return {
        "config": config.to_dict(),
        "terms": book.terms,
        "bits": book.bits,
        "simulator": simulator,
        "latency": asdict(FAST),
        "networks": [asdict(row) | {"bit_exact": row.bit_exact} for row in rows],
    }


def _mark(row: ZooRow) -> str:
    return f" < {row.least_utilisation:.0%}" if row.too_idle else ""


def to_table(rows: Sequence[ZooRow]) -> Table:
    """Return the networks as one table, refused ones last."""
    table = Table()
    table.add_column("network")
    for name in ("layers", "MMAC", "cycles", "ideal", "util", "predicted", "error",
                 *(cause.removeprefix("wait_") for cause in STALLS),
                 "kB maps", "kB apart", "MB read", "MB written", "kHz", "wrong"):  # fmt: skip
        table.add_column(name, justify="right")
    for row in rows:
        if row.refused:
            continue
        table.add_row(
            row.network, str(row.layers), f"{row.macs / 1e6:.1f}", f"{row.cycles:,}",
            f"{row.ideal_cycles:,}", f"{row.utilisation:.1%}{_mark(row)}",
            f"{row.predicted_cycles:,}",
            f"{row.prediction_error:+.2%}", *(f"{row.stalls[cause]:,}" for cause in STALLS),
            f"{row.peak_map_bytes / 1e3:,.0f}", f"{row.unshared_map_bytes / 1e3:,.0f}",
            f"{row.bytes_read / 1e6:.2f}", f"{row.bytes_written / 1e6:.2f}",
            f"{row.cycles_per_second / 1e3:,.0f}", str(row.mismatches),
        )  # fmt: skip
    return table
