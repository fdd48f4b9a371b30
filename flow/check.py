"""A network on the emitted Verilog: run, compared with the golden model, finished in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..hw.config import EngineConfig
from ..model import golden
from ..model.compile import compile_network, layers_until
from ..model.network import Concat, Network
from ..model.predict import Prediction, to_probabilities
from ..model.program import Program
from ..sim.result import SimResult
from ..sim.scoreboard import FAST, Latency, simulate
from .report import LayerFigures

POOLS = ("max_pool", "average_pool", "global_average_pool")  # kinds of a layer plan


@dataclass(frozen=True, eq=False)
class Checked:
    """One comparison.

    Attributes
    ----------
    network : Network
        What ran.
    until : str
        Last layer that ran on the engine.
    program : Program
        What the engine executed.
    result : SimResult
        What the simulation found.
    top5 : list of Prediction
        Likeliest classes, the later layers computed by the golden model from what the Verilog
        wrote; empty where that is not possible.
    """

    network: Network
    until: str
    program: Program
    result: SimResult
    top5: list[Prediction]

    def figures(self, config: EngineConfig) -> dict[str, Any]:
        """Return the report's fields that come from the comparison."""
        result = self.result
        kinds = Counter(plan.kind for plan in self.program.layers)
        layers = layer_figures(self.program, result, config)
        # Cycles of the engine start to end; ideal ones of the same layers.
        ideal = sum(layer.ideal_cycles for layer in layers)
        trouble = [] if result.ok else result.summary().splitlines()
        return {
            "simulator": result.simulator,
            "bit_exact": result.ok,
            "layers_checked": kinds.total(),
            "convolutions_checked": kinds["conv"],
            "pools_checked": sum(kinds[kind] for kind in POOLS),
            "values_checked": result.checked_bytes,
            "mismatches": result.wrong_bytes,
            "mismatch_list": trouble,
            "label": self.top5[0].label if self.top5 else None,
            "probability": self.top5[0].probability if self.top5 else None,
            "top5": [{"label": p.label, "probability": p.probability} for p in self.top5],
            "cycles": result.cycles,
            "ideal_cycles": ideal,
            "utilisation": ideal / result.cycles if result.cycles else 0.0,
            "layers": layers,
            "program_bytes": len(self.program.image),
            "peak_map_bytes": self.program.peak_map_bytes,
            "unshared_map_bytes": self.program.unshared_map_bytes,
        }


def layer_figures(program: Program, result: SimResult, config: EngineConfig) -> list[LayerFigures]:
    """Join what the compiler planned with what the engine counted, layer by layer."""
    plans = {plan.index: plan for plan in program.layers}
    return [
        LayerFigures(
            name=layer.name,
            kind=plans[layer.index].kind,
            macs=layer.macs,
            cycles=layer.cycles,
            ideal_cycles=layer.ideal_cycles,
            stalls={
                name.removeprefix("wait_"): count
                for name, count in layer.counters.items()
                if name.startswith("wait_")
            },
            bytes_read=layer.counters["read"] * config.bus_bytes,
            bytes_written=layer.counters["written"] * config.bus_bytes,
        )
        for layer in result.layers
    ]


def rest_of(network: Network, until: str) -> Network | None:
    """Return the layers after `until` as a network of their own.

    None if there are none, or if they need more than one tensor from before.
    """
    done = layers_until(network, until)
    later = network.layers[len(done) :]
    made = {layer.output for layer in later}
    live = {name for layer in later for name in layer.inputs} - made
    if len(live) != 1:
        return None
    (start,) = live
    tensors = {name: network.tensors[name] for name in (start, *made)}
    return Network(
        name=network.name,
        input=start,
        output=network.output,
        tensors=tensors,
        layers=list(later),
        classes=network.classes,
        codes={name: code for name, code in network.codes.items() if name in made},
    )


def finish(network: Network, until: str, outputs: dict[str, Any]) -> list[Prediction]:
    """Return the likeliest classes, starting from what the engine left in memory.

    Parameters
    ----------
    network : Network
        All of it.
    until : str
        Last layer the engine ran.
    outputs : dict of str to array
        Tensors the engine wrote, uint8 (C, H, W).

    Returns
    -------
    list of Prediction
        Five at most, most likely first; empty where `rest_of` is None.
    """
    tensors = {name: torch.as_tensor(value)[None] for name, value in outputs.items()}
    for layer in layers_until(network, until):
        if isinstance(layer, Concat) and all(name in tensors for name in layer.inputs):
            tensors[layer.output] = golden.concat([tensors[name] for name in layer.inputs])
    if network.output in tensors:
        return to_probabilities(network, tensors[network.output])[0]
    rest = rest_of(network, until)
    if rest is None or rest.input not in tensors:
        return []
    return to_probabilities(rest, golden.run(rest, tensors[rest.input])[rest.output])[0]


def check(
    network: Network,
    picture: torch.Tensor,
    config: EngineConfig,
    verilog: Path,
    *,
    until: str | None = None,
    simulator: str = "verilator",
    latency: Latency = FAST,
    seed: int = 1,
    work: Path | None = None,
) -> Checked:
    """Run a network's first layers on the Verilog and compare every value they write.

    Parameters
    ----------
    network : Network
        Quantised network.
    picture : Tensor uint8 (C, H, W)
        Its input.
    config : EngineConfig
        Engine the Verilog was emitted for.
    verilog : Path
        The Verilog.
    until : str, optional
        Last layer to run; all by default.
    simulator : str
        ``icarus`` or ``verilator``.
    latency, seed : Latency, int
        How the memory behaves.
    work : Path, optional
        Folder that keeps the run.

    Returns
    -------
    Checked
        A wrong value is not an error: see its ``result``.

    Raises
    ------
    ValueError
        If the network has no such layer, or does not fit the engine.
    SimulatorError
        If the simulator is missing or fails.
    """
    program = compile_network(network, config, until)
    last = until or network.layers[-1].name
    tensors = golden.run(network, picture[None], until=last, written=True)
    expected = {plan.output: tensors[plan.output][0] for plan in program.layers}
    result = simulate(
        program, config, verilog, {network.input: picture}, expected, simulator,
        latency=latency, seed=seed, work=work,
    )  # fmt: skip
    return Checked(network, last, program, result, finish(network, last, result.outputs))
