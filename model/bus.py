"""The read side of the memory bus in time: bursts of several clients, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..hw.config import EngineConfig
from ..hw.geometry import READS, burst_block, queue_latency
from .clock import Clock, Process, Signal

SPLIT = 2  # cycles from a request to its first burst, and from one burst to the next


@dataclass(eq=False)
class Client:
    """One client of the reader.

    Attributes
    ----------
    bursts : deque of int
        Lengths of the bursts not yet sent of the request at hand.
    arrived : deque of (int, int)
        Cycle in which a burst's first beat can be taken, and its beats.
    used : int
        Beats in the FIFO or on their way.
    """

    depth: int
    block: int
    idle: Signal
    more: Signal
    bursts: deque[int] = field(default_factory=deque)
    arrived: deque[tuple[int, int]] = field(default_factory=deque)
    used: int = 0
    ready_at: int = 0
    free_at: int = 0  # when the next request can be taken


class Bus:
    """Sends bursts in turns, as `hw.reader.Reader` does; data come back in order.

    Parameters
    ----------
    clock : Clock
    config : EngineConfig
    depths : sequence of int
        FIFO depth of each client, in beats.
    latency : int
        Cycles from an accepted address to the first beat.
    """

    def __init__(
        self, clock: Clock, config: EngineConfig, depths: Sequence[int], latency: int
    ) -> None:
        self.clock = clock
        self.latency = latency
        self.clients = [
            Client(depth, burst_block(config.burst_beats, depth), clock.signal(), clock.signal())
            for depth in depths
        ]
        self.beats = 0
        self._turn = 0
        self._address_free = 0
        self._data_free = 0
        self._ends: deque[int] = deque()  # cycles of the last beats of the bursts under way
        self._planned = -1

    def request(self, number: int, first: int, beats: int) -> Process:
        """Wait until a request can be taken, then ask for ``beats`` from beat address ``first``."""
        client, now = self.clients[number], self.clock.now
        while client.bursts:
            yield client.idle
        if client.free_at > self.clock.now:
            yield client.free_at - self.clock.now
        while beats:
            length = min(beats, client.block - first % client.block)
            client.bursts.append(length)
            first += length
            beats -= length
        now = self.clock.now
        client.ready_at = now + SPLIT
        self._plan(client.ready_at)

    def take(self, number: int, beats: int, cycles: int | None = None) -> Process:
        """Take ``beats`` from the FIFO, one a cycle, or in so many ``cycles`` if they are slower.

        It ends in the cycle after the last one.
        """
        client, clock = self.clients[number], self.clock
        pace = max(1.0, cycles / beats) if cycles else 1.0
        while beats:
            while not client.arrived:
                yield client.more
            first, length = client.arrived[0]
            count = min(beats, length)
            start = max(clock.now, first)
            yield start + round(count * pace) - clock.now
            if count == length:
                client.arrived.popleft()
            else:
                client.arrived[0] = (first + count, length - count)
            client.used -= count
            beats -= count
            self._plan(clock.now)

    def _plan(self, cycle: int) -> None:
        """Look for a burst to send in a cycle, or as soon as the address channel is free."""
        cycle = max(cycle, self._address_free)
        if self._planned != cycle:
            self._planned = cycle
            self.clock.call(cycle - self.clock.now, self._send)

    def _send(self) -> None:
        now = self.clock.now
        if self._planned == now:
            self._planned = -1
        if now < self._address_free:
            return
        while self._ends and self._ends[0] < now:
            self._ends.popleft()
        if len(self._ends) >= READS:
            self._plan(self._ends[0] + 1)
            return
        count = len(self.clients)
        for step in range(1, count + 1):
            number = (self._turn + step) % count
            client = self.clients[number]
            if client.bursts and client.ready_at <= now:
                if client.used <= client.depth - client.block:
                    self._issue(number, client)
                    break

    def _issue(self, number: int, client: Client) -> None:
        now = self.clock.now
        length = client.bursts.popleft()
        first = max(now + 2 + self.latency, self._data_free)
        self._data_free = first + length
        self._ends.append(first + length - 1)
        client.arrived.append((first + queue_latency(client.depth), length))
        client.used += length
        client.ready_at = now + SPLIT
        client.more.notify()
        if not client.bursts:
            client.free_at = now + 1
            client.idle.notify()
        self.beats += length
        self._turn = number
        self._address_free = now + 2
        self._plan(now + 2)
