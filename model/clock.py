"""A small event simulation: processes that wait for cycles, or for each other."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

Process = Generator["int | Signal", None, None]


@dataclass(eq=False)
class Signal:
    """What processes wait for: all that wait are woken in the cycle of ``notify``."""

    clock: Clock
    waiting: list[Process] = field(default_factory=list)

    def notify(self) -> None:
        """Wake all that wait."""
        if self.waiting:
            woken, self.waiting = self.waiting, []
            for process in woken:
                self.clock.resume(process)


class Clock:
    """Runs processes in order of time.

    A process is a generator that yields a number of cycles to wait, or a `Signal` to wait for; it
    looks again at what it waits for when it is woken.

    Attributes
    ----------
    now : int
        Current cycle.
    """

    def __init__(self) -> None:
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._number = 0

    def signal(self) -> Signal:
        """Return a new signal."""
        return Signal(self)

    def call(self, delay: int, action: Callable[[], object]) -> None:
        """Call ``action`` so many cycles from now."""
        self._number += 1
        heapq.heappush(self._events, (self.now + delay, self._number, action))

    def start(self, process: Process) -> None:
        """Begin a process in this cycle."""
        self.call(0, lambda: self._step(process))

    def resume(self, process: Process) -> None:
        """Continue a process in this cycle."""
        self.call(0, lambda: self._step(process))

    def run(self) -> int:
        """Run until nothing is left to happen; return the last cycle."""
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()
        return self.now

    def _step(self, process: Process) -> None:
        wait = next(process, None)
        if isinstance(wait, Signal):
            wait.waiting.append(process)
        elif wait is not None:
            self.call(wait, lambda: self._step(process))


class Channel:
    """A queue between two processes: entries are there one cycle after they were put."""

    def __init__(self, clock: Clock, depth: int) -> None:
        self.clock = clock
        self.depth = depth
        self.changed = clock.signal()
        self._entries: list[tuple[int, object]] = []

    def put(self, entry: object) -> Process:
        """Wait for room, then put an entry."""
        while len(self._entries) >= self.depth:
            yield self.changed
        self._entries.append((self.clock.now + 1, entry))
        self.changed.notify()

    def look(self) -> Generator[int | Signal, None, object]:
        """Wait for an entry and return it; it stays."""
        while not self._entries:
            yield self.changed
        there, entry = self._entries[0]
        if there > self.clock.now:
            yield there - self.clock.now
        return entry

    def drop(self) -> None:
        """Remove the oldest entry."""
        self._entries.pop(0)
        self.changed.notify()
