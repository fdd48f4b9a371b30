"""What a simulation found: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .host import COUNTER_NAMES


@dataclass(frozen=True)
class Mismatch:
    """One wrong byte of a tensor.

    Parameters
    ----------
    layer, tensor : str
        Where it belongs.
    channel, y, x : int
        Place in the tensor.
    got : int or None
        The byte found; None where it is undefined (x) or was never written.
    want : int
        The golden model's byte.
    cycle : int or None
        Clock cycle in which it reached memory; None if it never did.
    address : int
        Byte address.
    """

    layer: str
    tensor: str
    channel: int
    y: int
    x: int
    got: int | None
    want: int
    cycle: int | None
    address: int

    def __str__(self) -> str:
        """Say it in one line."""
        if self.cycle is None:
            found, when = "never written", ""
        else:
            found = "got undefined bits" if self.got is None else f"got {self.got}"
            when = f" in cycle {self.cycle}"
        return (
            f"layer {self.layer}, tensor {self.tensor}, channel {self.channel}, y {self.y}, "
            f"x {self.x}: {found}, want {self.want}{when} (address {self.address:#x})"
        )


@dataclass(frozen=True)
class Stray:
    """A write where nothing may be written: byte address, bytes by lane, cycle."""

    address: int
    data: str
    lanes: int
    cycle: int
    where: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"write of {self.data} to {self.address:#x} ({self.where}) in cycle {self.cycle}"


@dataclass(frozen=True)
class LayerCounters:
    """What one layer took.

    Parameters
    ----------
    name, index : str, int
        The layer, and its number in the engine.
    macs, ideal_cycles : int
        From the compiler.
    counters : dict
        Counts of this layer alone by the names in ``hw.registers.COUNTERS``: cycles, and bus
        beats for ``read`` and ``written``.
    """

    name: str
    index: int
    macs: int
    ideal_cycles: int
    counters: dict[str, int]

    @property
    def cycles(self) -> int:
        """Clock cycles from the end of the layer before to the end of this one."""
        return self.counters["busy"]

    @property
    def utilisation(self) -> float:
        """Ideal cycles over cycles; 0 for a layer that recorded nothing."""
        return self.ideal_cycles / self.cycles if self.cycles else 0.0


@dataclass(frozen=True)
class SimResult:
    """Outcome of one simulated program.

    Parameters
    ----------
    simulator : str
        ``icarus`` or ``verilator``.
    cycles : int
        Clock cycles from the start command to the interrupt.
    seconds, build_seconds : float
        Wall time of the simulation, and of the build (0 from the cache).
    cpu_seconds : float
        CPU time of the simulation.
    layers : list of LayerCounters
        As the engine recorded them.
    totals : dict
        The engine's live totals at the end, by counter name.
    checked_bytes, wrong_bytes : int
        Bytes compared, and those of them that differ (or were never written).
    wrong_beats, stray_beats, broken_rules : int
        Write beats with a wrong byte, write beats outside their tensors, breaches of AXI rules.
    mismatches : list of Mismatch
        The first 16 or so, in order of time, bytes never written last.
    strays : list of Stray
        The first 16.
    violations : list of str
        The first breaches of AXI rules, with cycle and address.
    trouble : str
        What else went wrong, empty if nothing: a timeout, an error code, no answer.
    error, error_layer : int
        The engine's error code and the layer at fault; 0 for none.
    timeout : bool
        The engine had not ended after the cycles it was given.
    outputs : dict
        The tensors compared that are whole after the run, (C, H, W) uint8, as the engine left
        them in memory.
    read_beats, write_beats : int
        Beats the memory moved.
    log : Path
        Simulator's log. Removed with the whole run when it is ok and no folder was asked for.
    waveform : Path or None
        VCD around the first thing that went wrong.
    """

    simulator: str
    cycles: int
    seconds: float
    cpu_seconds: float
    build_seconds: float
    layers: list[LayerCounters]
    totals: dict[str, int]
    checked_bytes: int
    wrong_bytes: int
    wrong_beats: int
    stray_beats: int
    broken_rules: int
    mismatches: list[Mismatch]
    strays: list[Stray]
    violations: list[str]
    trouble: str
    error: int
    error_layer: int
    timeout: bool
    read_beats: int
    write_beats: int
    log: Path
    waveform: Path | None = None
    outputs: dict[str, NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    @property
    def bit_exact(self) -> bool:
        """Whether every compared byte is right and was so when written."""
        return not (self.wrong_bytes or self.wrong_beats)

    @property
    def ok(self) -> bool:
        """Whether nothing at all went wrong."""
        return self.bit_exact and not (self.stray_beats or self.broken_rules or self.trouble)

    @property
    def cycles_per_second(self) -> float:
        """Simulated clock cycles a second of CPU time, process start included."""
        return self.cycles / self.cpu_seconds if self.cpu_seconds else 0.0

    def summary(self) -> str:
        """Return one line when ok, else a line per thing that went wrong."""
        if self.ok:
            return (
                f"{self.checked_bytes} bytes bit-exact in {self.cycles} cycles "
                f"({self.simulator}, {self.seconds:.1f} s)"
            )
        lines = [self.trouble] if self.trouble else []
        if not self.bit_exact:
            lines.append(f"{self.wrong_bytes} of {self.checked_bytes} bytes differ")
            lines += map(str, self.mismatches)
        if self.stray_beats:
            lines.append(f"{self.stray_beats} writes outside the tensors")
            lines += map(str, self.strays)
        lines += self.violations
        if self.waveform:
            lines.append(f"waveform: {self.waveform}")
        return "\n".join(lines)


def layer_counters(layers: list[Any], recorded: dict[str, list[int]]) -> list[LayerCounters]:
    """Join the program's layers with what the engine recorded, keyed by index as text.

    The engine records running totals at the end of each layer; a layer's own counts are the
    differences, modulo 2^32. A pooling layer may end before the convolution it is interleaved
    with, so the layers are taken in the order in which they ended, told by their busy cycles (a
    run has fewer than 2^32).
    """
    found: list[LayerCounters] = []
    before = [0] * len(COUNTER_NAMES)
    ended = [
        (recorded[str(index)], index, layer)
        for index, layer in numbered(layers)
        if any(recorded.get(str(index), ()))
    ]
    busy = COUNTER_NAMES.index("busy")
    for totals, index, layer in sorted(ended, key=lambda entry: entry[0][busy]):
        counts = [(now - then) & 0xFFFFFFFF for now, then in zip(totals, before, strict=True)]
        before = totals
        own = dict(zip(COUNTER_NAMES, counts, strict=True))
        macs, ideal = int(layer.macs), int(layer.ideal_cycles)
        found.append(LayerCounters(layer.name, index, macs, ideal, own))
    return sorted(found, key=lambda counters: counters.index)


def numbered(layers: list[Any]) -> list[tuple[int, Any]]:
    """Return (index in the engine, layer): the layer's own index, else its place."""
    return [(int(getattr(layer, "index", place)), layer) for place, layer in enumerate(layers)]
