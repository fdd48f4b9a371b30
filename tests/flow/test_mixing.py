"""A budget of terms or of cycles gives a network that keeps it, and a curve."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shiftwork.flow.mixing import mix_terms
from shiftwork.hw.config import preset
from shiftwork.model.calibrate import calibrate
from shiftwork.model.golden import run
from shiftwork.model.mixed_cycles import network_cycles
from shiftwork.model.quantize import quantize
from tests.model.rounding.test_driver import PICTURES, blocks


def test_a_budget_of_terms_is_kept_and_the_curve_written(tmp_path: Path) -> None:
    graph = blocks()
    scales = calibrate(graph, PICTURES.split(8))
    told: dict[str, tuple[int, int]] = {}

    def tell(what: str, done: int, total: int) -> None:
        told[what] = (done, total)

    mixed = mix_terms(graph, scales, PICTURES[5:], PICTURES[:5], 1.5, bits=3, progress=tell)
    assert told == {"sensitivity": (10, 10), "round": (5, 5)}
    used = {layer.name: layer.weights.codebook.terms for layer in mixed.network.convolutions()}
    assert used == mixed.mix.terms and set(used.values()) == {1, 2}
    assert 1.0 < mixed.mix.mean_terms <= 1.5 and mixed.agreement.pictures == 5
    x = PICTURES[:5]
    got = (run(mixed.network, x)["y"].flatten(1).long() - 128).argmax(1)
    want = graph.run(x)["y"].flatten(1).argmax(1)
    assert float((got == want).double().mean()) == mixed.agreement.share
    mixed.save(tmp_path)
    document = json.loads((tmp_path / "curve.json").read_text())
    assert document["chosen"]["mean_terms"] == mixed.mix.mean_terms
    assert document["unit"] == "terms per weight" and len(document["curve"]) == 6
    assert (tmp_path / "curve.svg").read_text().rstrip().endswith("</svg>")


def test_a_budget_of_cycles_is_the_whole_networks() -> None:
    graph, config = blocks(), preset("base")
    scales = calibrate(graph, PICTURES.split(8))
    ends = [network_cycles(quantize(graph, scales, terms=n), config) for n in (1, 2)]
    budget = sum(ends) / 2
    mixed = mix_terms(graph, scales, PICTURES[5:], PICTURES[:5], budget, config=config, bits=3)
    assert mixed.engine == "base" and mixed.cycles is not None
    assert mixed.cycles == network_cycles(mixed.network, config)
    assert ends[0] < mixed.cycles <= budget
    least = rf"--budget must be at least {ends[0]:,} cycles, not 10"
    with pytest.raises(ValueError, match=least):
        mix_terms(graph, scales, PICTURES, PICTURES, 10, config=config)


def test_bad_calls_are_refused() -> None:
    graph = blocks()
    scales = calibrate(graph, PICTURES.split(8))
    with pytest.raises(ValueError, match="needs at least one picture to judge on"):
        mix_terms(graph, scales, PICTURES, PICTURES[:0], 1.5)
    with pytest.raises(ValueError, match="must be at least 1 terms per weight"):
        mix_terms(graph, scales, PICTURES, PICTURES, 0.5)
    whole = replace(graph, output="sum")
    with pytest.raises(ValueError, match="'blocks' has no scores per class"):
        mix_terms(whole, scales, PICTURES, PICTURES, 1.5)
