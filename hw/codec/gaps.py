"""Values that are not 0, moved together at the low end of a word and apart again."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value

from ..plain import Plain
from ..tree import tree_sum


def count_gaps(m: Module, used: Value, step: Value) -> list[Value]:
    """Return registers with the zeros below each lane that is not one itself.

    Parameters
    ----------
    m : Module
    used : Value
        A bit for each lane that is not 0.
    step : Value
        When the registers take new counts.
    """
    gaps: list[Value] = []
    for lane in range(len(used)):
        below = Plain(range(lane + 1), name=f"zeros{lane}")
        if lane:
            count = tree_sum([~used[n] for n in range(lane)])
            with m.If(step):
                m.d.sync += below.eq(Mux(used[lane], count, 0))
        gaps.append(below)
    return gaps


def close_gaps(m: Module, values: Sequence[Value], gaps: Sequence[Value]) -> Value:
    """Return the word without its zeros, lowest lane first; what lies beyond them is undefined.

    Each value moves down by its gap of `count_gaps`: by 1, by 2, by 4 lanes and so on no value
    meets another.
    """
    act_bits = len(values[0])
    lanes: list[Value] = [Cat(value, gap) for value, gap in zip(values, gaps, strict=True)]
    for stage in range((len(lanes) - 1).bit_length()):
        lanes = _closer(m, lanes, act_bits, stage)
    return Cat(lane[:act_bits] for lane in lanes)


def _closer(m: Module, lanes: list[Value], act_bits: int, stage: int) -> list[Value]:
    """Return the lanes, each with its gap, after moves of ``1 << stage`` lanes."""
    moves = [lane[act_bits + stage : act_bits + stage + 1] for lane in lanes]
    found: list[Value] = []
    for lane, (own, goes) in enumerate(zip(lanes, moves, strict=True)):
        parts = [own & ~goes.any().replicate(len(own))]
        if (source := lane + (1 << stage)) < len(lanes):
            comes = moves[source].any()
            parts.append(lanes[source] & comes.replicate(len(lanes[source])))
        moved = Signal(max(map(len, parts)), name=f"closer{stage}_{lane}")
        m.d.comb += moved.eq(parts[0] | parts[-1])
        found.append(moved)
    return found


def open_gaps(
    m: Module, mask: Value, masked: Value, tight: Sequence[Value], step: Value
) -> list[Value]:
    """Return the word with its zeros, of what `close_gaps` has made.

    Parameters
    ----------
    m : Module
    mask : Value
        A bit for each lane that is not 0.
    masked, tight : Value, sequence of Value
        The mask and the values that are not 0, each a cycle later, when what lies below each lane
        is counted.
    step : Value
        When these take what is new.
    """
    found: list[Value] = []
    for lane in range(len(mask)):
        below = Plain(range(lane + 1), name=f"below{lane}")
        if lane:
            with m.If(step):
                m.d.sync += below.eq(tree_sum([mask[n] for n in range(lane)]))
        own = Array([tight[n] for n in range(lane + 1)])[below]
        found.append(Mux(masked[lane], own, 0))
    return found
