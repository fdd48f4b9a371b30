"""A whole engine as mapped to ECP5: with tables taken into its adders it is the same circuit."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftwork.flow.absorb import absorb
from shiftwork.flow.emit import emit
from shiftwork.flow.netlist import Area, cell_counts
from shiftwork.flow.scan import check_no_multiplier
from shiftwork.flow.synth import Target, map_design, wrap
from shiftwork.hw.config import preset

from .mapped import LOGIC, Bits, evaluate


def ends(module: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the nets where logic begins (inputs, registers, memories), and where it ends."""
    begins, stops = [], []
    for port in module["ports"].values():
        (begins if port["direction"] == "input" else stops).extend(port["bits"])
    for cell in module["cells"].values():
        if cell["type"] not in LOGIC:
            for port, nets in cell["connections"].items():
                output = cell["port_directions"][port] == "output"
                (begins if output else stops).extend(nets)
    return [n for n in begins if isinstance(n, int)], [n for n in stops if isinstance(n, int)]


def assert_same_logic(before: dict[str, Any], after: dict[str, Any], patterns: int = 256) -> None:
    """Compare all that registers, memories and outputs get, for random values of what logic has."""
    rng = np.random.default_rng(5)
    begins, stops = ends(before)
    assert ends(after) == (begins, stops) and len(stops) > 1000
    given: Bits = {net: rng.integers(0, 2, patterns).astype(bool) for net in begins}
    given["x"] = np.zeros(patterns, bool)
    want, got = evaluate(before, given), evaluate(after, given)
    different = [net for net in stops if not np.array_equal(want[net], got[net])]
    assert different == []


@pytest.mark.slow
def test_tiny_is_the_same_circuit_with_tables_in_its_adders(tmp_path: Path) -> None:
    emitted = emit(preset("tiny"), tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    before, none = map_design(work, emitted.verilog, emitted.top, Target(absorb=False))
    after = deepcopy(before)
    gone = absorb(after)
    assert none == 0 and gone > 100
    assert_same_logic(before, after)
    assert cell_counts(before) - cell_counts(after) == {"LUT4": gone}
    wrap(work, emitted.top, after)
    netlists = {"elaborated": work / "elaborated.json", "mapped": work / "mapped.json"}
    check_no_multiplier(netlists, emitted.top)
    assert Area.of(cell_counts(after)).dsp == 0
    table = next(
        cell for cell in after["cells"].values()
        if cell["type"] == "CCU2C" and isinstance(cell["connections"]["S0"][0], int)
    )  # fmt: skip
    init = table["parameters"]["INIT0"]
    table["parameters"]["INIT0"] = init.translate(str.maketrans("01", "10"))
    with pytest.raises(AssertionError):
        assert_same_logic(before, after)
