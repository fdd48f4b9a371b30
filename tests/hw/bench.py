"""Testbenches for streams: a simulator with a deadline, sources, sinks and rule checkers.

Every random choice comes from a `random.Random` of the caller, one per testbench, so that a
failing case runs again the same way. ``SHIFTWORK_VCD=FILE`` writes waveforms of a single test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext
from random import Random
from typing import Any

from amaranth.hdl import Elaboratable, Value
from amaranth.sim import Simulator

CLOCK_S = 1e-8
Testbench = Callable[[Any], Coroutine[Any, Any, None]]


def simulate(
    dut: Elaboratable,
    *testbenches: Testbench,
    background: Sequence[Testbench] = (),
    cycles: int = 20_000,
) -> None:
    """Run until every testbench returns; background ones may run on and are then dropped.

    Raises
    ------
    TimeoutError
        If a testbench has not returned after `cycles` clock cycles.
    """
    sim = Simulator(dut)
    sim.add_clock(CLOCK_S)

    async def deadline(ctx: Any) -> None:
        await ctx.delay(cycles * CLOCK_S)  # a delay, not tick().repeat(): it can be dropped
        raise TimeoutError(f"no end after {cycles} cycles")

    for testbench in background:
        sim.add_testbench(testbench, background=True)
    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.add_testbench(deadline, background=True)
    vcd = os.environ.get("SHIFTWORK_VCD")
    with sim.write_vcd(vcd) if vcd else nullcontext():
        sim.run()


async def until(ctx: Any, condition: Value, *values: Any) -> list[Any]:
    """Tick until `condition` is high at a clock edge; return `values` as sampled there.

    Unlike the simulator's own ``until``, a testbench that a failure leaves waiting here can be
    dropped without a warning.
    """
    while True:
        _, _, done, *now = await ctx.tick().sample(condition, *values)
        if done:
            return now


def source(
    port: Any, payloads: Iterable[Any], *, rng: Random | None = None, stall: float = 0.0
) -> Testbench:
    """Send the payloads through a stream, pausing before a transfer with probability `stall`.

    A payload is an integer, or a dict or list for a structure or array.
    """
    rng = rng or Random(0)

    async def testbench(ctx: Any) -> None:
        for payload in payloads:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(port.payload, payload)
            ctx.set(port.valid, 1)
            await until(ctx, port.ready)
            ctx.set(port.valid, 0)

    return testbench


def receive(
    port: Any, count: int, into: list[Any], *, rng: Random | None = None, stall: float = 0.0
) -> Testbench:
    """Take `count` transfers from a stream and append their payloads to `into`."""
    rng = rng or Random(0)

    async def testbench(ctx: Any) -> None:
        for _ in range(count):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(port.ready, 1)
            (got,) = await until(ctx, port.valid, port.payload)
            ctx.set(port.ready, 0)
            into.append(got)

    return testbench


def listen(port: Any, count: int, into: list[Any]) -> Testbench:
    """Append to `into` the payloads of `count` transfers of a stream that is always ready."""

    async def testbench(ctx: Any) -> None:
        for _ in range(count):
            (got,) = await until(ctx, port.valid, port.payload)
            into.append(got)

    return testbench


def sink(
    port: Any, expected: Iterable[Any], *, rng: Random | None = None, stall: float = 0.0
) -> Testbench:
    """Take transfers from a stream and compare each with the expected payload at once."""
    rng = rng or Random(0)

    async def testbench(ctx: Any) -> None:
        for index, want in enumerate(expected):
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(port.ready, 1)
            (got,) = await until(ctx, port.valid, port.payload)
            ctx.set(port.ready, 0)
            assert got == want, f"transfer {index}: got {got}, want {want}"

    return testbench


def holds(port: Any) -> Testbench:
    """Background check of the stream rule: valid and payload hold until the transfer."""
    return steady(port.valid, port.ready, port.payload)


def steady(valid: Value, ready: Value, *payload: Any) -> Testbench:
    """Background check that `valid` and the payload signals hold until `ready`."""

    async def testbench(ctx: Any) -> None:
        held: tuple[Any, ...] | None = None
        while True:
            _, _, is_valid, is_ready, *values = await ctx.tick().sample(valid, ready, *payload)
            if held is not None:
                assert is_valid, "valid fell before the transfer"
                assert tuple(values) == held, f"payload changed from {held} to {values}"
            held = tuple(values) if is_valid and not is_ready else None

    return testbench


def rests(valid: Value, *payload: Any) -> Testbench:
    """Background check that the payload signals keep their last valid values until the next."""

    async def testbench(ctx: Any) -> None:
        last: tuple[Any, ...] | None = None
        while True:
            _, _, is_valid, *values = await ctx.tick().sample(valid, *payload)
            if is_valid:
                last = tuple(values)
            assert last in (None, tuple(values)), f"payload changed from {last} to {values}"

    return testbench


def count_high(signal: Value, into: list[int]) -> Testbench:
    """Background: append the number of every clock cycle in which `signal` is high."""

    async def testbench(ctx: Any) -> None:
        cycle = 0
        while True:
            *_, high = await ctx.tick().sample(signal)
            if high:
                into.append(cycle)
            cycle += 1

    return testbench
