"""Copies: where concatenations and sums need them, where they do not, and that they are exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shiftwork.hw.config import EngineConfig, preset
from shiftwork.model.compile import compile_network
from shiftwork.model.copies import insert_copies
from shiftwork.model.network import Concat, Network, TensorInfo
from shiftwork.model.program import Program
from tests.networks import NetworkBuilder, dense_net, u_net

from .test_compile import CONFIGS, run


def copied(program: Program) -> list[str]:
    """Names of the copies that run, in order."""
    return [plan.name for plan in program.layers if plan.kind == "copy"]


def holes(b: NetworkBuilder) -> None:
    """A dense tensor and a concatenation of parts of 4 channels, added both ways."""
    left = b.conv(4, source="input")
    whole = b.concat(left, b.conv(4, source="input"))
    total = b.add(whole, b.conv(8, source=whole))
    b.add(b.conv(8, source=total), b.max_pool((1, 1), (1, 1), source=whole))


def other_holes(b: NetworkBuilder) -> None:
    """Two concatenations of as many channels whose holes differ."""
    parts = [b.conv(count, source="input") for count in (3, 6, 5, 4)]
    b.add(b.concat(parts[0], parts[1]), b.concat(parts[2], parts[3]))


def same_holes(b: NetworkBuilder) -> None:
    """Two concatenations whose holes are the same: nothing has to move."""
    parts = [b.conv(count, source="input") for count in (3, 6, 3, 6)]
    b.add(b.concat(parts[0], parts[1]), b.concat(parts[2], parts[3]))


def twice(b: NetworkBuilder) -> None:
    """One tensor twice in a concatenation, and once in another."""
    a, c = b.conv(5), b.conv(4, source="input")
    b.concat(a, a)
    b.conv(3)
    b.concat(b.last, a, c)


def the_input(b: NetworkBuilder) -> None:
    """The network's input, first and last in a concatenation."""
    a = b.conv(3)
    b.concat("input", a)
    b.concat(b.conv(4), "input")


def the_same(b: NetworkBuilder) -> None:
    """Two concatenations of the same parts, and of them."""
    parts = b.conv(3), b.conv(5, source="input")
    b.concat(b.concat(*parts), b.concat(*parts))


CASES: dict[str, tuple[Callable[[NetworkBuilder], object], list[str]]] = {
    "holes": (holes, ["add4:copy", "add7:copy"]),
    "other holes": (other_holes, ["add6:copy", "add6:copy2"]),
    "same holes": (same_holes, []),
    "twice": (twice, ["concat2:copy", "concat4:copy"]),
    "the input": (the_input, ["concat1:copy", "concat3:copy"]),
    "the same": (the_same, ["concat4:copy"]),
    "dense net": (dense_net, ["add15:copy"]),
    "u net": (u_net, ["concat17:copy", "concat17:copy2", "add19:copy"]),
}
ROWS = EngineConfig(rows=8, cols=4, hold=16, buffer_words=512)


@pytest.mark.parametrize("name", CASES)
def test_copies_are_named_after_the_layer_that_needs_them(name: str) -> None:
    draw, want = CASES[name]
    builder = NetworkBuilder(1, 4, 8, 6)
    draw(builder)
    program = run(builder, ROWS)
    assert copied(program) == want


@pytest.mark.parametrize("draw", [dense_net, u_net, holes, twice])
@pytest.mark.parametrize("name", ["tiny", *(name for name in CONFIGS if name != "one")])
def test_networks_with_branches_give_the_golden_bytes(
    draw: Callable[[NetworkBuilder], object], name: str
) -> None:
    config = preset("tiny") if name == "tiny" else CONFIGS[name]
    builder = NetworkBuilder(2, 4, 8, 6)
    draw(builder)
    run(builder, config)


@pytest.mark.parametrize(("zero_point", "bits"), [(0, 8), (128, 8), (0, 5), (16, 5)])
def test_every_stored_value_is_copied_exactly(zero_point: int, bits: int) -> None:
    builder = NetworkBuilder(3, 3, 16, 16, zero_point, bits)
    left = builder.conv(3, zero_point=zero_point)
    whole = builder.concat("input", left)
    builder.add(whole, builder.conv(6, zero_point=zero_point), zero_point=zero_point)
    program = run(builder, ROWS)
    assert program.copies == {"concat1:copy": "input", "add3:copy": whole}


def test_a_tensor_of_more_channels_than_the_fan_in_is_realigned() -> None:
    """Only one weight of a channel is not 0, so the accumulator holds the sum."""
    builder = NetworkBuilder(4, 5, 4, 4)
    parts = [builder.conv(5, source="input") for _ in range(3)]
    whole = builder.concat(*parts)
    dense = builder.depthwise((1, 1))
    assert dense != whole
    builder.conv(15, source="input")
    builder.add(whole, builder.last)
    run(builder, EngineConfig(rows=4, cols=4, max_fan_in=8, buffer_words=256))


def test_a_copy_serves_every_sum_of_a_tensor() -> None:
    builder = NetworkBuilder(5, 4, 4, 4)
    whole = builder.concat(builder.conv(4), builder.conv(4, source="input"))
    for _ in range(3):
        builder.add(whole, builder.conv(8, source=builder.last))
    assert copied(run(builder, ROWS)) == ["add4:copy"]


def test_a_network_without_need_is_left_alone_and_names_are_new() -> None:
    builder = NetworkBuilder(1, 4, 8, 6)
    same_holes(builder)
    network = builder.build()
    again, copies = insert_copies(network, 8)
    assert again is network and copies == {}
    tensors = {n: TensorInfo(n, c, 2, 2, 0) for n, c in (("x", 3), ("c:copy", 6))}
    named = Network("named", "x", "c:copy", tensors, [Concat("c", ("x", "x"), "c:copy")])
    again, copies = insert_copies(named, 8)
    assert list(copies) == ["c:copy2", "c:copy3"] and set(copies.values()) == {"x"}


def test_a_program_until_a_layer_has_only_the_copies_before_it() -> None:
    builder = NetworkBuilder(1, 4, 8, 6)
    twice(builder)
    network = builder.build()
    program = compile_network(network, ROWS, until="concat2")
    assert copied(program) == ["concat2:copy"] and list(program.copies) == ["concat2:copy"]
    assert compile_network(network, ROWS, until="conv1").copies == {}
    assert all(np.array_equal(p.slots, np.arange(5)) for p in
               [program.places["concat2:copy"], program.places["conv0.out"]])  # fmt: skip
