"""What the commands that talk to a board do: load, classify, watch a folder, compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from ..boards.host import Board, Result
from ..hw.config import EngineConfig
from ..model.network import Network
from ..model.program import Program

log = Console(stderr=True)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".npy")
LOOK_S = 0.5  # how often a watched folder is looked at
VIRTUAL_PATIENCE_S = 300.0  # a simulated board on a busy computer is slow


@contextmanager
def loading(what: str) -> Iterator[Any]:
    """Show how much of a program has been written."""
    with Progress(console=log, disable=not log.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report


def best(network: Network, result: Result) -> tuple[int, str]:
    """Return the class with the largest score, and its name."""
    scores = result.outputs[network.output].reshape(-1)
    index = int(scores.argmax())
    return index, network.classes[index] if network.classes else str(index)


def figures_of(name: str, network: Network, result: Result) -> dict[str, Any]:
    """Return what is told of one picture, as JSON data."""
    index, label = best(network, result)
    return {
        "picture": name, "class": index, "label": label, "seconds": round(result.seconds, 6),
        "engine_seconds": round(result.engine_seconds, 9), "cycles": result.cycles,
        "counters": result.counters,
    }  # fmt: skip


def arrivals(folder: Path, *, pause: Callable[[float], None] = time.sleep) -> Iterator[Path]:
    """Yield the pictures of a folder, then those that come, once they no longer grow."""
    seen: set[Path] = set()
    sizes: dict[Path, int] = {}
    while True:
        for path in sorted(folder.iterdir()):
            if path in seen or path.suffix.lower() not in PICTURES:
                continue
            size = path.stat().st_size
            if size and sizes.get(path) == size:
                seen.add(path)
                yield path
            sizes[path] = size
        pause(LOOK_S)


def labelled_loader(network: str) -> Any:
    """Return the loader of a network of the zoo that has labelled pictures.

    Raises
    ------
    ValueError
        If it has none; the message lists those that do.
    """
    from ..model.zoo import MODELS

    if network not in MODELS or MODELS[network].labelled is None:
        known = ", ".join(name for name, loader in MODELS.items() if loader.labelled)
        raise ValueError(f"no labelled pictures of {network!r}: choose from {known}")
    return MODELS[network]


def classify(
    name: str, config: EngineConfig, port: str, count: int, *, terms: int, bits: int
) -> dict[str, Any]:
    """Run labelled pictures through the driver; compare every output with the golden model.

    Returns
    -------
    dict
        Pictures, right ones on the board and by the golden model, different outputs, cycles,
        seconds, and what went over the line.
    """
    from ..model import golden
    from ..model.compile import compile_network

    loader = labelled_loader(name)
    net = loader.load_quantized(terms, bits)
    labelled = loader.labelled(count)
    program: Program = compile_network(net, config)
    scores: list[np.ndarray] = []
    wanted: list[np.ndarray] = []
    cycles: list[int] = []
    begun = time.monotonic()
    with Board.open(port, patience_s=VIRTUAL_PATIENCE_S) as board:
        clock = board.info.clock_hz
        with loading(f"{len(program.image):,} bytes to the board") as report:
            board.load(program, net, report)
        loaded = time.monotonic()
        with Progress(console=log, disable=not log.is_terminal) as progress:
            for x in progress.track(labelled.x, description=f"{len(labelled.x)} pictures"):
                result = board.run(x.numpy(), counters=False)
                scores.append(result.outputs[net.output])
                wanted.append(golden.run(net, x[None])[net.output][0].numpy())
                cycles.append(result.cycles)
        traffic = board.link.traffic
    seconds = time.monotonic() - loaded
    different = sum(not np.array_equal(a, b) for a, b in zip(scores, wanted, strict=True))
    mean = sum(cycles) / len(cycles)
    return {
        "network": name, "terms": terms, "bits": bits, "engine": config.name,
        "pictures": len(scores), "different": different,
        "right": labelled.right(torch.tensor(np.stack(scores)).flatten(1)),
        "right_golden": labelled.right(torch.tensor(np.stack(wanted)).flatten(1)),
        "program_bytes": len(program.image), "memory_bytes": program.size,
        "cycles_per_picture": round(mean),
        "pictures_per_second_at_clock": round(clock / mean, 1), "clock_mhz": clock / 1e6,
        "load_seconds": round(loaded - begun, 1), "seconds": round(seconds, 1),
        "traffic": asdict(traffic),
    }  # fmt: skip
