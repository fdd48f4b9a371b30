"""ResNet8 for CIFAR-10 on this project's engines beside published figures of others.

The others' figures are of MLPerf Tiny's image classification, from its result tables
(https://github.com/mlcommons/tiny_results_v0.7, v1.0, v1.1, v1.2); lookup tables and clocks are
those that the submitters state. Nothing of them was measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig

NETWORK = "resnet8"
TERMS, BITS = 2, 4


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One published result.

    Attributes
    ----------
    name, board, network, source : str
    pictures_per_second : float
        Measured by the benchmark's harness.
    top1 : float
        Accuracy in percent.
    luts, dsps : int or None
        Where they are published.
    clock_mhz : float or None
    """

    name: str
    board: str
    network: str
    source: str
    pictures_per_second: float
    top1: float | None = None
    luts: int | None = None
    dsps: int | None = None
    clock_mhz: float | None = None

    @property
    def lut_cycles(self) -> float | None:
        """Lookup tables times clock cycles per picture, in millions."""
        if self.luts is None or self.clock_mhz is None:
            return None
        return self.luts * self.clock_mhz / self.pictures_per_second


PEERS = (
    Peer(name="fpgaConvNet", board="ZC706", network="ResNet8", source="v1.1 closed",
         pictures_per_second=6790, top1=86.0, luts=108_000, dsps=525, clock_mhz=187),
    Peer(name="fpgaConvNet", board="ZedBoard", network="ResNet8", source="v1.1 closed",
         pictures_per_second=2431, top1=86.0, luts=47_000, dsps=211, clock_mhz=143),
    Peer(name="FINN", board="Pynq-Z2", network="CNV, 1 bit", source="v0.7 open",
         pictures_per_second=661.5, top1=84.5),
    Peer(name="fpgaConvNet", board="ZyBo", network="ResNet8", source="v1.1 closed",
         pictures_per_second=317.5, top1=85.5, luts=16_000, dsps=78, clock_mhz=125),
    Peer(name="hls4ml", board="Pynq-Z2", network="RN08", source="v1.0 open",
         pictures_per_second=130.8, top1=83.5),
    Peer(name="Syntiant NDP120", board="98 MHz", network="ResNet8", source="v1.2 closed",
         pictures_per_second=195),
    Peer(name="STM32 U575", board="microcontroller", network="ResNet8", source="v1.2 closed",
         pictures_per_second=9.0),
)  # fmt: skip


def resnet8_cycles(config: EngineConfig) -> int | None:
    """Return the cycles of a picture by the cycle model; None if the engine cannot run it.

    The model is within 3 % of the simulation (docs/reference/zoo.md).

    Raises
    ------
    MissingDataError
        If the network's weights cannot be fetched.
    """
    from ..model.compile import compile_network
    from ..model.cycles import predict_cycles
    from ..model.zoo import MODELS

    network = MODELS[NETWORK].load_quantized(TERMS, BITS)
    try:
        return predict_cycles(compile_network(network, config), config).cycles
    except ValueError:
        return None


def picture_figures(cycles: int | None, lut: int, fmax_mhz: float) -> dict[str, Any]:
    """Return pictures per second at a clock and millions of lookup tables times cycles."""
    if cycles is None:
        return {"resnet8_cycles": None, "pictures_per_second": None, "lut_megacycles": None}
    return {
        "resnet8_cycles": cycles,
        "pictures_per_second": round(1e6 * fmax_mhz / cycles, 1),
        "lut_megacycles": round(lut * cycles / 1e6),
    }


def peers_table(rows: list[dict[str, Any]]) -> Table:
    """Return this project's engines, estimated, beside the published figures."""
    table = Table(title="ResNet8, CIFAR-10: ours from the cycle model and Fmax; others published")
    for name in ("who", "where", "network", "pictures/s", "lut", "dsp", "MHz", "Mlut x cycles"):
        table.add_column(name, justify="left" if name in ("who", "where", "network") else "right")

    def text(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:,.{digits}f}"

    for row in rows:
        if row["resnet8_cycles"] is not None:
            table.add_row(
                f"{row['preset']} (estimated)", row["target"], f"ResNet8, N = {TERMS}",
                text(row["pictures_per_second"], 1), text(row["lut"]), text(row["dsp"]),
                text(row["fmax_mhz"], 1), text(row["lut_megacycles"]),
            )  # fmt: skip
    table.add_section()
    for peer in PEERS:
        table.add_row(
            f"{peer.name} ({peer.source})", peer.board, peer.network,
            text(peer.pictures_per_second, 1), text(peer.luts), text(peer.dsps),
            text(peer.clock_mhz), text(peer.lut_cycles),
        )  # fmt: skip
    return table
