"""Maps inside other maps: one code for both, fitted to what reads either."""

import torch

from shiftwork.model.codec.choose import choose
from shiftwork.model.codec.coded import CodedGraph
from shiftwork.model.codec.options import profiles
from shiftwork.model.codec.parts import Part, joined, parts_of, whole_maps, with_parts
from shiftwork.model.codec.place import code_network, groups_of
from shiftwork.model.golden import run
from shiftwork.model.graph import ConcatNode, ConvNode, GlobalAverageNode, Graph
from shiftwork.model.quantize import calibrate, quantize


def branching(x: torch.Tensor) -> tuple[Graph, CodedGraph]:
    """ "a" is read by "b" and, as a part of a part, through "ab" and "abc"."""
    generator = torch.Generator().manual_seed(3)

    def conv(name: str, source: str, cin: int, cout: int) -> ConvNode:
        weight = torch.randn(cout, cin, 1, 1, generator=generator) / cin**0.5
        return ConvNode(name, source, name, weight, torch.zeros(cout), relu=True)

    nodes = [
        conv("a", "x", 3, 4),
        conv("b", "a", 4, 4),
        ConcatNode("ab", ("b", "a"), "ab"),
        conv("c", "ab", 8, 4),
        ConcatNode("abc", ("c", "ab"), "abc"),
        conv("d", "abc", 12, 6),
        GlobalAverageNode("out", "d", "out"),
    ]
    graph = Graph("branching", "x", "out", (3, 6, 6), nodes, frac_bits=5)  # type: ignore[arg-type]
    return graph, CodedGraph(graph, calibrate(graph, [x]))


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(256, (36, 3, 6, 6), generator=generator, dtype=torch.uint8)


def test_parts_of_parts_lie_in_the_outermost_whole() -> None:
    graph, _ = branching(pictures())
    assert parts_of(graph) == {"ab": Part("abc", 4, 12), "a": Part("abc", 8, 12)}
    assert whole_maps(graph) == ["abc", "d"]


def test_an_error_in_a_part_matters_for_all_that_reads_it() -> None:
    x = pictures()
    graph, coded = branching(x)
    parts = parts_of(graph)
    known = profiles(coded, x, ["abc", "ab", "a", "d"])
    whole = joined(known, parts)
    assert sorted(whole) == ["abc", "d"]
    assert torch.equal(whole["abc"].weights[:4], known["abc"].weights[:4])
    assert torch.equal(whole["abc"].weights[4:8], known["ab"].weights[:4])
    assert torch.equal(whole["abc"].weights[8:], known["a"].weights)
    assert not torch.equal(known["a"].weights, known["abc"].weights[8:])


def test_the_network_reads_what_the_chosen_codes_say() -> None:
    x = pictures()
    graph, coded = branching(x)
    network = quantize(graph, coded.frac_bits)
    groups = groups_of(network, whole_maps(graph))
    assert groups == [["abc"], ["d"]]
    best, _ = choose(coded, ["abc", "d"], x[:24], x[24:], max_drop=100.0, groups=groups)
    assert best is not None
    codes = with_parts(best.choice.codes, parts_of(graph))
    assert torch.equal(codes["a"].levels, codes["abc"].levels[8:])
    stored = run(code_network(network, best.choice.codes), x)
    for name in ("abc", "a"):
        assert torch.equal(codes[name](stored[name]), stored[name])  # nothing but levels
