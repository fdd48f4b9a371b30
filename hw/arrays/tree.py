"""A column's sum as full adders, ordered by when their inputs arrive."""

from __future__ import annotations

import heapq
from itertools import count

from amaranth.hdl import Const, Value

from .cells import DELAY, Cells
from .lanes import Bit


def compress(cells: Cells, early: list[Bit], late: list[Bit], width: int) -> list[Value]:
    """Return the sum of bits, lowest first, modulo 2^width.

    From the lowest position up, the three bits that arrive first are added until one is left; so
    every adder waits for inputs that come at about the same time, and few outputs change twice.
    Bits of ``late`` are added last of all: they stand still while the others settle, and a change
    of theirs passes through one adder and not through the whole tree.

    Parameters
    ----------
    cells : Cells
    early, late : list of (position, value)
        Bits to add; positions below ``width``.
    width : int
        Bits of the result; the sum must fit, carries out of it are dropped.
    """
    order = count()
    queues: list[list[tuple[float, int, Value]]] = [[] for _ in range(width + 1)]
    waiting: list[list[Value]] = [[] for _ in range(width)]
    for position, value in early:
        queues[position].append((0.0, next(order), value))
    for position, value in late:
        waiting[position].append(value)
    result: list[Value] = []
    for queue, last, above in zip(queues, waiting, queues[1:], strict=False):
        heapq.heapify(queue)
        while len(queue) + len(last) > 1:
            taken = [heapq.heappop(queue) for _ in range(min(len(queue), 3))]
            time = max((arrival for arrival, _, _ in taken), default=0.0)
            values = [value for _, _, value in taken]
            while last and len(values) < 3:
                values.append(last.pop())
            if len(values) == 3:
                total, carry = cells.full_adder(*values)
                after = (DELAY["sum"], DELAY["carry"])
            else:
                total, carry = cells.half_adder(*values)
                after = (DELAY["half_sum"], DELAY["half_carry"])
            heapq.heappush(queue, (time + after[0], next(order), total))
            above.append((time + after[1], next(order), carry))
        left = [value for _, _, value in queue] + last
        result.append(left[0] if left else Const(0, 1))
    return result
