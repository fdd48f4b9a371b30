"""The cycle model: how long a program takes, and what it moves, without simulating the Verilog.

The units of the engine are processes that pass on bands, blocks of weights, column blocks and
bursts, with the delays of the gateware; what happens within one of these is worked out, not
walked. The units are in `units`, the read bus in `bus`.

Beats and bytes are exact, cycles within 0.1 % on the zoo (docs/reference/zoo.md). On engines of a
few lanes and networks of one-pixel maps, where every wait follows another, they were up to 16 %
too many, and with buffers of some tens of words up to 20 % too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..hw.config import EngineConfig
from .program import Program
from .units import Engine
from .zero_traffic import ZeroTraffic


@dataclass(frozen=True)
class LayerCycles:
    """One layer: its name and index, and counts of it alone by the names of the counters.

    Cycles go from the end of the layer before to the end of this one.
    """

    name: str
    index: int
    counters: dict[str, int]


@dataclass(frozen=True)
class CyclePrediction:
    """What the engine's counters will say.

    Attributes
    ----------
    totals : dict of str to int
        By the names in ``hw.registers.COUNTERS``: cycles, and bus beats for ``read`` and
        ``written``.
    layers : list of LayerCycles
    bytes_read, bytes_written : int
        Bus beats times bytes of a beat.
    """

    totals: dict[str, int]
    layers: list[LayerCycles]
    bytes_read: int
    bytes_written: int

    @property
    def cycles(self) -> int:
        """Clock cycles in which the engine runs."""
        return self.totals["busy"]


def predict_cycles(
    program: Program, config: EngineConfig, *, read_latency: int = 8, write_latency: int = 8,
    tensors: Mapping[str, Any] | None = None,
) -> CyclePrediction:  # fmt: skip
    """Predict the counters of a program on an engine.

    Parameters
    ----------
    program : Program
    config : EngineConfig
        The engine it was compiled for.
    read_latency, write_latency : int
        Cycles of the memory from an accepted address to the first beat.
    tensors : Mapping[str, array], optional
        Values of maps that are stored without zeros, (C, H, W) or (1, C, H, W) uint8: what these
        move depends on the picture. A map that is not given counts as one that has no zeros.

    Raises
    ------
    ValueError
        If a latency is negative or the program is damaged.
    """
    if min(read_latency, write_latency) < 0:
        raise ValueError(f"latencies must be 0 or more, not {read_latency} and {write_latency}")
    zeros = ZeroTraffic(program, config, tensors or {})
    engine = Engine(program.descriptors(), config, read_latency, write_latency, zeros)
    engine.run()
    layers = []
    before = dict.fromkeys(engine.totals(), 0)
    plans = {plan.index: plan for plan in program.layers}
    for index, totals in engine.recorded:
        own = {name: totals[name] - before[name] for name in totals}
        before = totals
        layers.append(LayerCycles(plans[index].name, index, own))
    totals = engine.recorded[-1][1]
    totals = totals | {"busy": engine.end}
    totals["wait_other"] = engine.other(totals)
    size = config.bus_bytes
    return CyclePrediction(
        totals, sorted(layers, key=lambda layer: layer.index),
        totals["read"] * size, totals["written"] * size,
    )  # fmt: skip
