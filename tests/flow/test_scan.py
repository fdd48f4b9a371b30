"""The scan finds multipliers, and does not pass what it could not look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shiftwork.flow.emit import emit_component
from shiftwork.flow.scan import ScanError, check_no_multiplier, multipliers_in
from shiftwork.flow.synth import SynthResult, synthesise

from .designs import Multiply


def test_a_design_without_multiplier_passes(columns: tuple[Path, Path, SynthResult]) -> None:
    _, _, result = columns
    check_no_multiplier(result.netlists(), "columns")


def test_a_design_with_one_is_caught_in_both_netlists(tmp_path: Path) -> None:
    verilog = emit_component(Multiply(), "product", tmp_path).verilog
    result = synthesise(verilog, "product", cache=tmp_path / "cache")
    assert result.area.dsp == 1
    with pytest.raises(ScanError, match=r"elaborated netlist has 1 multiplier cells: \$mul at"):
        check_no_multiplier({"elaborated": result.elaborated}, "product")
    with pytest.raises(ScanError, match=r"mapped netlist has 1 multiplier cells: MULT18X18D at"):
        check_no_multiplier({"mapped": result.mapped}, "product")


@pytest.mark.parametrize(
    "kind",
    ["$mul", "$macc", "$macc_v2", "$div", "$mod", "$pow", "$__MUL16X16", "$__mul", "MULT18X18D",
     "MULT9X9D", "ALU54B", "ALU24B", "PRADD18A", "SB_MAC16", "DSP48E1", "DSP48E2", "MULTALU18X18",
     "MULT18X18", "MULTADDALU18X18", "MAC16"],
)  # fmt: skip
def test_every_kind_of_multiplier_is_known(kind: str) -> None:
    modules = {"top": {"cells": {"a": {"type": kind}}}}
    assert [m.kind for m in multipliers_in(modules, "top")] == [kind]


@pytest.mark.parametrize(
    "kind", ["$add", "$sub", "$alu", "$mux", "$shl", "$shiftx", "$fa", "LUT4", "CCU2C", "DP16KD",
             "TRELLIS_FF", "PFUMX", "SB_LUT4", "SB_CARRY", "$modfoo", "ALU"],
)  # fmt: skip
def test_adders_and_shifters_are_none(kind: str) -> None:
    assert multipliers_in({"top": {"cells": {"a": {"type": kind}}}}, "top") == []


def test_the_hierarchy_is_searched_below_the_top_only() -> None:
    modules = {
        "top": {"cells": {"a": {"type": "middle"}}},
        "middle": {"cells": {"b": {"type": "inner"}, "c": {"type": "inner"}}},
        "inner": {"cells": {"m": {"type": "$mul"}}},
        "elsewhere": {"cells": {"m": {"type": "$mul"}}},
    }
    (found,) = multipliers_in(modules, "top")
    assert (found.kind, found.path) == ("$mul", "inner.m")


def test_an_empty_or_wrong_netlist_does_not_pass(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"modules": {"top": {"cells": {}}}}))
    with pytest.raises(ValueError, match="is empty"):
        check_no_multiplier({"mapped": path}, "top")
    with pytest.raises(ValueError, match="no module 'engine'"):
        check_no_multiplier({"mapped": path}, "engine")
