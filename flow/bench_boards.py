"""A board's whole design built and simulated with ResNet8: a row of ``shiftwork bench``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..boards.top import Board
from .boards_run import classify
from .build import build
from .peers import BITS, NETWORK, TERMS, picture_figures
from .tools import ToolError
from .virtual import VirtualRun, build_virtual


def terms_for(board: Board, most: int = TERMS) -> int:
    """Return the largest N with which ResNet8 runs in a board's memory.

    Raises
    ------
    ValueError
        If it does not fit even with one term.
    """
    from ..model.compile import compile_network
    from ..model.zoo import MODELS

    needed = 0
    for terms in range(most, 0, -1):
        program = compile_network(MODELS[NETWORK].load_quantized(terms, BITS), board.config)
        needed = program.size
        if needed <= board.memory_bytes:
            return terms
    raise ValueError(
        f"{NETWORK} needs {needed:,} bytes and {board.name} has {board.memory_bytes:,}: "
        "leave the board out"
    )


def bench_board(board: Board, out_dir: Path, pictures: int = 1) -> dict[str, Any]:
    """Build a board's bitstream and classify pictures on its simulation, through the driver.

    Parameters
    ----------
    board : Board
        Its whole design counts: engine, memory, link.
    out_dir : Path
        Gets the bitstream.
    pictures : int
        To classify; cycles are their mean.

    Returns
    -------
    dict
        A row like those of `bench_presets`, its clock the one the board runs at.

    Raises
    ------
    ToolError
        If a tool fails, or an output differs from the golden model.
    ValueError
        If the network does not fit.
    """
    terms = terms_for(board)
    with VirtualRun(build_virtual(board)) as virtual:
        found = classify(NETWORK, board.config, virtual.port, pictures, terms=terms, bits=BITS)
    if found["different"]:
        raise ToolError(
            f"{found['different']} outputs of {board.name} differ from the golden model"
        )
    built = build(board, out_dir)
    engine = "serial engine" if board.serial else board.config.name
    return {
        "preset": f"{engine}, whole board", "how": "simulated", "target": board.name,
        "lanes": board.config.lanes, "verilog_bytes": None, **asdict(built.area),
        "fmax_mhz": built.clock_mhz, "terms": terms,
        **picture_figures(found["cycles_per_picture"], built.area.lut, built.clock_mhz),
    }  # fmt: skip
