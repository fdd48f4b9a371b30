"""ResNet8 for CIFAR-10 on this project's engines beside published figures of others.

The others' figures are of MLPerf Tiny's image classification: pictures per second from the logs of
its harness, lookup tables, DSP blocks and clocks as the submitters state them. Each row says in
which folder of which repository they are. Nothing of them was measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..hw.config import EngineConfig
from .files import write_atomic

NETWORK = "resnet8"
TERMS, BITS = 2, 4
PAGE = "peers.md"
REPOSITORY = "https://github.com/mlcommons/tiny_results_"
_COLUMNS = ("who", "where", "network", "pictures/s", "lut", "dsp", "MHz", "cycles", "Mlut x cycles")
_TEXT = 3  # columns of words, before those of numbers
_PAGE = """# Beside others

ResNet8 of MLPerf Tiny's image classification (CIFAR-10), or what was submitted in its place.
Made by `{command}`.

- **Ours, estimated**: cycles are the cycle model's, lookup tables the engine's alone, and
  pictures per second are Fmax after nextpnr's routing divided by cycles: no memory, no host.
- **Ours, simulated**: a [board](../guide/boards.md)'s whole design. A picture went through the
  driver into its simulation and came back as the golden model has it; cycles are those it
  counted, lookup tables those of the bitstream with memory and link, and pictures per second are
  the board's clock divided by cycles, the serial line left out. No board has been measured.
- **Theirs are measured**, by the benchmark's harness on the board. Lookup tables, DSP blocks and
  clocks are stated by the submitters; cycles are that clock divided by pictures per second. What
  is empty was not found there.
- Lookup tables of ECP5 and iCE40 have four inputs, those of the Xilinx devices have six. Products
  in DSP blocks are in no lookup table.
"""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One published result.

    Attributes
    ----------
    name, board, network : str
    round, folder : str
        Of MLPerf Tiny, and the submission's folder in that round's repository.
    pictures_per_second : float
        Median of the benchmark's harness.
    luts, dsps : int or None
        Where they are published.
    clock_mhz : float or None
    """

    name: str
    board: str
    network: str
    round: str
    folder: str
    pictures_per_second: float
    luts: int | None = None
    dsps: int | None = None
    clock_mhz: float | None = None

    @property
    def source(self) -> str:
        """Round and division, like ``v1.1 closed``."""
        return f"{self.round} {self.folder.partition('/')[0]}"

    @property
    def url(self) -> str:
        """Where the figures are."""
        return f"{REPOSITORY}{self.round}/tree/main/{self.folder}"

    @property
    def cycles(self) -> float | None:
        """Clock cycles from one picture to the next."""
        return None if self.clock_mhz is None else 1e6 * self.clock_mhz / self.pictures_per_second

    @property
    def lut_cycles(self) -> float | None:
        """Lookup tables times clock cycles per picture, in millions."""
        return None if self.luts is None or self.cycles is None else self.luts * self.cycles / 1e6


PEERS = (
    Peer(name="fpgaConvNet", board="ZC706", network="ResNet8", round="v1.1",
         folder="closed/fpgaconvnet", pictures_per_second=6789.6, luts=108_000, dsps=525,
         clock_mhz=187),
    Peer(name="fpgaConvNet", board="ZedBoard", network="ResNet8", round="v1.1",
         folder="closed/fpgaconvnet", pictures_per_second=2431.4, luts=47_000, dsps=211,
         clock_mhz=143),
    Peer(name="FINN", board="Pynq-Z2", network="CNV, 1 bit", round="v0.7",
         folder="open/hls4ml-finn", pictures_per_second=661.5, clock_mhz=100),
    Peer(name="FINN", board="Arty A7-100T", network="CNV, 1 bit", round="v0.7",
         folder="open/hls4ml-finn", pictures_per_second=659.1),
    Peer(name="fpgaConvNet", board="ZyBo", network="ResNet8", round="v1.1",
         folder="closed/fpgaconvnet", pictures_per_second=317.5, luts=16_000, dsps=78,
         clock_mhz=125),
    Peer(name="hls4ml", board="Pynq-Z2", network="RN08", round="v1.0", folder="open/hls4ml",
         pictures_per_second=130.8, clock_mhz=100),
    Peer(name="hls4ml", board="Pynq-Z2", network="RN07", round="v0.7",
         folder="open/hls4ml-finn", pictures_per_second=36.6, clock_mhz=100),
    Peer(name="Syntiant NDP120", board="chip", network="ResNet8", round="v1.2",
         folder="closed/syntiant", pictures_per_second=195.2, clock_mhz=98.7),
    Peer(name="STM32 U575", board="microcontroller", network="ResNet8", round="v1.2",
         folder="closed/STMicroelectronics", pictures_per_second=9.0, clock_mhz=160),
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


def _text(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _ours(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [f"{row['preset']} ({row['how']})", row["target"], f"ResNet8, N = {row['terms']}",
         _text(row["pictures_per_second"], 1), _text(row["lut"]), _text(row["dsp"]),
         _text(row["fmax_mhz"], 1), _text(row["resnet8_cycles"]), _text(row["lut_megacycles"])]
        for row in rows if row["resnet8_cycles"] is not None
    ]  # fmt: skip


def _theirs() -> list[list[str]]:
    return [
        [f"{peer.name} ({peer.source})", peer.board, peer.network,
         _text(peer.pictures_per_second, 1), _text(peer.luts), _text(peer.dsps),
         _text(peer.clock_mhz), _text(peer.cycles), _text(peer.lut_cycles)]
        for peer in PEERS
    ]  # fmt: skip


def peers_table(rows: list[dict[str, Any]]) -> Table:
    """Return this project's engines and boards beside the published figures."""
    table = Table(title="ResNet8, CIFAR-10: ours estimated or simulated; others published")
    for index, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if index < _TEXT else "right")
    for line in _ours(rows):
        table.add_row(*line)
    table.add_section()
    for line in _theirs():
        table.add_row(*line)
    return table


def write_page(rows: list[dict[str, Any]], folder: Path, command: str) -> Path:
    """Write the table as a page, with what each figure is and where it is from."""
    head = ["| " + " | ".join(_COLUMNS) + " |", "|---|---|---|" + "---:|" * (len(_COLUMNS) - _TEXT)]
    table = ["| " + " | ".join(line) + " |" for line in _ours(rows) + _theirs()]
    sources = [f"- <{url}>" for url in dict.fromkeys(peer.url for peer in PEERS)]
    lines = [_PAGE.format(command=command), *head, *table, "", "Sources:", "", *sources, ""]
    return write_atomic(folder / PAGE, "\n".join(lines))
