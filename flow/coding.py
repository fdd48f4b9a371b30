"""Feature maps of a converted network in fewer bits: what ``convert --codec auto`` does."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure

from ..hw.config import EngineConfig, preset
from ..model import golden
from ..model.agreement import has_classes
from ..model.codec.choose import Measured, choose
from ..model.codec.coded import CodedGraph
from ..model.codec.maps import mean_bits, values_of
from ..model.codec.parts import whole_maps
from ..model.codec.place import code_network, groups_of
from ..model.codec.zeros import ZeroMask
from ..model.graph import Graph
from ..model.network import Network
from ..model.zeros import without_zeros
from .accuracy_plots import STYLE
from .files import write_atomic, write_json

BITS = (2, 3, 4, 5, 6)  # of a code
ENGINE = preset("base").replace(zero_maps=True, codec_bits=max(BITS))  # unless another is given
SHARE = 5  # every fifth picture is measured on, the others are fitted to


@dataclass(frozen=True, eq=False)
class Coding:
    """Which maps are coded, and the choices that were looked at.

    Attributes
    ----------
    network : Network
        With the chosen codes.
    best : Measured or None
        None where no choice keeps the drop: all maps stay as they are.
    curve : list[Measured]
        Fewest bits first.
    max_drop : float
        Points of top-1 accuracy that could be lost.
    pictures : int
        Pictures measured on.
    lossless : float
        Mean bits per value of the maps without zeros where that is smaller, else as they are.
    engine : EngineConfig
        What it was chosen for.
    """

    network: Network
    best: Measured | None
    curve: list[Measured]
    max_drop: float
    pictures: int
    lossless: float = 8.0
    engine: EngineConfig = ENGINE

    @property
    def bits(self) -> float:
        """Mean bits per value of the maps."""
        return self.best.choice.bits if self.best else self.lossless

    @property
    def storage(self) -> dict[str, str | int | bool]:
        """The engine's name, and what it can do with maps."""
        engine = self.engine
        return {
            "name": engine.name, "codec_bits": engine.codec_bits, "zero_maps": engine.zero_maps
        }  # fmt: skip

    @property
    def step(self) -> float:
        """Points of estimated drop for each picture that changes class."""
        return 50 / self.pictures

    def save(self, folder: Path) -> None:
        """Write ``codec.json`` and ``codec.svg``."""
        points = []
        for point in self.curve:
            options = point.choice.options
            points.append(
                {
                    "bits": point.choice.bits,
                    "drop_estimated": point.drop,
                    "agree_percent": point.agree,
                    "divergence": point.divergence,
                    "each_alone": point.choice.loss,
                    "chosen": point is self.best,
                    "maps": {name: option.code.bits for name, option in options.items()},
                }
            )
        data = {
            "max_drop": self.max_drop, "measured_on": self.pictures, "engine": self.storage,
            "curve": points,
            "without_zeros": {
                "bits": self.lossless, "chosen": bool(self.network.zeros),
                "maps": list(self.network.zeros),
            },
        }  # fmt: skip
        write_json(folder / "codec.json", data)
        write_atomic(folder / "codec.svg", self._plot())

    def _plot(self) -> str:
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(8, 4), layout="constrained")
            axes = figure.add_subplot()
            bits = [point.choice.bits for point in self.curve]
            axes.plot(bits, [point.drop for point in self.curve], "o-", color="#4477aa")
            if self.engine.zero_maps:
                axes.plot([self.lossless], [0.0], "^", color="#228833", label="without zeros")
            axes.axhline(self.max_drop, color="k", linestyle="--", label="--max-drop")
            if self.best is not None:
                axes.plot([self.best.choice.bits], [self.best.drop], "s", ms=10, label="chosen")
            axes.set_xlabel("bits per value of the maps, mean")
            axes.set_ylabel("estimated drop of top-1, points")
            axes.set_title(f"{self.network.name}: coded feature maps", loc="left", fontsize=11)
            axes.legend()
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


def code_maps(
    graph: Graph,
    frac_bits: dict[str, int],
    network: Network,
    pictures: torch.Tensor,
    source: torch.Tensor,
    max_drop: float,
    config: EngineConfig | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Coding:
    """Choose codes for a network's maps, or none, as an engine can store them.

    Where no choice of codes keeps the drop, or maps without zeros are no larger, maps are stored
    without zeros, as far as that makes them smaller and the engine has ``zero_maps``.

    Parameters
    ----------
    graph : Graph
    frac_bits : dict[str, int]
        f of every tensor.
    network : Network
        What the graph became.
    pictures : Tensor uint8 (B, C, H, W)
        Unlabelled, some dozens or more.
    source : Tensor int64 (B,)
        Number of the picture that each is, or is cut from: all of a picture are fitted to, or none.
    max_drop : float
        Points of top-1 accuracy that may be lost, as estimated from agreement.
    config : EngineConfig, optional
        ``base`` with a codec of 6 bits and ``zero_maps`` if not given.
    progress : callable, optional
        Called with what is done, how much of it, and how much there is.

    Raises
    ------
    ValueError
        If the network has no scores of classes, there are too few pictures, or the engine stores
        all maps as they are.
    """
    config = config or ENGINE
    bits = [k for k in BITS if k <= config.codec_bits]
    if not bits and not config.zero_maps:
        raise ValueError(
            f"--codec auto needs an engine with zero_maps or codec_bits of {min(BITS)} or more, "
            f"not {config.name!r}: add --set codec_bits=4"
        )
    if not has_classes(graph):
        raise ValueError(f"--codec auto needs one score per class, which {graph.name} has not")
    number = len(source.unique())
    if number < 2 * SHARE:
        raise ValueError(
            f"--codec auto needs {2 * SHARE} pictures or more beside the fifth that judges, "
            f"not {number}"
        )
    index = source % SHARE == 0
    groups = groups_of(network, whole_maps(graph))
    names = [name for name in whole_maps(graph) if any(name in group for group in groups)]
    best, curve = None, []
    if bits:
        best, curve = choose(
            CodedGraph(graph, frac_bits), names, pictures[~index], pictures[index],
            max_drop=max_drop, bits=bits, groups=groups, progress=progress,
        )  # fmt: skip
    exact, lossless = network, 8.0
    if config.zero_maps:
        exact, lossless = _without_zeros(graph, network, names, pictures[index], config)
    if best is not None and lossless <= best.choice.bits:
        best = None
    coded = code_network(network, best.choice.codes) if best else exact
    return Coding(coded, best, curve, max_drop, int(index.sum()), lossless, config)


def _without_zeros(
    graph: Graph, network: Network, names: list[str], pictures: torch.Tensor, config: EngineConfig
) -> tuple[Network, float]:
    """Return the network with maps without zeros, and the mean bits per value of ``names``."""
    exact = without_zeros(network, config, pictures)
    tensors = golden.run(network, pictures)
    values = values_of(graph, names)
    bits = {
        name: min(8.0, ZeroMask().stored_bits(tensors[name]) / tensors[name].numel())
        for name in names if name in exact.zeros
    }  # fmt: skip
    return exact, mean_bits(values, bits)
