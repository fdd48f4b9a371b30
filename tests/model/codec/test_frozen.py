"""Plane codes in integers: what they compute, how they are written, what is refused."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from shiftwork.model.codec.frozen import (
    FrozenPlanes,
    Kind,
    Layer,
    Mode,
    layer_sums,
)
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.saved import code_from_dict
from shiftwork.model.codec.table import TableCode
from shiftwork.model.codec.threshold import PlaneCode

CASES: list[tuple[Kind, int, Mode, int, int]] = [
    ("channel", 1, "ternary", 4, 8),
    ("channel", 2, "int8", 2, 11),
    ("channel", 2, "ternary", 2, 6),
    ("spatial", 1, "int8", 4, 8),
    ("spatial", 2, "ternary", 1, 5),
]


def shaken(kind: Kind, depth: int, mode: Mode, group: int, hidden: int) -> FrozenPlanes:
    """Return a code with random integers."""
    code = PlaneCode(4, 5, kind=kind, depth=depth, mode=mode, group=group, hidden=hidden).frozen()
    generator = torch.Generator().manual_seed(7)
    top = 1 if mode == "ternary" else 127

    def other(layer: Layer) -> Layer:
        weights = torch.randint(-top, top + 1, layer.weights.shape, generator=generator)
        reach = 3 * top
        steps = torch.randint(-reach, reach + 1, layer.thresholds.shape, generator=generator)
        return replace(layer, weights=weights.to(torch.int8), thresholds=steps.int())

    sides = (tuple(other(layer) for layer in side) for side in (code.there, code.back))
    return FrozenPlanes(code.form, *sides)


@pytest.mark.parametrize("case", CASES)
def test_a_code_is_read_back_as_it_was_written(case: tuple[Kind, int, Mode, int, int]) -> None:
    code = shaken(*case)
    again = code_from_dict(json.loads(json.dumps(code.to_dict())))
    assert isinstance(again, FrozenPlanes) and again.form == replace(code.form)
    a = torch.randint(256, (3, 4, 5, 6), dtype=torch.uint8)
    assert torch.equal(again.encode(a), code.encode(a))
    assert torch.equal(again(a), code(a))
    assert len(code(a).unique()) > 2
    assert again.to_dict() == code.to_dict()
    assert again.table_bits == code.table_bits > 0


@pytest.mark.parametrize("case", CASES)
def test_floats_compute_what_integers_do(case: tuple[Kind, int, Mode, int, int]) -> None:
    code = shaken(*case)
    a = torch.randint(256, (2, 4, 6, 6), dtype=torch.uint8)
    bits = code.form.split(torch.cat([(a >> j) & 1 for j in range(8)], 1), 8)
    for number, layer in enumerate((*code.there, *code.back)):
        wide = code.form.kind == "spatial" and number == len(code.there) - 1
        size = (3, 3) if wide else (6, 6)
        sums = layer_sums(
            bits.long(), layer.weights.long(), layer.stride, layer.groups, layer.mirrored, size
        )
        want = (sums >= layer.thresholds.long().view(-1, 1, 1)).to(torch.uint8)
        bits = layer(bits, size)
        assert torch.equal(bits, want)


def test_a_table_is_read_through_the_same_interface() -> None:
    table = best_tables(torch.ones(3, 256).double(), [2])[2]
    again = code_from_dict(table.to_dict())
    assert isinstance(again, TableCode) and torch.equal(again.levels, table.levels)


def damaged(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return the fields of a code, one of them another."""
    data = copy.deepcopy(shaken("channel", 2, "ternary", 2, 6).to_dict())
    at: Any = data
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kind",), "gates", "kind must be one of table, switched, channel, spatial, not 'gates'"),
        (("mode",), "float", "mode must be 'ternary' or 'int8', not 'float'"),
        (("channels",), 4.0, r"channels must be an integer, not 4\.0"),
        (("bits",), True, "bits must be an integer, not True"),
        (("bits",), 9, r"bits must be 1\.\.8, not 9"),
        (("hidden",), 0, r"hidden planes must be 1\.\.255, not 0"),
        (("group",), 3, "groups of 3 do not divide 4 channels"),
        (("there",), None, "there must be a list of layers, not None"),
        (("there",), [], "depth 0"),
        (("back",), [], "back must have 2 layers, not 0"),
        (("back", 1), 5, r"back\[1\] must be a layer, not 5"),
        (("there", 0, "weights", 0, 0, 0, 0), 2, r"there\[0\]\.weights must be integers -1\.\.1"),
        (("there", 0, "weights", 0, 0, 0, 0), 0.5, r"there\[0\]\.weights must be integers"),
        (("there", 1, "weights"), [[[[0]]]], r"there\[1\]\.weights must be \(20, 12, 1, 1\), not"),
        (("back", 0, "weights", 3), [], r"back\[0\]\.weights must be lists of equal lengths"),
        (("back", 1, "thresholds", 0), 32768, r"back\[1\]\.thresholds must be integers -32768"),
        (("back", 1, "thresholds"), [0], r"back\[1\]\.thresholds must be \(32,\), not \(1,\)"),
        (("back", 0, "thresholds"), None, r"back\[0\]\.thresholds must be lists"),
    ],
)
def test_damaged_codes_are_refused_by_field(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        code_from_dict(damaged(path, value))
    assert "\n" not in str(caught.value)


def test_layers_that_do_not_fit_a_form_are_refused() -> None:
    code = PlaneCode(4, 3, kind="spatial").frozen()
    (there,), (back,) = code.there, code.back
    with pytest.raises(ValueError, match=r"there\[0\]\.stride must be 2, not 1"):
        FrozenPlanes(code.form, (replace(there, stride=1),), (back,))
    with pytest.raises(ValueError, match=r"back\[0\]\.mirrored must be True, not False"):
        FrozenPlanes(code.form, (there,), (replace(back, mirrored=False),))
    with pytest.raises(ValueError, match=r"there\[0\]\.weights must be -1\.\.1, not 0\.\.3"):
        FrozenPlanes(code.form, (replace(there, weights=3 * there.weights.abs()),), (back,))
    with pytest.raises(ValueError, match="there must have 1 layers, not 2"):
        FrozenPlanes(code.form, (there, there), (back,))
    with pytest.raises(ValueError, match=r"thresholds must be integers, not torch\.float32"):
        FrozenPlanes(code.form, (replace(there, thresholds=there.thresholds.float()),), (back,))
