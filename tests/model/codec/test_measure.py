"""What codes of one map measure, against the whole network run with them."""

import copy
from dataclasses import replace

import pytest
import torch

from shiftwork.model.codec.coded import CodedGraph
from shiftwork.model.codec.measure import measured
from shiftwork.model.codec.options import FITS, fit_tables, fixed_options, profiles
from shiftwork.model.codec.parts import parts_of
from shiftwork.model.graph import ConvNode
from shiftwork.model.mixed import divergence

from .test_parts import branching
from .test_parts import pictures as branching_pictures


def test_a_map_alone_costs_what_the_unrounded_network_says(
    coded: CodedGraph, pictures: torch.Tensor
) -> None:
    x = pictures[:30]  # a whole batch is 12
    known = profiles(coded, pictures[30:], ["p", "e"])
    options = {name: fixed_options(known[name], (1, 3)) for name in known}
    told: list[int] = []
    found = measured(coded, options, x, tell=lambda done, total: told.append(done))
    assert told == [12, 24, 30] and {n: len(o) for n, o in found.items()} == {"p": 10, "e": 10}
    stored = {"p": torch.empty(0), "e": torch.empty(0)}

    def look(name: str, a: torch.Tensor) -> None:
        if name in stored:
            stored[name] = torch.cat([stored[name], a])

    coded.scores(x, {}, look=look)
    smooth = copy.copy(coded)
    smooth.rounds = False

    def scores(name: str, values: torch.Tensor) -> torch.Tensor:
        return smooth.run({name: smooth.real(name, values)}, lambda other, a: a)

    for name, several in found.items():
        exact = scores(name, stored[name])
        for option, before in zip(several, options[name], strict=True):
            code = option.code
            assert code is before.code and option.bits == before.bits
            want = divergence(exact, scores(name, code(stored[name].to(torch.uint8)).float()))
            assert option.loss == pytest.approx(want, rel=1e-4) and want > 0
        fine, coarse = (min(o.loss for o in several if o.bits == k) for k in (3, 1))
        assert fine < coarse / 2


def test_what_is_behind_is_all_that_runs(coded: CodedGraph, pictures: torch.Tensor) -> None:
    x = pictures[:12]
    codes = {"b": _half, "e": _half}
    kept: dict[str, torch.Tensor] = {}
    coded.scores(x, {}, look=kept.__setitem__)
    assert torch.equal(coded.scores_after(x, kept, codes), coded.scores(x, codes))
    assert not torch.equal(coded.scores_after(x, kept, codes), coded.scores(x, {}))


def _half(a: torch.Tensor) -> torch.Tensor:
    return a // 2 * 2


def test_plain_means_leave_no_error_on_average(coded: CodedGraph, pictures: torch.Tensor) -> None:
    profile = profiles(coded, pictures, ["e"])["e"]
    fits = fit_tables(profile, (2, 4))
    assert tuple(fits) == FITS
    values = torch.arange(256, dtype=torch.float64)
    for k in (2, 4):
        assert torch.equal(fits["means"][k].thresholds, fits["weighted"][k].thresholds)
        error = (profile.counts * (fits["means"][k].decoded.double() - values)).sum(1)
        assert float((error.abs() / profile.counts.sum(1)).max()) <= 0.5  # levels are whole
        squares = {
            fit: float((profile.counts * (codes[k].decoded.double() - values).square()).sum())
            for fit, codes in fits.items()
        }
        assert squares["squares"] <= squares["means"] <= squares["weighted"]
        assert profile.loss(fits["weighted"][k]) <= profile.loss(fits["means"][k])


def test_parts_are_coded_with_their_whole() -> None:
    x = branching_pictures()
    graph, network = branching(x)
    options = {"abc": fixed_options(profiles(network, x, ["abc"])["abc"], (2,))}
    alone = measured(network, options, x)["abc"]
    both = measured(network, options, x, parts_of(graph))["abc"]
    assert all(b.loss != a.loss for a, b in zip(alone, both, strict=True))
    with pytest.raises(ValueError, match="needs one picture or more, not 0"):
        measured(network, options, x[:0])


def test_a_channel_that_never_matters_goes_by_its_values(
    coded: CodedGraph, pictures: torch.Tensor
) -> None:
    last = next(n for n in coded.graph.nodes if n.output == "f")
    assert isinstance(last, ConvNode)
    weight = last.weight.clone()
    weight[:, 3] = 0
    nodes = [replace(last, weight=weight) if n is last else n for n in coded.graph.nodes]
    deaf = CodedGraph(replace(coded.graph, nodes=nodes), coded.frac_bits)
    fits = fit_tables(profiles(deaf, pictures, ["e"])["e"], (3,))
    weighted, squares = fits["weighted"][3], fits["squares"][3]
    assert torch.equal(weighted.levels[3], squares.levels[3])
    assert torch.equal(weighted.thresholds[3], squares.thresholds[3])
    assert not torch.equal(weighted.levels, squares.levels)
