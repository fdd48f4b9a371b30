"""The codec's circuits, and whole engines with them: area and clock; area in standard cells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring
from rich.table import Table

from ..hw.codec.decoder import Decoder
from ..hw.codec.encoder import Encoder
from ..hw.codec.packer import Packer
from ..hw.codec.plane_code import PlaneShape
from ..hw.codec.plane_decoder import PlaneDecoder
from ..hw.codec.plane_encoder import PlaneEncoder
from ..hw.codec.switched import edge_bits, range_bits
from ..hw.codec.switched_decoder import SwitchedDecoder
from ..hw.codec.switched_encoder import SwitchedEncoder
from ..hw.codec.unpacker import Unpacker
from ..hw.codec.zero_decoder import ZeroDecoder
from ..hw.codec.zero_encoder import ZeroEncoder
from ..hw.config import EngineConfig
from .emit import emit
from .files import write_atomic, write_json
from .progress import Stages
from .synth import ECP5_25F, Target, synthesise, target_for
from .tools import ToolError, run_tool

LANES, ACT_BITS, CODE_BITS, BUS_BITS = 16, 8, 4, 64
UNIT = LANES // 8  # bytes of a coded word's unit, see `hw.codec.layout.unit_bytes`
LIBERTY = "/usr/share/qflow/tech/osu018/osu018_stdcells.lib"
GATE = "NAND2X1"  # one gate equivalent

#: Tables of a channel that the left neighbour switches, and planes of them: as many tables in all
#: as an engine has planes by default, at last.
SWITCHED = {"_2": (2, 1), "_4": (4, 1), "_4x16": (4, 16)}

#: Plane codes: of all channels together a word in 16 cycles, and of groups of 4 a word per cycle.
PLANES = {
    "_16": PlaneShape(lanes=LANES, act_bits=ACT_BITS, bits=CODE_BITS, cycles=16),
    "_g4": PlaneShape(lanes=LANES, act_bits=ACT_BITS, bits=CODE_BITS, group=4),
}

#: What whole engines are measured with.
STORAGE: tuple[dict[str, Any], ...] = ({}, {"codec_bits": CODE_BITS}, {"zero_maps": True})

#: Published figures of EBPC (Cavigelli, Rutishauser and Benini, "EBPC: Extended bit-plane
#: compression for deep neural network inference and training accelerators", 2019): of one 8-bit
#: word a cycle, its FIFOs included.
EBPC = {
    "encoder": {"lut": 784, "fmax_mhz": 85.0, "kge": 3.8},
    "decoder": {"lut": 974, "fmax_mhz": 85.0, "kge": 4.0},
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One circuit.

    Attributes
    ----------
    name : str
    words : float
        Pixel words of `LANES` values it takes or gives per cycle, at most.
    tables : int
        Bits of its tables, or of its weights and thresholds.
    flat : bool
        Whether it is also mapped to standard cells with its tables in flip-flops: no chip would
        have more than a plane there.
    make : callable
        Returns the component.
    """

    name: str
    words: float
    tables: int
    flat: bool = True
    make: Callable[[], wiring.Component]


def blocks() -> list[Block]:
    """Return the circuits of a codec of 16 channels, 8 bits and k = 4 on a bus of 64 bits."""
    codes = 1 << CODE_BITS
    bits = LANES * ACT_BITS
    units = BUS_BITS // 8 // UNIT
    return [
        Block(name="encoder", words=1, tables=bits * (codes - 1),
              make=lambda: Encoder(LANES, ACT_BITS, CODE_BITS, 1)),
        Block(name="decoder", words=1, tables=bits * codes,
              make=lambda: Decoder(LANES, ACT_BITS, CODE_BITS, 1)),
        Block(name="encoder_64", words=1, flat=False, tables=64 * bits * (codes - 1),
              make=lambda: Encoder(LANES, ACT_BITS, CODE_BITS, 64)),
        Block(name="decoder_64", words=1, flat=False, tables=64 * bits * codes,
              make=lambda: Decoder(LANES, ACT_BITS, CODE_BITS, 64)),
        Block(name="packer", words=1, tables=0, make=lambda: Packer(8 * UNIT, units, CODE_BITS)),
        Block(name="unpacker", words=1, tables=0,
              make=lambda: Unpacker(8 * UNIT, units, CODE_BITS)),
        Block(name="zero_encoder", words=1, tables=0,
              make=lambda: ZeroEncoder(LANES, ACT_BITS, BUS_BITS)),
        Block(name="zero_decoder", words=1, tables=0,
              make=lambda: ZeroDecoder(LANES, ACT_BITS, BUS_BITS)),
        *switched_blocks(),
        *plane_blocks(),
    ]  # fmt: skip


def switched_blocks() -> list[Block]:
    """Return encoders and decoders of tables that the left neighbour switches."""
    codes = 1 << CODE_BITS
    found: list[Block] = []
    for suffix, (tables, planes) in SWITCHED.items():
        sizes = (LANES, ACT_BITS, CODE_BITS, planes, tables)
        stretches, ranges = 1 << edge_bits(tables), range_bits(tables)
        searched = (tables * (codes - 1) + stretches - 1) * ACT_BITS
        found += [
            Block(name=f"switched_encoder{suffix}", words=1, flat=planes == 1,
                  tables=LANES * planes * (searched + stretches * tables * ranges),
                  make=partial(SwitchedEncoder, *sizes)),
            Block(name=f"switched_decoder{suffix}", words=1, flat=planes == 1,
                  tables=LANES * planes * tables * codes * (ACT_BITS + ranges),
                  make=partial(SwitchedDecoder, *sizes)),
        ]  # fmt: skip
    return found


def plane_blocks() -> list[Block]:
    """Return encoders and decoders of the paper's plane codes, as wide."""
    return [
        Block(name=f"plane_{kind}{suffix}", words=1 / shape.cycles, flat=False,
              tables=shape.row_bits(inward=kind == "encoder"), make=partial(make, shape))
        for suffix, shape in PLANES.items()
        for kind, make in (("encoder", PlaneEncoder), ("decoder", PlaneDecoder))
    ]  # fmt: skip


def measure(block: Block, folder: Path, target: Target = ECP5_25F) -> dict[str, Any]:
    """Emit one circuit, place it in a harness of registers, and map it to standard cells.

    Returns
    -------
    dict
        ``lut``, ``ff``, ``bram``, ``fmax_mhz`` on ECP5; ``kge`` in standard cells, tables in
        flip-flops, and ``kge_logic`` without the tables' memories; null without the library.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    top = f"codec_{block.name}"
    text = verilog.convert(block.make(), name=top, strip_internal_attrs=True, emit_src=False)
    path = write_atomic(folder / f"{top}.v", text)
    placed = synthesise(path, top, target=target)
    row: dict[str, Any] = {
        "name": block.name, "words_per_cycle": block.words, "table_bits": block.tables,
        "target": placed.target, **asdict(placed.area), "fmax_mhz": round(placed.fmax_mhz, 1),
        "kge": None, "kge_logic": None,
    }  # fmt: skip
    library = _library()
    if library.exists():
        row["kge_logic"] = gates(path, top, library, folder, memories=False)
        if block.flat:
            row["kge"] = gates(path, top, library, folder, memories=True)
    return row


def _library() -> Path:
    """Return the Liberty file that is asked for, or where the usual one would be.

    Raises
    ------
    ValueError
        If there is none where ``SHIFTWORK_LIBERTY`` says.
    """
    given = os.environ.get("SHIFTWORK_LIBERTY")
    if given is not None and not Path(given).is_file():
        raise ValueError(
            f"SHIFTWORK_LIBERTY={given}: no such file; name a Liberty file or unset it"
        )
    return Path(LIBERTY if given is None else given)


def gates(path: Path, top: str, library: Path, folder: Path, *, memories: bool) -> float:
    """Return a module's area in thousands of NAND gates.

    Parameters
    ----------
    memories : bool
        Map memories to flip-flops; otherwise they are left out.

    Raises
    ------
    ToolError
        If Yosys fails, or prints no area.
    """
    name = f"{top}.{'all' if memories else 'logic'}"
    out = folder / f"{name}.stat"
    mapped = "memory_map" if memories else "memory_nordff"
    script = (
        f"read_verilog {path.resolve()}; hierarchy -top {top}; proc; flatten; opt; wreduce; "
        f"peepopt; opt_clean; alumacc; opt; memory -nomap; {mapped}; opt -full; techmap; opt; "
        f"dfflibmap -liberty {library}; abc -liberty {library}; opt_clean; "
        f"tee -o {out.resolve()} stat -liberty {library}"
    )
    run_tool("yosys", ["-q", "-p", script], cwd=folder, log=folder / f"{name}.log")
    found = re.search(r"Chip area for (?:top )?module .*: ([0-9.]+)", out.read_text("utf-8"))
    if not found:
        raise ToolError(f"yosys printed no area of {top}, see {out}")
    return round(float(found[1]) / cell_area(library, GATE) / 1000, 2)


def cell_area(library: Path, cell: str) -> float:
    """Return a cell's area as a Liberty file gives it.

    Raises
    ------
    ValueError
        If there is no such cell.
    """
    text = library.read_text("utf-8", "replace")
    found = re.search(
        rf"cell\s*\(\s*\"?{cell}\"?\s*\)\s*\{{.*?area\s*:\s*([0-9.]+)", text, re.DOTALL
    )
    if not found:
        raise ValueError(f"{library} has no cell {cell}")
    return float(found[1])


def measure_engine(config: EngineConfig, storage: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Emit an engine with some changes, place it, and return its area and clock.

    Raises
    ------
    ToolError
        If a tool fails, or the engine does not fit.
    """
    config = config.replace(**storage)
    emitted = emit(config, folder)
    placed = synthesise(emitted.verilog, emitted.top, target=target_for(config))
    return {
        "name": config.name, "storage": storage, "target": placed.target, **asdict(placed.area),
        "fmax_mhz": round(placed.fmax_mhz, 1),
    }  # fmt: skip


def bench_codec(
    out_dir: Path, stages: Stages, engines: Sequence[EngineConfig] = ()
) -> dict[str, Any]:
    """Measure every circuit, and engines with and without a codec; write ``codec.json``.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    ValueError
        If ``SHIFTWORK_LIBERTY`` names no Liberty file with a cell to count in.
    """
    if (library := _library()).exists():
        cell_area(library, GATE)  # before any work
    rows: list[dict[str, Any]] = []
    for block in blocks():
        with stages.stage(f"Codec {block.name}", block.name):
            rows.append(measure(block, out_dir / "rtl"))
    whole: list[dict[str, Any]] = []
    for config in engines:
        for number, storage in enumerate(STORAGE):
            title = f"Engine {config.name} {told(storage)}"
            with stages.stage(title, f"{config.name}{number}"):
                whole.append(measure_engine(config, storage, out_dir / "engines" / str(number)))
    report = {
        "lanes": LANES, "act_bits": ACT_BITS, "code_bits": CODE_BITS, "bus_bits": BUS_BITS,
        "library": _library().stem if _library().exists() else None, "blocks": rows, "ebpc": EBPC,
        "engines": whole,
    }  # fmt: skip
    write_json(out_dir / "codec.json", report)
    return report


def told(storage: dict[str, Any]) -> str:
    """Return an engine's changes in words."""
    return ", ".join(f"{name}={str(value).lower()}" for name, value in storage.items()) or "plain"


def to_table(report: dict[str, Any]) -> Table:
    """Return the report as a table for the terminal."""
    names = ("name", "words_per_cycle", "table_bits", "lut", "ff", "bram", "fmax_mhz", "kge_logic",
             "kge")  # fmt: skip
    table = Table()
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "name" else "right")
    for row in report["blocks"]:
        table.add_row(*("" if row[n] is None else f"{row[n]:,}" if n != "name" else row[n]
                        for n in names))  # fmt: skip
    for name, row in report["ebpc"].items():
        values = {"name": f"EBPC {name} (published)", "words_per_cycle": 1 / LANES, **row}
        table.add_row(*(str(values.get(n, "")) for n in names))
    for row in report["engines"]:
        values = {**row, "name": f"{row['name']}, {told(row['storage'])}"}
        table.add_row(*(str(values.get(n, "")) for n in names))
    return table
