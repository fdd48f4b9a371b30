"""The bench's log of events: wrong and stray writes, broken rules, totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Beat:
    """One write beat in trouble: cycle, byte address of the word, hex digits, bit per bad lane."""

    cycle: int
    address: int
    data: str
    lanes: int

    def bytes(self) -> Iterator[tuple[int, int | None]]:
        """Give (lane, byte) of the bad lanes; None where bits are undefined."""
        for lane in range(len(self.data) // 2):
            if self.lanes >> lane & 1:
                end = len(self.data) - 2 * lane
                digits = self.data[end - 2 : end]
                yield lane, None if set(digits.lower()) & set("xz") else int(digits, 16)


@dataclass
class Events:
    """All of one run."""

    wrong: list[Beat] = field(default_factory=list)
    strays: list[Beat] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    pending: int | None = None
    read_beats: int = 0
    write_beats: int = 0
    wrong_beats: int = 0
    stray_beats: int = 0
    broken_rules: int = 0
    first_cycle: int | None = None  # of the first trouble
    stop_cycle: int = 0  # the engine ended, or was given up

    def add(
        self, wrong_beats: int, stray_beats: int, strays: list[Beat], first_cycle: int | None
    ) -> None:
        """Add what was found in the writes after the run."""
        self.wrong_beats += wrong_beats
        self.stray_beats += stray_beats
        self.strays += strays
        cycles = [cycle for cycle in (self.first_cycle, first_cycle) if cycle is not None]
        self.first_cycle = min(cycles, default=None)


def _lanes(digits: str) -> int:
    """Return lane bits from hex; an undefined digit marks all its lanes."""
    return int(digits.lower().replace("x", "f").replace("z", "f"), 16)


def read_events(path: Path) -> Events:
    """Return what tb.v, axi_memory.v and axi_checker.v wrote.

    Raises
    ------
    ValueError
        If a line is of no known kind.
    """
    events = Events()
    cycles: list[int] = []
    for line in path.read_text().splitlines():
        kind, cycle, *rest = line.split()
        if kind == "mismatch":
            events.wrong.append(Beat(int(cycle), int(rest[0], 16), rest[1], _lanes(rest[3])))
        elif kind == "forbidden":
            events.strays.append(Beat(int(cycle), int(rest[0], 16), rest[1], _lanes(rest[2])))
        elif kind == "violation":
            events.violations.append(f"AXI: {' '.join(rest)} in cycle {cycle}")
        elif kind == "pending":
            events.pending = int(cycle)
        elif kind == "stop":
            events.stop_cycle = int(cycle)
            continue
        elif kind == "total":
            counts = list(map(int, rest))
            events.read_beats, events.write_beats, events.wrong_beats = counts[:3]
            events.stray_beats, events.broken_rules = counts[3:]
            continue
        else:
            raise ValueError(f"{path}: unknown event {kind!r}")
        cycles.append(int(cycle))
    events.first_cycle = min(cycles, default=None)
    return events
