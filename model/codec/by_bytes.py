"""The least loss for the bytes that cross memory: plain tables, and such that a neighbour switches.

At as many bits per value S tables lose less than one, but their tables, too, are read from memory
once per picture by what writes a map, and once by what reads it. So a way to store a map is worth
what it loses, and costs all the bytes that it moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...hw.config import EngineConfig
from ..graph import Graph, MaxPoolNode
from ..mixed import divergences
from .crossings import Crossing, crossings, with_codec
from .learned_rows import PICTURES, neighbour_rows
from .levels import best_tables
from .measure import losses
from .options import profiles
from .place import code_network
from .switched import SwitchedTable, gathered
from .table import TableCode

if TYPE_CHECKING:
    from .bench import Bench, Row

SUBSET, EVERY = "SQ2", "ALL"
RANGES = (1, 2)  # 2 and 4 tables, as powers of two
BITS = (2, 3, 4, 5)  # of their codes
POINTS = (4, 3.5, 3, 2.5, 2.1)  # most bits per value, tables counted: with them 2 bits are more
UNITS = 8192  # parts of the bytes that may be used: a way's are rounded up to one
PLAIN, MIXED = "plain tables", "plain or switched tables"


@dataclass(frozen=True, eq=False)
class Way:
    """One way to store one map.

    Attributes
    ----------
    codes : dict[str, TableCode or SwitchedTable]
        By tensor: of a map behind max pooling the tensor before it too.
    map_bytes, table_bytes : int
        That cross memory per picture.
    loss : float
        In nats, of this map alone.
    """

    codes: dict[str, TableCode | SwitchedTable]
    map_bytes: int
    table_bytes: int
    loss: float = 0.0

    @property
    def total(self) -> int:
        """All bytes."""
        return self.map_bytes + self.table_bytes

    @property
    def ranges(self) -> int:
        """Tables per channel."""
        first = next(iter(self.codes.values()), None)
        return 1 << first.ranges.bits if isinstance(first, SwitchedTable) else 1

    def units(self, most: int) -> int:
        """Return its share of so many bytes, in UNITS."""
        return -(-self.total * UNITS // most)


@dataclass(frozen=True)
class ByteRow:
    """One code, or what was chosen per map, by the bytes it moves.

    Attributes
    ----------
    row : Row
        On the labelled pictures.
    map_bytes, table_bytes : int
        That cross memory per picture.
    wanted : float or None
        Most bits per value of a choice, tables counted.
    held : float or None
        Divergence on held-out crops that no code was measured on.
    switched : dict[str, tuple of int]
        Maps that are not in plain tables: tables per channel, and bits of a code.
    gain, error : float or None
        Of a choice among more: by how much its divergence on the labelled pictures is below that
        of plain tables, the mean of the pictures' differences, and its standard error.
    held_gain, held_error : float or None
        The same on the crops.
    """

    row: Row
    map_bytes: int
    table_bytes: int
    wanted: float | None = None
    held: float | None = None
    switched: dict[str, tuple[int, int]] | None = None
    gain: float | None = None
    error: float | None = None
    held_gain: float | None = None
    held_error: float | None = None

    @property
    def total(self) -> int:
        """All bytes."""
        return self.map_bytes + self.table_bytes


def pooled(graph: Graph, names: Sequence[str]) -> dict[str, str]:
    """Return which tensor lies before the max pooling that a map comes from, where one does."""
    before = {
        node.output: node.inputs[0] for node in graph.nodes if isinstance(node, MaxPoolNode)
    }  # fmt: skip
    return {name: before[name] for name in names if before.get(name, graph.input) != graph.input}


def least_loss(ways: Mapping[str, Sequence[Way]], most: int) -> dict[str, Way]:
    """Return a way for each map, with the least loss in all for at most so many bytes.

    Raises
    ------
    ValueError
        If even the smallest ways take more.
    """
    best = np.zeros(UNITS + 1)
    taken = []
    for several in ways.values():
        found = np.full(UNITS + 1, np.inf)
        which = np.zeros(UNITS + 1, np.int16)
        for number, way in enumerate(several):
            size = way.units(most)
            if size > UNITS:
                continue
            total = best[: UNITS + 1 - size] + way.loss
            better = total < found[size:]
            found[size:][better] = total[better]
            which[size:][better] = number
        best = found
        taken.append(which)
    if not np.isfinite(best[UNITS]):
        raise ValueError(f"maps cannot be stored in {most} bytes: there is no way small enough")
    at = UNITS
    chosen: dict[str, Way] = {}
    for name, which in reversed(list(zip(ways, taken, strict=True))):
        chosen[name] = way = ways[name][which[at]]
        at -= way.units(most)
    return {name: chosen[name] for name in ways}


class ByBytes:
    """Chooses and judges by bytes.

    Parameters
    ----------
    bench : Bench
        Its tables are the plain ones.
    config : EngineConfig
        What programs are compiled for.
    """

    def __init__(self, bench: Bench, config: EngineConfig) -> None:
        self.bench = bench
        self.names = bench.sets[EVERY]
        coded = code_network(
            bench.integer, {n: bench.fitted[n]["weighted"][4] for n in self.names}
        )  # fmt: skip
        self.crossings = crossings(coded, with_codec(config, coded))
        self.before = pooled(bench.network.graph, self.names)
        self.judges = bench.held[bench.plan.measured :]
        self.reference = bench.network.scores(self.judges, {})

    def values(self, names: Sequence[str]) -> int:
        """Return how many values of some maps cross memory per picture."""
        tensors = [*names, *(self.before[n] for n in names if n in self.before)]
        return sum(self.crossings[tensor].values for tensor in tensors)

    def way(self, name: str, code: TableCode | SwitchedTable) -> Way:
        """Return the way that stores a map in a code.

        Before max pooling the code is that of what is pooled, and the maxima, of which only levels
        are left, are stored in a plain table of all levels: nothing more is lost.
        """
        if name not in self.before:
            return self._sized({name: code})
        return self._sized({self.before[name]: code, name: every_level(code)})

    def _sized(self, codes: dict[str, TableCode | SwitchedTable]) -> Way:
        maps = tables = 0
        switched = any(isinstance(code, SwitchedTable) for code in codes.values())
        for tensor, code in codes.items():
            crossing: Crossing = self.crossings[tensor]
            maps += -(-crossing.values * code.bits // 8)
            if switched and isinstance(code, TableCode):
                # no table of the tensor before, which is there already
                crossing = replace(crossing, loads=crossing.stores)
            tables += crossing.table_bytes(code)
        return Way(codes, maps, tables)

    def plain(self) -> dict[str, list[Way]]:
        """Return the ways with plain tables, and as it is, of each map."""
        found: dict[str, list[Way]] = {}
        for name in self.names:
            ways = [replace(self.way(name, o.code), loss=o.loss) for o in self.bench.options[name]]
            found[name] = [*ways, Way({}, self.values([name]), 0)]
        return found

    def switched(self) -> dict[str, list[Way]]:
        """Return the ways with tables that the left neighbour switches."""
        bench = self.bench
        names = {self.before.get(name, name): name for name in self.names}
        known = {n: bench.profiles[n] for n in self.names if n not in self.before}
        known |= profiles(bench.network, bench.crops, list(self.before.values()), bench.seed)
        ways: dict[str, list[Way]] = {}
        found = gathered(bench.network, bench.crops[:PICTURES], known)
        for done, (tensor, neighbours) in enumerate(found, start=1):
            weights = known[tensor].weights
            parts, tables = best_tables(weights, RANGES), best_tables(weights, BITS)
            ways[names[tensor]] = several = []
            for r, k in product(RANGES, BITS):
                if not self.worth_it(names[tensor], parts[r], k):
                    continue
                code = neighbours.switched(k, tables[k], parts[r])
                for each in (code, neighbours.means(code, tables[k])):
                    several.append(self.way(names[tensor], each))
            bench.tell("fit switched tables", done, len(known))
        lost = losses(
            bench.network,
            {name: [way.codes for way in several] for name, several in ways.items() if several},
            bench.held[: bench.plan.measured],
            lambda done, total: bench.tell("measure switched tables", done, total),
        )
        return {
            name: [replace(way, loss=loss) for way, loss in zip(ways[name], found, strict=True)]
            for name, found in lost.items()
        }

    def worth_it(self, name: str, ranges: TableCode, bits: int) -> bool:
        """Return whether tables so switched take fewer bytes than a plain one of one bit more."""
        many = ranges.channels << ranges.bits
        switched = self.way(name, SwitchedTable(ranges, _blank(many, bits)))
        plain = self.way(name, _blank(ranges.channels, bits + 1))
        return switched.total < plain.total

    def subset_rows(self) -> Iterator[ByteRow]:
        """Yield the best codes of the subset of maps, of every kind but planes."""
        bench = self.bench
        values = self.values(bench.sets[SUBSET])
        for rows in (
            bench.lossless_rows(SUBSET), bench.table_rows(SUBSET), bench.pair_rows(SUBSET),
            neighbour_rows(bench, SUBSET),
        ):  # fmt: skip
            for row in rows:
                yield ByteRow(row, round(values * row.bits / 8), row.loaded_bytes)

    def chosen_rows(self) -> Iterator[ByteRow]:
        """Yield what is chosen per map, for as many bytes with and without switched tables."""
        plain = self.plain()
        switched = self.switched()
        both = {name: [*several, *switched.get(name, ())] for name, several in plain.items()}
        values = self.values(self.names)
        for done, point in enumerate(POINTS, start=1):
            most = int(values * point / 8)
            first, alone = self._row(PLAIN, point, least_loss(plain, most))
            yield first
            second, beside = self._row(MIXED, point, least_loss(both, most))
            gains = [_mean(one - other) for one, other in zip(alone, beside, strict=True)]
            yield replace(
                second, gain=gains[0][0], error=gains[0][1], held_gain=gains[1][0],
                held_error=gains[1][1],
            )  # fmt: skip
            self.bench.tell("choices by bytes", done, len(POINTS))

    def _row(
        self, code: str, wanted: float, chosen: Mapping[str, Way]
    ) -> tuple[ByteRow, tuple[torch.Tensor, torch.Tensor]]:
        """Return the row of a choice, and the divergence of each labelled picture and crop."""
        bench, network = self.bench, self.bench.network
        codes = {tensor: code for way in chosen.values() for tensor, code in way.codes.items()}
        maps, tables = (
            sum(way.map_bytes for way in chosen.values()),
            sum(way.table_bytes for way in chosen.values()),
        )
        bits = 8 * (maps + tables) / self.values(self.names)
        scores = network.scores(bench.pictures.x, codes)
        each = (
            divergences(bench.reference, scores),
            divergences(self.reference, network.scores(self.judges, codes)),
        )
        row = bench.row(EVERY, code, bits, codes, scores=scores)
        switched = {
            name: (way.ranges, next(iter(way.codes.values())).bits)
            for name, way in chosen.items() if way.ranges > 1
        }  # fmt: skip
        return ByteRow(row, maps, tables, wanted, float(each[1].mean()), switched), each


def every_level(code: TableCode | SwitchedTable) -> TableCode:
    """Return a plain code of values that were read back, which keeps each of them."""
    bits, levels = code.bits, code.tables.levels if isinstance(code, SwitchedTable) else code.levels
    if isinstance(code, SwitchedTable):
        bits += code.ranges.bits
        levels = levels.view(code.channels, -1).sort(1).values
    return TableCode(bits, levels[:, 1:].contiguous(), levels)


def _blank(channels: int, bits: int) -> TableCode:
    """Return a code of some size, to count its bytes."""
    entries = torch.zeros(channels, 1 << bits, dtype=torch.uint8)
    return TableCode(bits, entries[:, 1:], entries)


def _mean(each: torch.Tensor) -> tuple[float, float]:
    """Return a mean and its standard error."""
    return float(each.mean()), float(each.std() / len(each) ** 0.5)
