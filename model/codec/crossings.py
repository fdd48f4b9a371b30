"""What crosses memory per picture: maps, as often as a program moves them, and codes' tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from ...hw.config import EngineConfig
from ..compile import compile_network
from ..network import Concat, Network
from .switched import SwitchedTable
from .table import TableCode


@dataclass(frozen=True)
class Crossing:
    """How one tensor crosses memory, per picture.

    Attributes
    ----------
    written, read : int
        Values, with all lanes of a word, and as often as they are: bands read what they share
        again, and so does every layer that reads the tensor.
    stores, loads : int
        Planes of tables loaded to write it, and to read it.
    rows : int
        Channels of a plane.
    """

    written: int
    read: int
    stores: int
    loads: int
    rows: int

    @property
    def values(self) -> int:
        """Values that cross."""
        return self.written + self.read

    def table_bytes(self, code: TableCode | SwitchedTable) -> int:
        """Return the bytes of tables that cross with it where it is stored in a code."""
        inward, outward = table_words(code)
        return self.rows * (self.stores * inward + self.loads * outward)


def with_codec(config: EngineConfig, network: Network) -> EngineConfig:
    """Return the engine with a codec for all codes and tables of a network."""
    planes = max(-(-code.channels // config.rows) for code in network.codes.values())
    return replace(
        config,
        codec_bits=max(code.bits for code in network.codes.values()),
        codec_planes=max(config.codec_planes, 1 << (planes - 1).bit_length()),
    )


def crossings(network: Network, config: EngineConfig) -> dict[str, Crossing]:
    """Return how a network's tensors cross memory; a concatenation takes its parts along.

    Parameters
    ----------
    network : Network
        With a code for every tensor whose tables are of interest. How often tables and values are
        moved does not depend on how many bits they have.
    config : EngineConfig
        What it is compiled for.
    """
    program = compile_network(network, config)
    plans = {plan.index: plan for plan in program.layers}
    counts: dict[str, Counter[str]] = {name: Counter() for name in program.places}
    for step in program.descriptors():
        plan = plans[step["layer"]]
        words = step["load_words"] * step["load_planes"] * step["load_groups"]
        share = config.rows * words // len(plan.inputs)
        for name in plan.inputs:
            counts[name].update(read=share, loads=step["levels_planes"] // len(plan.inputs))
        planes = -(-step["out_channels"] // config.rows)
        written = step["pixels"] * planes * config.rows
        counts[plan.output].update(written=written, stores=step["thresholds_planes"])
    for copy, name in program.copies.items():
        counts[name].update(counts.pop(copy))
    for layer in network.layers:
        if isinstance(layer, Concat):
            for part in layer.inputs:
                counts[layer.output].update(counts[part])
    return {
        name: Crossing(c["written"], c["read"], c["stores"], c["loads"], config.rows)
        for name, c in counts.items()
    }


def table_words(code: TableCode | SwitchedTable) -> tuple[int, int]:
    """Return the bytes per channel of a code's tables as circuits hold them: to write, to read.

    A plain table has 2^k entries each way, of which the encoder leaves one unused. S tables have
    as many each; beside each level its range is held, and the encoder has 2 tables of its own: the
    values, S (S - 1) of them at most, at which the next range changes, and what it then is for
    each range of the left one.
    """
    entries = 1 << code.bits
    if isinstance(code, TableCode):
        return entries, entries
    many, bits = 1 << code.ranges.bits, code.ranges.bits
    edges = 1 << (many * (many - 1)).bit_length()
    inward = many * entries + edges * (1 + -(-many * bits // 8))
    return inward, many * (entries + -(-entries // (8 // bits)))


def loaded_bytes(code: Any) -> int:
    """Return the bytes of any code's tables as an engine loads them, to write and to read once."""
    if isinstance(code, TableCode | SwitchedTable):
        return code.channels * sum(table_words(code))
    return getattr(code, "table_bits", 0) // 8
