"""A small array from circuit to energy: exact, and only the workload's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftwork.flow.array_workload import workload
from shiftwork.flow.asic.library import Library
from shiftwork.flow.asic.mapping import Netlist, map_array
from shiftwork.flow.asic.simulate import Mismatch, Toggles, simulate
from shiftwork.flow.asic.sta import NotAnnotated, delays, power
from shiftwork.hw.arrays.circuits import CIRCUITS

from .conftest import scene

ROWS, COLS, PERIOD = 4, 2, 40.0
CIRCUIT = CIRCUITS["n1"]
Mapped = tuple[Netlist, Path, float]


@pytest.fixture(scope="module")
def mapped(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    work = tmp_path_factory.mktemp("mapped")
    netlist = map_array(CIRCUIT, ROWS, COLS, library, work)
    return netlist, work, delays(work, PERIOD).critical


def run(mapped: Mapped, library: Library, seed: int, mode: str, **changes: Any) -> Toggles:
    netlist, work, _ = mapped
    shown = workload(CIRCUIT, [scene(seed)], mode, 16, ROWS, COLS)
    shown = replace(shown, **changes)
    return simulate(CIRCUIT, ROWS, netlist, shown, library, work, PERIOD)


def energy(mapped: Mapped, toggles: Toggles) -> dict[str, float]:
    blocks, share = power(mapped[0], toggles, mapped[1], PERIOD)
    assert share >= 0.99
    for block in blocks.values():
        assert block.internal >= 0
        assert block.switching >= 0
        assert block.leakage > 0
    return {name: block.total for name, block in blocks.items()}


def test_the_netlist_is_the_circuit(mapped: Mapped) -> None:
    netlist, _, critical = mapped
    kinds = netlist.kinds()
    lanes = ROWS * COLS
    assert kinds["MUX2X1"] == 21 * lanes
    assert kinds["DFFPOSX1"] == ROWS * 8 + lanes * 5 + 2 * COLS * CIRCUIT.acc_bits
    assert kinds["FAX1"] == COLS * (ROWS * 14 - 1)
    assert set(netlist.area) == {"select", "tree", "accumulators", "weights", "activations"}
    assert netlist.area["accumulators"] == COLS * CIRCUIT.acc_bits * 96
    assert 2 < critical < PERIOD


def test_another_workload_has_another_energy(mapped: Mapped, library: Library) -> None:
    one, two = (energy(mapped, run(mapped, library, seed, "held")) for seed in (1, 2))
    assert sum(one.values()) > 1e-4  # watts: a few pJ per product at 25 MHz
    assert all(abs(one[block] / two[block] - 1) > 1e-3 for block in ("select", "tree"))
    still = run(mapped, library, 1, "held")
    quiet = replace(still, nets={n: c if n.startswith("clk") else 0 for n, c in still.nets.items()})
    silent = energy(mapped, quiet)
    assert silent["tree"] < 1e-3 * one["tree"]  # leakage is left
    assert silent["accumulators"] > 0.5 * one["accumulators"]  # the clock is left


def test_weights_that_change_cost_more(mapped: Mapped, library: Library) -> None:
    held, changing = (energy(mapped, run(mapped, library, 1, m)) for m in ("held", "changing"))
    assert changing["weights"] > 4 * held["weights"]
    assert changing["select"] > held["select"]


def test_a_library_whose_adders_are_not_known(library: Library, work: Path) -> None:
    """The gates that the circuit names become plain logic: exact too, but larger."""
    plain = replace(library, gates=None)
    netlist = map_array(CIRCUIT, ROWS, COLS, plain, work)
    kinds = netlist.kinds()
    assert kinds["FAX1"] == 0
    assert set(netlist.area) == {"logic", "accumulators", "weights", "activations"}
    delays(work, PERIOD)
    toggles = run((netlist, work, 0.0), plain, 1, "held")
    assert toggles.sums == (16 + 2) * COLS
    assert energy((netlist, work, 0.0), toggles)["logic"] > 0


def test_without_annotation_it_fails(mapped: Mapped, library: Library) -> None:
    toggles = run(mapped, library, 1, "held")
    with pytest.raises(NotAnnotated, match=r"only 0\.0% .* 95% are needed"):
        power(mapped[0], replace(toggles, nets={}), mapped[1], PERIOD)
    some = dict(list(toggles.nets.items())[::2])
    with pytest.raises(NotAnnotated):
        power(mapped[0], replace(toggles, nets=some), mapped[1], PERIOD)


def test_a_wrong_sum_is_found(mapped: Mapped, library: Library) -> None:
    products = workload(CIRCUIT, [scene(1)], "held", 16, ROWS, COLS).products.copy()
    products[7, 1] += 1
    with pytest.raises(Mismatch, match=r"n1: 1 of 18 beats differ; beat 9 gave"):
        run(mapped, library, 1, "held", products=products)


def test_a_sum_beyond_the_accumulator_is_refused(mapped: Mapped, library: Library) -> None:
    sums = np.full((16, COLS), 1 << CIRCUIT.acc_bits)
    with pytest.raises(ValueError, match="does not fit"):
        run(mapped, library, 1, "held", sums=sums)
