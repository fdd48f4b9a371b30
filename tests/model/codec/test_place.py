"""Codes of maps in a network: what pooling reads is coded too, and nothing else changes."""

import torch

from shiftwork.model.codec.choose import pick
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.options import Option
from shiftwork.model.codec.place import code_network, groups_of
from shiftwork.model.golden import run
from shiftwork.model.graph import AddNode, ConcatNode, ConvNode, GlobalAverageNode, Graph
from shiftwork.model.graph import MaxPoolNode as Pool
from shiftwork.model.network import Network
from shiftwork.model.quantize import calibrate, quantize


def toy() -> tuple[Network, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randint(256, (4, 3, 9, 9), generator=generator, dtype=torch.uint8)

    def conv(name: str, source: str, cin: int, cout: int) -> ConvNode:
        weight = torch.randn(cout, cin, 1, 1, generator=generator)
        return ConvNode(name, source, name, weight, torch.zeros(cout))

    nodes = [
        conv("a", "x", 3, 4),
        conv("b", "x", 3, 4),
        ConcatNode("ab", ("a", "b"), "ab"),
        Pool("p", "ab", "p", (3, 3), (2, 2), (1, 1, 1, 1)),
        conv("c", "p", 8, 8),
        conv("d", "c", 8, 8),
        AddNode("s", ("c", "d"), "s", relu=True),
        conv("e", "s", 8, 5),
        GlobalAverageNode("out", "e", "out"),
    ]
    graph = Graph("toy", "x", "out", (3, 9, 9), nodes)  # type: ignore[arg-type]
    return quantize(graph, calibrate(graph, [x])), x


def test_coding_before_and_after_a_pool_is_coding_after_it() -> None:
    network, x = toy()
    tensors = run(network, x)
    counts = torch.stack(
        [torch.bincount(tensors["p"][:, c].flatten().long(), minlength=256) for c in range(8)]
    )
    code = best_tables(counts.double(), [3])[3]
    coded = code_network(network, {"p": code})
    assert sorted(coded.codes) == ["a", "ab", "b", "p"]
    after = run(coded, x)
    assert torch.equal(after["p"], code(tensors["p"]))
    assert not torch.equal(after["p"], tensors["p"])
    assert torch.equal(coded.codes["b"].levels, code.levels[4:])


def test_groups_are_what_must_be_coded_alike() -> None:
    network, _ = toy()
    assert groups_of(network, ["p", "c", "d", "s", "e"]) == [["p"], ["c", "d"], ["s"], ["e"]]
    assert groups_of(network, ["ab"]) == [["ab"]]


def test_a_group_takes_one_number_of_bits() -> None:
    table = best_tables(torch.ones(1, 256), [2, 4])

    def options(fine: float, coarse: float) -> list[Option]:
        pairs = ((2, coarse), (4, fine))
        return [Option(table[k], False, loss, float(k)) for k, loss in pairs]

    several = {"c": options(0.0, 9.0), "d": options(0.0, 0.1)}
    values = {"c": 1, "d": 1}
    alone = pick(several, values, 1.0)
    assert [o.code.bits for o in alone.options.values()] == [4, 2]
    tied = pick(several, values, 1.0, [["c", "d"]])
    assert [o.code.bits for o in tied.options.values()] == [4, 4]
    assert tied.bits == 4.0 and tied.loss == 0.0
    assert pick({"c": options(0.1, 0.2)}, {"c": 1}, 1e-9).options == {}
    dear = {"c": options(99.0, 99.0)}
    assert pick(dear, {"c": 1}, 1.0).bits == 8.0
