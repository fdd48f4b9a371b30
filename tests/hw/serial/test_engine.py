# amaranth: UnusedElaboratable=no
"""The serial engine with whole programs: the golden model bit for bit; faults are told."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from shiftwork.hw.config import EngineConfig, preset
from shiftwork.hw.descriptor import (
    DESCRIPTOR_BYTES,
    ErrorCode,
    pack_descriptor,
    unpack_descriptor,
)
from shiftwork.hw.serial.engine import SerialEngine
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.sim.builder import NetworkBuilder
from shiftwork.sim.fault_campaign import System, small_system
from shiftwork.sim.faults import Fault, Faults
from shiftwork.sim.fuzz_networks import random_network

from .bench import BLOCKED, DONE, ERROR, MEMORY_BYTES, Run, SerialBench

CONFIG = preset("tiny").replace(requantise_lanes=4)


@pytest.fixture(scope="module")
def bench() -> Iterator[SerialBench]:
    with SerialBench(CONFIG) as running:
        yield running


def run_network(
    bench: SerialBench, seed: int, config: EngineConfig = CONFIG, *, keep_all: bool
) -> tuple[Run | None, int]:
    """Run a random network; return what became of it, and how many values were compared.

    Of one that the memory is too small for: nothing, and none.
    """
    network, x = random_network(seed, config)
    program = compile_network(network, config, keep_all=keep_all)
    if program.size > bench.program_bytes:
        return None, 0
    run = bench.run_program(program, {network.input: x[0].numpy()})
    assert (run.ended, run.status, run.error) == (True, DONE, 0), f"network {seed}"
    want = golden.run(network, x, exact="integer", written=True)
    compared = 0
    for name in {plan.output for plan in program.layers} & set(program.kept):
        if name in want:
            found = program.read_tensor(run.memory, name)
            assert np.array_equal(found, want[name][0].numpy()), f"network {seed}, tensor {name}"
            compared += found.size
    # Nothing else is written: but for the buffer, where tensors lie and only there.
    before = np.full(MEMORY_BYTES, 0xA5, np.uint8)
    before[program.size :] = 0
    before[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    program.write_tensor(before, network.input, x[0].numpy())
    changed = np.flatnonzero(before != run.memory)
    owned = np.zeros(MEMORY_BYTES, bool)
    owned[bench.program_bytes :] = True
    for place in program.places.values():
        owned[place.address : place.address + place.size] = True
    assert owned[changed].all(), f"network {seed} wrote {changed[~owned[changed]][0]:#x}"
    return run, compared


def run_networks(
    bench: SerialBench, seeds: range, config: EngineConfig = CONFIG, *, keep_all: bool = True
) -> tuple[int, int]:
    """Run random networks; return how many of them fitted, and how many values were compared."""
    every = [run_network(bench, seed, config, keep_all=keep_all) for seed in seeds]
    return sum(run is not None for run, _ in every), sum(compared for _, compared in every)


@pytest.mark.parametrize("keep_all", [True, False])
def test_random_networks_are_the_golden_model_s(bench: SerialBench, keep_all: bool) -> None:
    seeds = range(12) if keep_all else range(12, 24)
    fitted, compared = run_networks(bench, seeds, keep_all=keep_all)
    assert fitted == 12
    assert compared > (20_000 if keep_all else 2_000)


@pytest.mark.slow
def test_many_random_networks(bench: SerialBench) -> None:
    fitted, compared = run_networks(bench, range(100, 300))
    assert fitted == 200
    assert compared > 300_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"requantise_lanes": 1}, {"requantise_lanes": 2}, {"max_terms": 4, "hold": 16},
     {"buffer_words": 1024}],
)  # fmt: skip
def test_other_engines_compute_the_same(changes: dict[str, int]) -> None:
    config = CONFIG.replace(**changes)
    with SerialBench(config) as bench:
        fitted, compared = run_networks(bench, range(40, 52), config)
    assert fitted == 12
    assert compared > 10_000


def test_the_counter_is_the_cycles_from_start_to_end(bench: SerialBench) -> None:
    run, _ = run_network(bench, 4, keep_all=True)
    assert run is not None and 0 <= run.cycles - run.total <= 20


def test_the_counter_is_right_where_its_lower_half_begins_anew(bench: SerialBench) -> None:
    """Runs that end in every cycle around the 65 536th: a word more to load takes two cycles."""
    builder = NetworkBuilder(3, 2, 1, 380)
    builder.conv(3, (1, 3), (1, 1), (0, 1, 0, 1))
    program = compile_network(builder.build(), CONFIG)
    memory = np.zeros(60_000, np.uint8)
    memory[program.base :][: len(program.image)] = np.frombuffer(program.image, np.uint8)
    at = program.first_descriptor
    fields = unpack_descriptor(memory[at : at + DESCRIPTOR_BYTES].tobytes())
    del fields["checksum"]
    first = bench.run(memory, at)
    words = fields["load_words"] + (0x10000 - first.total) // 2
    totals: list[int] = []
    for load_words in range(words - 6, words + 7):
        packed = pack_descriptor(**fields | {"load_words": load_words})
        memory[at : at + DESCRIPTOR_BYTES] = np.frombuffer(packed, np.uint8)
        run = bench.run(memory, at)
        assert (run.status, run.cycles - run.total) == (DONE, first.cycles - first.total)
        totals.append(run.total)
    assert min(totals) < 0x10000 - 4 and max(totals) > 0x10000 + 4


# What is wrong.


def memory_of(system: System) -> Any:
    """Return the memory that a small system's program is run in."""
    program = system.program
    memory = np.zeros(program.base + program.size, np.uint8)
    memory[program.base :][: len(program.image)] = np.frombuffer(program.image, np.uint8)
    for name, value in system.inputs.items():
        program.write_tensor(memory[program.base :], name, np.asarray(value))
    return memory


def check(bench: SerialBench, fault: Fault, memory: Any, first: int, layers: int) -> Run:
    """Run a program with a fault: it ends as is stated, and nothing is written outside."""
    memory = memory.copy()
    for at, patch in fault.patch.items():
        memory[at : at + len(patch)] = np.frombuffer(patch, np.uint8)
    setup = fault.setup
    run = bench.run(
        memory, setup.get("program", first), base=setup.get("base", 0), limit=setup.get("limit")
    )
    assert run.ended, f"{fault.name}: it hangs"
    assert run.error in fault.codes, f"{fault.name}: {ErrorCode(run.error).name}"
    if run.error:
        assert run.layer in (fault.layers or range(layers)), f"{fault.name}: layer {run.layer}"
        assert run.status == ERROR | BLOCKED
        assert run.after == 0, f"{fault.name}: no recovery"
    base, limit = setup.get("base", 0), setup.get("limit", bench.program_bytes - 1)
    changed = np.flatnonzero(memory != run.memory[: len(memory)])
    assert ((changed >= base) & (changed <= limit)).all(), f"{fault.name}: written outside"
    return run


def test_bad_descriptors_end_with_their_code_and_recover(bench: SerialBench) -> None:
    system = small_system(CONFIG)
    program, memory = system.program, memory_of(system)
    faults = Faults(program, CONFIG)
    every = [*faults.checksums(24), *faults.headers(), *faults.sizes(), *faults.stuck(),
             *faults.addresses()]  # fmt: skip
    Random(1).shuffle(every)
    assert len(every) > 150
    never = 0
    for number, fault in enumerate(every):
        run = check(bench, fault, memory, program.first_descriptor, len(program.layers))
        if ": wait = " in fault.name or ": free = " in fault.name:
            assert run.error == ErrorCode.WATCHDOG, fault.name
            never += 1
        if number % 16 == 0:  # and the next run is right
            run = bench.run(memory, program.first_descriptor)
            assert (run.status, run.error) == (DONE, 0)
            for name, value in system.want.items():
                if name in program.kept:
                    found = program.read_tensor(run.memory[program.base :], name)
                    assert np.array_equal(found, np.asarray(value).reshape(found.shape))
    assert never == 3 * sum(plan.descriptors for plan in program.layers)


def test_a_soft_reset_at_any_cycle_leaves_an_engine_that_works(bench: SerialBench) -> None:
    system = small_system(CONFIG)
    program, rng, memory = system.program, Random(3), memory_of(system)
    whole = bench.run(memory, program.first_descriptor)
    for _ in range(40):
        stopped = bench.run(
            memory, program.first_descriptor, reset=rng.randrange(1, whole.cycles - 20)
        )
        assert not stopped.ended and stopped.after == 0
        again = bench.run(memory, program.first_descriptor)
        assert np.array_equal(again.memory, whole.memory)
        assert (again.status, again.total) == (DONE, whole.total)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("rows", 8, 4), ("cols", 8, 4), ("code_bits", 3, 4), ("act_bits", 4, 8), ("window", 4, 1),
     ("bus_bits", 128, 64), ("codec_bits", 4, 0), ("leaky", True, False),
     ("arithmetic", "int4", "'shift'"), ("zero_maps", True, False), ("lane_terms", 2, 1)],
)  # fmt: skip
def test_other_engines_are_refused(name: str, value: Any, wanted: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} of a serial engine must be {wanted}, not"):
        SerialEngine(CONFIG.replace(**{name: value}))
    with pytest.raises(ValueError, match="hold of a serial engine must be at most 64, not 128"):
        SerialEngine(CONFIG.replace(hold=128))
    with pytest.raises(ValueError, match="buffer_words of a serial engine must be at most 4096"):
        SerialEngine(CONFIG.replace(buffer_words=8192))
