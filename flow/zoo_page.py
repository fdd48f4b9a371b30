"""The zoo's figures as a page: ``make zoo-page`` writes docs/reference/zoo.md after sim-zoo."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..model.zoo import MODELS
from .files import write_atomic

_CAUSES = {"wait_weights": "weights", "wait_load": "loading", "wait_drain": "draining",
           "wait_other": "other"}  # fmt: skip

_CODED = ("With coded maps: every map but input and outputs, by tables fitted to the calibration",
          "pictures, which are part of the program.")  # fmt: skip
_ZEROS = ("Maps without zeros: those that are smaller so on calibration pictures. It is lossless.",)


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return a Markdown table, all but the first column to the right."""
    names = list(head)
    return [
        f"| {' | '.join(names)} |",
        f"|---|{'---:|' * (len(names) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _error(predicted: int, counted: int) -> str:
    return f"{predicted / counted - 1:+.2%}" if counted else ""


def zoo_page(report: dict[str, Any]) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    report : dict
        Of ``shiftwork sim-zoo``.
    """
    config, latency = report["config"], report["latency"]
    ran = [net for net in report["networks"] if not net["refused"]]
    weights = f"N = {report['terms']}, B = {report['bits']}"
    if config["arithmetic"] != "shift":
        weights = f"{config['arithmetic']} weights"
    engine = (
        f"Engine `{config['name']}` ({config['rows']} x {config['cols']} lanes), "
        f"{weights}, {report['simulator'].capitalize()}."
    )
    memory = (
        f"The memory moves {config['bus_bits'] // 8} bytes per cycle each way, "
        f"{latency['read']} cycles after a request."
    )
    lines = [
        "# The zoo on the engine",
        "",
        "Written by `make sim-zoo` and `make zoo-page`. Every network runs as a whole through the",
        "emitted Verilog, from one program in memory, without the host; every byte of every",
        "layer's output is compared with the golden model as it is written.",
        "",
        engine,
        memory,
        "Ideal cycles are MACs x passes / lanes; utilisation is ideal cycles over cycles; kHz are",
        "simulated cycles per second of CPU time.",
        *(_CODED if any(net.get("table_bytes") for net in ran) else ()),
        *(_ZEROS if any(net.get("without_zeros") for net in ran) else ()),
        "",
        *_table(
            ("network", "layers", "MMAC", "cycles", "ideal", "utilisation", "CPU s", "kHz",
             "bytes compared", "wrong"),
            (
                (net["network"], str(net["layers"]), f"{net['macs'] / 1e6:.1f}",
                 _number(net["cycles"]), _number(net["ideal_cycles"]),
                 f"{net['utilisation']:.1%}", f"{net['cpu_seconds']:.1f}",
                 _number(net["cycles_per_second"] / 1e3), _number(net["values"]),
                 str(net["mismatches"]))
                for net in ran
            ),
        ),
        "Cycles without a beat on the array, by what is waited for; *other* is mostly the fill and",
        "the last output of each layer. Memory of the feature maps: as compiled, and if each had",
        "its own.",
        "",
        *_table(
            ("network", *_CAUSES.values(), "kB of maps", "kB apart", "kB of program"),
            (
                (net["network"], *(_number(net["stalls"][cause]) for cause in _CAUSES),
                 _number(net["peak_map_bytes"] / 1e3), _number(net["unshared_map_bytes"] / 1e3),
                 _number(net["program_bytes"] / 1e3))
                for net in ran
            ),
        ),
        "What the cycle model (`shiftwork.model.cycles`) predicts without a simulation, and how",
        "far that is from what the engine counted:",
        "",
        *_table(
            ("network", "cycles", "error", "bytes read", "error", "bytes written", "error"),
            (
                (net["network"], _number(net["predicted_cycles"]),
                 _error(net["predicted_cycles"], net["cycles"]), _number(net["predicted_read"]),
                 _error(net["predicted_read"], net["bytes_read"]),
                 _number(net["predicted_written"]),
                 _error(net["predicted_written"], net["bytes_written"]))
                for net in ran
            ),
        ),
        "Where the cycles go: the layers that take most cycles beyond the ideal ones, with their",
        "stalls by cause. What is neither ideal nor stalled is lanes that a layer's shape leaves",
        "idle.",
        "",
        *_table(
            ("network", "layer", "cycles", "ideal", "with a beat", *_CAUSES.values()),
            (
                (net["network"], layer["name"], _number(layer["cycles"]),
                 _number(layer["ideal_cycles"]), _number(layer["compute"]),
                 *(_number(layer["stalls"][cause]) for cause in _CAUSES))
                for net in ran for layer in net["costly"]
            ),
        ),
    ]  # fmt: skip
    for net in report["networks"]:
        if net["refused"]:
            lines += [f"`{net['network']}` is refused: {net['refused']}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def update(page: Path, source: Path) -> None:
    """Write the page of the documentation.

    Parameters
    ----------
    page : Path
        docs/reference/zoo.md.
    source : Path
        report.json of ``shiftwork sim-zoo``.

    Raises
    ------
    ValueError
        If the report is missing, lacks a network of the zoo, or one was not bit-exact.
    """
    if not source.exists():
        raise ValueError(f"no such file: {source}; make sim-zoo writes it")
    report = json.loads(source.read_text(encoding="utf-8"))
    exact = {net["network"] for net in report["networks"] if net["bit_exact"]}
    if lacking := [name for name in MODELS if name not in exact]:
        raise ValueError(f"{source}: not there or not bit-exact: {', '.join(lacking)}")
    write_atomic(page, zoo_page(report))


if __name__ == "__main__":
    update(Path("docs/reference/zoo.md"), Path("build/zoo/report.json"))
