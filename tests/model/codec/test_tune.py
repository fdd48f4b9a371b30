"""Coded networks, choosing and tuning, on a small network with random weights."""

from dataclasses import replace

import pytest
import torch

from shiftwork.model.codec.choose import choose, pick, pick_at_most
from shiftwork.model.codec.coded import CodedGraph, fisher_weights, histograms
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.maps import mean_bits, stored_maps, values_of
from shiftwork.model.codec.options import fixed_options, masked_options, profiles
from shiftwork.model.codec.pair import JointMeans, PairCode, best_pairs
from shiftwork.model.codec.soft import SoftTable
from shiftwork.model.codec.start import of_table
from shiftwork.model.codec.tune import Tuning, tune
from shiftwork.model.codec.zeros import ZeroMask
from shiftwork.model.graph import ConvNode
from shiftwork.model.mixed import divergence
from shiftwork.model.quantize import activations_only


def test_stored_maps_are_pooled_and_whole(coded: CodedGraph) -> None:
    names = stored_maps(coded.graph)
    assert names == ["p", "b", "e", "f"]
    values = values_of(coded.graph, names)
    assert values == {"p": 512, "b": 384, "e": 1024, "f": 640}
    assert mean_bits(values, {"e": 4.0}) == pytest.approx(8 - 4 * 1024 / 2560)


def test_without_codes_it_is_the_network_with_stored_activations(
    coded: CodedGraph, pictures: torch.Tensor
) -> None:
    want = activations_only(coded.graph, coded.frac_bits, pictures).flatten(1)
    assert torch.allclose(coded.scores(pictures, {}), want, atol=1e-5)


def test_a_code_is_what_the_next_layer_reads(coded: CodedGraph, pictures: torch.Tensor) -> None:
    counts = histograms(coded, [pictures], ["p", "e"])
    assert counts["p"].sum() == 96 * 512
    code = best_tables(counts["e"], [3])[3]
    seen: dict[str, torch.Tensor] = {}

    def look(name: str, a: torch.Tensor) -> None:
        seen.setdefault(name, a)

    coded.scores(pictures, {"e": code}, look=look)
    assert counts["e"].sum() == code.encode(seen["e"]).numel() * (96 / len(seen["e"]))
    assert float(counts["e"][8:, 128:].sum()) > 0  # part d is signed, around 128
    zeros = torch.zeros_like(coded.scores(pictures, {}))
    assert not torch.equal(coded.scores(pictures, {"e": code}), zeros)
    assert torch.equal(coded.scores(pictures, {"e": lambda a: a}), coded.scores(pictures, {}))


def test_predicted_loss_is_that_of_errors_that_do_not_hang_together(
    coded: CodedGraph, pictures: torch.Tensor
) -> None:
    profile = profiles(coded, pictures, ["e"])["e"]
    generator = torch.Generator().manual_seed(5)

    def shake(a: torch.Tensor) -> torch.Tensor:
        step = 32 * torch.randint(2, a.shape, generator=generator) - 16
        inside = (a >= 16) & (a < 240)  # clipping would give the errors a sign
        return (a.int() + step * inside).to(torch.uint8)

    reference = coded.scores(pictures, {})
    found = divergence(reference, coded.scores(pictures, {"e": shake}))
    assert found == pytest.approx(256 * float(profile.weights[:, 16:240].sum()), rel=0.3)
    weights = fisher_weights(coded, [pictures], ["b"])["b"]
    assert bool((weights >= 0).all()) and float(weights.sum()) > 0


def test_masked_options_store_what_they_say(coded: CodedGraph, pictures: torch.Tensor) -> None:
    profile = profiles(coded, pictures, ["b"])["b"]
    seen: list[torch.Tensor] = []
    coded.scores(pictures, {}, look=lambda name, a: seen.append(a) if name == "b" else None)
    a = torch.cat(seen)
    dear, cheap = (masked_options(profile, [3], price)[0] for price in (1e-2, 0.0))
    assert dear.bits <= cheap.bits
    for option in (dear, cheap):
        assert ZeroMask(option.code).stored_bits(a) / a.numel() == pytest.approx(option.bits)


def test_choosing_keeps_the_drop(coded: CodedGraph, pictures: torch.Tensor) -> None:
    names = stored_maps(coded.graph)
    best, curve = choose(coded, names, pictures[:72], pictures[72:], max_drop=5.0)
    assert best is not None and best.drop <= 5.0
    assert all(point.choice.bits >= best.choice.bits for point in curve if point.drop <= 5.0)
    assert [point.choice.bits for point in curve] == sorted(p.choice.bits for p in curve)
    assert curve[0].choice.loss >= curve[-1].choice.loss
    with pytest.raises(ValueError, match="max_drop must not be negative"):
        choose(coded, names, pictures, pictures, max_drop=-1)


def test_a_mean_rate_is_kept_and_used(coded: CodedGraph, pictures: torch.Tensor) -> None:
    names = ["p", "b", "e"]
    known = profiles(coded, pictures, names)
    options = {name: fixed_options(known[name], (2, 3, 4, 5)) for name in names}
    values = values_of(coded.graph, names)
    for most in (2.0, 3.2, 4.0, 8.0):
        choice = pick_at_most(options, values, most)
        assert choice.bits <= most
        cheaper = pick(options, values, choice.price * 0.999)
        assert cheaper.bits > most or choice.bits == cheaper.bits
        every = [pick(options, values, 10.0**-p) for p in range(12)]
        assert choice.loss <= min(other.loss for other in every if other.bits <= most)
    assert pick_at_most(options, values, 8.0).options == {}
    alike = pick_at_most(options, values, 3.2, [["b", "e"]])
    assert alike.options["b"].bits == alike.options["e"].bits
    with pytest.raises(ValueError, match=r"cannot be stored in 1\.5 bits .* are 2"):
        pick_at_most(options, values, 1.5)


@pytest.mark.parametrize("encoder", [True, False])
def test_tuning_lowers_the_divergence_and_gives_what_it_computed(
    coded: CodedGraph, pictures: torch.Tensor, encoder: bool
) -> None:
    counts = histograms(coded, [pictures], ["b", "e"])
    codes = {name: best_tables(counts[name], [2])[2] for name in counts}
    recipe = Tuning(steps=12, every=4, rate=0.3, encoder=encoder)
    tuned = tune(coded, codes, pictures[:72], pictures[72:], recipe)
    assert tuned.step > 0
    assert [step for step, _ in tuned.history] == [0, 4, 8, 12]
    least = min(loss for _, loss in tuned.history)
    assert least < 0.9 * tuned.history[0][1]
    reference = coded.scores(pictures[72:], {})
    found = divergence(reference, tuned.network.scores(pictures[72:], tuned.codes))
    assert found == pytest.approx(least)
    if not encoder:
        assert all(torch.equal(tuned.codes[n].thresholds, codes[n].thresholds) for n in codes)


def test_plane_codes_are_tuned_as_tables_are(coded: CodedGraph, pictures: torch.Tensor) -> None:
    counts = histograms(coded, [pictures], ["b", "e"])
    tables = {name: best_tables(counts[name], [2])[2] for name in counts}
    codes = {name: of_table(code) for name, code in tables.items()}
    start = divergence(coded.scores(pictures[72:], {}), coded.scores(pictures[72:], tables))
    for rate in (0.0, 0.001):
        recipe = Tuning(steps=8, every=4, plane_rate=rate)
        tuned = tune(coded, codes, pictures[:72], pictures[72:], recipe)
        assert tuned.history[0][1] == pytest.approx(start)
        least = min(loss for _, loss in tuned.history)
        reference = coded.scores(pictures[72:], {})
        found = divergence(reference, tuned.network.scores(pictures[72:], tuned.codes))
        assert found == pytest.approx(least) and least < start
        if not rate:
            assert all(tuned.codes[n].to_dict() == codes[n].to_dict() for n in codes)
    with pytest.raises(ValueError, match="nothing would learn"):
        tune(coded, codes, pictures[:72], pictures[72:], Tuning(network_rate=0))


def test_weights_learn_as_they_are_stored(coded: CodedGraph, pictures: torch.Tensor) -> None:
    counts = histograms(coded, [pictures], ["b"])
    codes = {"b": best_tables(counts["b"], [2])[2]}
    step = 1 / 64

    def rounder(name: str, weight: torch.Tensor) -> torch.Tensor:
        return (weight / step).round() * step

    nodes = [
        replace(n, weight=rounder(n.name, n.weight)) if isinstance(n, ConvNode) else n
        for n in coded.graph.nodes
    ]
    rounded = CodedGraph(replace(coded.graph, nodes=nodes), coded.frac_bits)
    recipe = Tuning(steps=12, every=4, network_rate=0, weight_rate=0.02)
    tuned = tune(
        rounded, codes, pictures[:72], pictures[72:], recipe, teacher=coded, rounder=rounder
    )  # fmt: skip
    assert tuned.step > 0
    before = {n.name: n.weight for n in nodes if isinstance(n, ConvNode)}
    after = {n.name: n.weight for n in tuned.network.graph.nodes if isinstance(n, ConvNode)}
    assert all(torch.equal(w, rounder(name, w)) for name, w in after.items())
    assert any(not torch.equal(w, before[name]) for name, w in after.items())
    found = divergence(
        coded.scores(pictures[72:], {}), tuned.network.scores(pictures[72:], tuned.codes)
    )
    assert found == pytest.approx(min(loss for _, loss in tuned.history))
    assert found < tuned.history[0][1]


def test_a_soft_table_computes_what_its_frozen_code_does() -> None:
    counts = torch.rand(4, 256, generator=torch.Generator().manual_seed(3)).double()
    soft = SoftTable(best_tables(counts, [3])[3])
    with torch.no_grad():
        soft.levels.add_(9 * torch.randn(4, 8, generator=torch.Generator().manual_seed(4)))
    soft.settle()
    a = torch.randint(256, (2, 4, 5, 6), dtype=torch.uint8)
    stored = a.float().requires_grad_()
    out = soft(stored)
    assert torch.equal(out.to(torch.uint8), soft.frozen()(a))
    assert torch.equal(torch.autograd.grad(out.sum(), stored)[0], torch.ones_like(stored))


def test_bad_recipes_are_refused(coded: CodedGraph, pictures: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        Tuning(steps=0)
    with pytest.raises(ValueError, match="rate must be positive"):
        Tuning(rate=0.0)
    with pytest.raises(ValueError, match="at least one coded map"):
        tune(coded, {}, pictures, pictures)
    with pytest.raises(ValueError, match="plane_rate must not be negative, not -1"):
        Tuning(plane_rate=-1)


@pytest.mark.parametrize("bits", [5, 7, 8])
def test_a_pair_is_never_worse_than_its_halves(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    base = torch.randn(6000, generator=generator).abs()
    rows = [base * gain + torch.randn(6000, generator=generator) * 4 for gain in (20, 15, 60, 3)]
    a = torch.stack(rows).clamp(0, 255).round().to(torch.uint8)[None]
    counts = torch.stack([torch.bincount(row.long(), minlength=256) for row in a[0]]).double()

    def error(read: torch.Tensor) -> float:
        return float((read.double() - a.double()).square().sum())

    pairs = best_pairs(counts, bits)
    assert int(pairs.encode(a).max()) < 1 << bits
    assert torch.equal(pairs.decode(pairs.encode(a)), pairs(a))
    means = JointMeans(pairs)
    means.add(a)
    joint = means.joint()
    assert error(joint(a)) <= error(pairs(a)) * 1.001
    table = best_tables(counts, [bits // 2])[bits // 2]
    assert error(pairs(a)) <= error(table(a)) * 1.001
    assert pairs.table_bits > 0 and pairs.channels == 4


def test_bad_pairs_are_refused() -> None:
    good = best_pairs(torch.ones(2, 256).double(), 3)
    with pytest.raises(ValueError, match="even number of channels, not 3"):
        best_pairs(torch.ones(3, 256).double(), 3)
    with pytest.raises(ValueError, match=r"bits must be 2\.\.8, not 9"):
        best_pairs(torch.ones(2, 256).double(), 9)
    with pytest.raises(ValueError, match="levels of a pair must fit 3 bits"):
        PairCode(3, good.counts * 3, good.thresholds, good.levels)
    with pytest.raises(ValueError, match="codes must have 3 bits, not value 8"):
        good.decode(torch.full((1, 1, 1), 8, dtype=torch.uint8))
