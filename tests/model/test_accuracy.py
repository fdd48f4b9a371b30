from __future__ import annotations

import json

import pytest

from shiftwork.hw.config import preset
from shiftwork.model.accuracy import CYCLE_SOURCES, Result, Row, digest_sources, evaluate
from shiftwork.model.variants import FRUGAL, VARIANTS, Variant


def test_a_few_pictures_and_every_kind_of_row() -> None:
    told: dict[str, tuple[int, int]] = {}

    def tell(what: str, done: int, total: int) -> None:
        told[what] = (done, total)

    variants = [
        Variant("greedy", 2, scale="layer"), Variant("greedy", 1.3),
        Variant("greedy", 1, 8, integer=True), Variant("greedy", 1.02, cycles=True),
        Variant("greedy", 2, act_bits=2),
    ]  # fmt: skip
    result = evaluate(
        "squeezenet1_1", variants, limit=6, calibration=4, crops=2, judges=1,
        config=preset("base"), progress=tell,
    )  # fmt: skip
    names = [row.variant for row in result.rows]
    assert names == ["float", "8-bit activations", "N=2, B=4, greedy, layer scale",
                     "mixed 1.3, B=4, greedy", "int8, nearest",
                     "mixed, 1.02 x the cycles, B=4, greedy",
                     "N=2, B=4, greedy, 2-bit activations"]  # fmt: skip
    exact, _, two, mixed, integer, cheap, coarse = result.rows
    assert exact.agree == exact.pictures == 6 and exact.divergence == 0.0
    assert exact.bytes == 4 * 1_235_496
    assert all(row.top1 <= row.top5 <= 6 for row in result.rows)
    assert two.bits_per_weight == 8.0 and two.bytes < exact.bytes / 2
    assert two.mean_terms is not None and two.zero_terms is not None
    assert two.mean_terms == pytest.approx(2 * (1 - two.zero_terms))
    mix = result.mixes[names[3]]
    assert 1.2 < mix.mean_terms <= 1.3
    assert mixed.bits_per_weight == pytest.approx(4 * mix.mean_terms)
    by_cycles = result.mixes[cheap.variant]
    assert 1 < by_cycles.mean_terms < mix.mean_terms
    assert 4 < cheap.bits_per_weight == pytest.approx(4 * by_cycles.mean_terms)
    assert coarse.divergence > 3 * two.divergence
    assert integer.bits_per_weight == 8.0 and integer.mean_terms is None
    assert integer.agree >= 5 and integer.divergence < two.divergence
    assert len(result.sensitivities) == 26 and len(result.curve) == 27
    assert len(result.calibration.ranges) == 38
    assert all(done == total for done, total in told.values())
    assert result.options["engine"] == preset("base").to_dict()
    again = Result.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result


def test_the_table_has_what_is_to_be_shown() -> None:
    names = {variant.name for variant in (*VARIANTS, *FRUGAL)}
    assert {"N=1, B=4, compensated", "mixed 1.25, B=4, compensated", "N=2, B=3, compensated",
            "N=2, B=4, greedy, layer scale", "int4, compensated",
            "N=2, B=3, compensated, price 0.02"} <= names  # fmt: skip
    assert len(names) == len(VARIANTS) + len(FRUGAL)
    assert Row("float", 3, 4, 5, 8).percent(3) == 37.5


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"accuracy knows squeezenet1_1, .* not 'vgg'"):
        evaluate("vgg")


def test_a_budget_of_cycles_needs_an_engine() -> None:
    says = "^'mixed, 1.1 x the cycles, B=4, compensated' is a budget of cycles: say of which engine"
    with pytest.raises(ValueError, match=says):
        evaluate("squeezenet1_1", FRUGAL)


def test_the_digest_is_of_the_sources_that_decide() -> None:
    some = digest_sources(("rounding/*.py",))
    assert some != digest_sources() and some == digest_sources(("rounding/*.py",))
    every = {digest_sources((pattern,)) for pattern in CYCLE_SOURCES}
    assert digest_sources(()) not in every  # none of them is the digest of nothing
    assert len({digest_sources(), digest_sources(CYCLE_SOURCES)} | every) == 2 + len(CYCLE_SOURCES)
