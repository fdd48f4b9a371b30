"""N per layer under a budget of cycles: the whole network keeps it."""

from __future__ import annotations

from shiftwork.hw.config import preset
from shiftwork.model.calibrate import calibrate
from shiftwork.model.mixed import Sensitivity
from shiftwork.model.mixed_cycles import (
    choose_by_cycles,
    layer_cycles,
    mixed_cycles,
    network_cycles,
)
from shiftwork.model.quantize import quantize

from .rounding.test_driver import PICTURES, blocks


def test_the_whole_network_keeps_every_budget() -> None:
    graph, config = blocks(), preset("base")
    scales = calibrate(graph, PICTURES.split(8))
    cycles = layer_cycles(graph, scales, config)
    sensitivities = [
        Sensitivity(name, 100, 0.1 * number, 0.1, 0.01) for number, name in enumerate(cycles, 1)
    ]
    ends = [network_cycles(quantize(graph, scales, terms=n), config) for n in (1, 2)]
    used = set()
    for twelfth in range(13):
        budget = ends[0] + (ends[1] - ends[0]) * twelfth / 12
        mix, curve = choose_by_cycles(sensitivities, budget, graph, scales, config)
        found = mixed_cycles(graph, scales, mix.terms, config)
        assert ends[0] <= found <= budget
        assert curve[0].cost == sum(low for low, _ in cycles.values())
        used.add(found)
    assert {ends[0], ends[1]} <= used and len(used) > 3
    assert all(low <= high for low, high in cycles.values())
