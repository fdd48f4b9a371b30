"""A network under a budget: terms by sensitivity, the rounding, and the curve it lies on."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure

from ..hw.config import EngineConfig
from ..model.agreement import Agreement, has_classes, measure_agreement
from ..model.graph import ConvNode, Graph
from ..model.mixed import LOW, Mix, Sensitivity, choose_mix, measure_sensitivity, mix_curve
from ..model.mixed_cycles import choose_by_cycles, network_cycles
from ..model.network import Network
from ..model.quantize import quantize
from ..model.rounding import Rounded, round_graph
from .files import write_atomic, write_json

BATCH = 8


@dataclass(frozen=True, eq=False)
class Mixing:
    """A network under a budget, and what led to it.

    Attributes
    ----------
    network : Network
    rounded : dict[str, Rounded]
    mix : Mix
    budget : float
        Mean terms per weight, or cycles.
    engine : str or None
        Whose cycles; None where the budget is in terms.
    cycles : int or None
        The network's on that engine, predicted.
    sensitivities : list[Sensitivity]
    curve : list[Mix]
    agreement : Agreement
        With the float network, on the judges.
    """

    network: Network
    rounded: dict[str, Rounded]
    mix: Mix
    budget: float
    engine: str | None
    cycles: int | None
    sensitivities: list[Sensitivity]
    curve: list[Mix]
    agreement: Agreement

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "network": self.network.name,
            "budget": self.budget,
            "unit": "terms per weight" if self.engine is None else "cycles",
            "engine": self.engine,
            "cycles": self.cycles,
            "chosen": self.mix.to_dict(),
            "measured": {
                "divergence": self.agreement.divergence,
                "agreement": self.agreement.share,
                "pictures": self.agreement.pictures,
            },
            "sensitivity": [asdict(row) for row in self.sensitivities],
            "curve": [mix.to_dict() for mix in self.curve],
        }

    def save(self, folder: Path) -> None:
        """Write ``curve.json`` and ``curve.svg``."""
        write_json(folder / "curve.json", self.to_dict())
        write_atomic(folder / "curve.svg", self.plot())

    def plot(self) -> str:
        """Return the curve as SVG: predicted divergence against cost, and what was measured."""
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "shiftwork"}):
            figure = Figure(figsize=(8, 4), layout="constrained")
            axes = figure.add_subplot()
            axes.plot(
                [mix.cost for mix in self.curve], [mix.predicted for mix in self.curve], "k.--",
                label="predicted, from N=2: sum of the layers' sensitivities",
            )  # fmt: skip
            axes.plot(
                [self.mix.cost], [self.agreement.divergence], "o", color="#4477aa",
                label=f"this network, from float: agrees {100 * self.agreement.share:.1f} %",
            )  # fmt: skip
            what = "mean terms per weight (N)" if self.engine is None else (
                f"cycles of the convolutions on {self.engine}"
            )  # fmt: skip
            axes.set_xlabel(what)
            axes.set_ylabel("divergence, nats")
            axes.set_title(f"{self.network.name}: accuracy against cost", loc="left")
            axes.set_ylim(bottom=0)
            axes.legend()
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


def mix_terms(
    graph: Graph,
    frac_bits: dict[str, int],
    pictures: torch.Tensor,
    judges: torch.Tensor,
    budget: float,
    *,
    config: EngineConfig | None = None,
    method: str = "compensated",
    bits: int = 4,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Mixing:
    """Choose N per layer under a budget and round the network with it.

    Parameters
    ----------
    graph : Graph
        Of a network whose output is one score per class.
    frac_bits : dict[str, int]
    pictures, judges : Tensor uint8 (P, C, H, W)
        To round with, and to measure sensitivity and agreement on: without labels.
    budget : float
        Mean terms per weight; with ``config``, cycles of the whole network on that engine.
    config : EngineConfig, optional
    method, bits, seed
        As in ``rounding.round_graph``.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    ValueError
        If the budget is too small, there are no pictures, the network's output is not one score
        per class, or the engine cannot run it.
    """
    if not has_classes(graph):
        raise ValueError(f"network {graph.name!r} has no scores per class to measure terms by")
    tell = progress or (lambda what, done, total: None)
    least, unit = LOW, "terms per weight"
    if config is not None:
        lowest = quantize(graph, frac_bits, terms=LOW, bits=bits)
        least, unit = network_cycles(lowest, config), "cycles"
    if not budget >= least:
        raise ValueError(f"--budget must be at least {least:,} {unit}, not {budget:g}")
    batches = pictures.split(BATCH)
    convolutions = sum(isinstance(node, ConvNode) for node in graph.nodes)
    sensitivities = measure_sensitivity(
        graph, frac_bits, batches, judges, method=method, bits=bits, seed=seed,
        progress=lambda _name, done: tell("sensitivity", done, 2 * convolutions),
    )  # fmt: skip
    if config is None:
        mix, curve = choose_mix(sensitivities, budget), mix_curve(sensitivities)
    else:
        mix, curve = choose_by_cycles(sensitivities, budget, graph, frac_bits, config, bits)
    rounded = round_graph(
        graph, frac_bits, batches, method=method, terms=mix.terms, bits=bits, seed=seed,
        progress=lambda _name, done: tell("round", done, len(mix.terms)),
    )  # fmt: skip
    network = quantize(graph, frac_bits, bits=bits, rounded=rounded)
    return Mixing(
        network, rounded, mix, budget, config.name if config else None,
        network_cycles(network, config) if config else None,
        sensitivities, curve, measure_agreement(graph, network, judges),
    )  # fmt: skip
