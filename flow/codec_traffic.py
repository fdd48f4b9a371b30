"""What codes for feature maps save in memory and in traffic to it, as compiled for an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..hw.config import preset
from ..model.codec.crossings import with_codec
from ..model.codec.place import code_network
from ..model.codec.table import TableCode
from ..model.compile import compile_network
from ..model.cycles import predict_cycles
from ..model.network import Network
from .energy_cost import DRAM, SOURCE
from .files import write_atomic, write_json
from .tables import markdown_table

PRESET = "base"
PREFACE = f"""\
## Memory and traffic

The network of N = 2, B = 4 compiled for `{PRESET}`, with a codec where maps are coded: bytes per
picture as the program and the cycle model have them, which `shiftwork sim-zoo` compares with the
Verilog's counters ([memory](memory.md)). What is read includes weights and the codec's tables.
mJ: what is read and written, at {DRAM:.1f} pJ per bit of DRAM ({SOURCE}).
"""


@dataclass(frozen=True)
class Traffic:
    """One network's program with some codes.

    Attributes
    ----------
    codes : str
    map_bytes, unshared_bytes : int
        Memory of the feature maps: as it is, and if each had its own.
    table_bytes : int
        Of the codec's tables in the program.
    read, written : int
        Bytes per picture.
    cycles : int
    codec_bits, codec_planes : int
        What the engine was built with; 0 without a codec.
    """

    codes: str
    map_bytes: int
    unshared_bytes: int
    table_bytes: int
    read: int
    written: int
    cycles: int
    codec_bits: int = 0
    codec_planes: int = 0

    @property
    def millijoules(self) -> float:
        """Energy of the traffic per picture."""
        return 8 * (self.read + self.written) * DRAM * 1e-9


def measure_traffic(
    network: Network,
    choices: Mapping[str, Mapping[str, TableCode]],
    tell: Callable[[str, int, int], None] | None = None,
) -> list[Traffic]:
    """Return the network's traffic without codes, then with each choice of codes.

    Parameters
    ----------
    network : Network
    choices : Mapping[str, Mapping[str, TableCode]]
        What to call it, to codes by name of map.
    tell : callable, optional
        Called with what is done, how much of it, and how much there is.
    """
    found = []
    jobs = {"values of 8 bits": {}, **choices}
    for number, (name, codes) in enumerate(jobs.items(), start=1):
        config = preset(PRESET)
        coded = code_network(network, codes) if codes else network
        if codes:
            config = with_codec(config, coded)
        program = compile_network(coded, config)
        predicted = predict_cycles(program, config)
        found.append(
            Traffic(
                name, program.peak_map_bytes, program.unshared_map_bytes, program.table_bytes,
                predicted.bytes_read, predicted.bytes_written, predicted.cycles,
                config.codec_bits, config.codec_planes if config.codec_bits else 0,
            )
        )  # fmt: skip
        if tell:
            tell("programs", number, len(jobs))
    return found


def to_markdown(rows: Sequence[Traffic]) -> str:
    """Return the section of a page."""
    cells = [
        (
            row.codes,
            *(
                f"{count:,}"
                for count in (
                    row.map_bytes, row.unshared_bytes, row.table_bytes, row.read, row.written,
                    row.cycles,
                )
            ),
            str(row.codec_bits or ""),
            str(row.codec_planes or ""),
            f"{row.millijoules:.3f}",
        )
        for row in rows
    ]  # fmt: skip
    columns = (
        "maps", "shared", "own memory for each", "tables", "read", "written", "cycles",
        "`codec_bits`", "`codec_planes`", "mJ",
    )  # fmt: skip
    return "\n".join([PREFACE, *markdown_table(columns, cells), ""])


def write_measured(
    network: str, rows: Sequence[Any], traffic: Sequence[Traffic], tables: str, folder: Path
) -> tuple[dict[str, Any], str]:
    """Write ``codec.json`` and ``codec.md`` of a network; return what is in them.

    Parameters
    ----------
    network : str
    rows : sequence of dataclass instances
        What was measured of each code.
    traffic : sequence of Traffic
    tables : str
        The rows as Markdown; the section of memory and traffic comes behind.
    folder : Path
    """
    document = {
        "network": network,
        "rows": [asdict(row) for row in rows],
        "traffic": [asdict(row) | {"millijoules": row.millijoules} for row in traffic],
    }
    text = "\n".join([tables, to_markdown(traffic)])
    write_json(folder / "codec.json", document)
    write_atomic(folder / "codec.md", text)
    return document, text
