"""Control against a list of descriptors: order, payloads, and what holds loading back."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.hw.bench import Testbench, count_high, simulate, until
from tests.hw.control_bench import CONFIGS, System, descriptor, program

UNDER_WAY = 16  # bands between the hand-over and their store


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("name", CONFIGS)
def test_runs_a_program_in_order(name: str, stall: float) -> None:
    config = CONFIGS[name]
    rng = Random(f"{name}{stall}")
    descriptors = program(config, rng, 16)
    system = System(config, descriptors, rng, stall)
    system.run(cycles=40_000)
    assert system.stored == len(descriptors)
    assert system.records == [d["layer"] for d in descriptors if d["layer_last"]]
    assert len(system.done) == 1
    assert not system.errors
    steps = [(s, i) for s, i in system.log if s not in ("stored", "loaded")]
    assert steps == [(s, i) for i in range(16) for s in ("request", "weights", "load", "band")]
    assert any(system.log.index(("load", i)) < system.log.index(("stored", i - 1))
               for i in range(1, 16)), "never loaded ahead"  # fmt: skip


def test_done_comes_after_the_last_store_only_and_a_second_program_runs() -> None:
    config = CONFIGS["bus64"]
    rng = Random(8)
    first = [descriptor(config, rng, wait=i, last=int(i == 2)) for i in range(3)]
    system = System(config, first, rng)
    system.store = False

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        for _ in first:
            while system.computed == system.stored:
                await ctx.tick()
            for _ in range(100):
                await ctx.tick()
                assert not system.done
                assert ctx.get(system.dut.running)
            system.store, before = True, system.stored
            while system.stored == before:
                await ctx.tick()
            system.store = False
        await until(ctx, ~system.dut.running)
        assert len(system.done) == 1
        # Counts start again: a descriptor that waits for one store must wait for a new one.
        descriptors = [descriptor(config, rng, wait=i, last=i) for i in range(2)]
        second.append(System(config, descriptors, rng, dut=system.dut))
        await second[0].start(ctx)
        await second[0].end(ctx)
        assert second[0].stored == 2

    second: list[System] = []

    def later(part: str) -> Testbench:
        async def testbench(ctx: Any) -> None:
            while not second:
                await ctx.tick()
            await getattr(second[0], part)(ctx)

        return testbench

    dut = system.dut
    parts = ("memory", "weights", "loader", "sequencer", "storer")
    simulate(dut, main, background=[
        *(getattr(system, part) for part in parts), *(later(part) for part in parts),
        count_high(dut.done, system.done),
    ])  # fmt: skip
    assert len(system.done) == 2


def test_no_more_bands_are_handed_over_than_can_be_remembered() -> None:
    config = CONFIGS["bus128"]
    rng = Random(3)
    count = UNDER_WAY + 4
    descriptors = [descriptor(config, rng, last=int(i == count - 1)) for i in range(count)]
    system = System(config, descriptors, rng)
    system.store = False

    async def main(ctx: Any) -> None:
        await system.start(ctx)
        for _ in range(2500):
            await ctx.tick()
        assert system.handed == UNDER_WAY
        system.store = True
        await system.end(ctx)

    system.run(main)
    assert system.stored == count
    assert system.records == [d["layer"] for d in descriptors if d["layer_last"]]


def test_sizes_of_a_load_of_nothing_do_not_matter() -> None:
    config = CONFIGS["bus64"]
    only = descriptor(config, Random(2), last=1, load_words=0, load_planes=0,
                      load_groups=0, tile=config.hold, passes=config.max_passes)  # fmt: skip
    system = System(config, [only], Random(2))
    system.run()
    assert system.stored == 1
    assert not system.errors
