"""The files that energy takes are looked through before any work."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from shiftwork.flow.energy_inputs import open_accuracy, open_arrays, open_engines, strange_layers
from shiftwork.model.graph import ConvNode
from shiftwork.model.zoo import MODELS

from .test_energy import ACCURACY, ARRAYS, ENGINES


def write(folder: Path, data: Any) -> Path:
    path = folder / "it.json"
    path.write_text(json.dumps(data))
    return path


def test_good_files_are_taken(tmp_path: Path) -> None:
    assert open_arrays(write(tmp_path, ARRAYS)) == ARRAYS
    assert open_accuracy(write(tmp_path, ACCURACY), ["resnet8"]) == ACCURACY
    assert open_engines(write(tmp_path, ENGINES)) == ENGINES


@pytest.mark.parametrize("at", ["library", "circuits", "circuits[1].modes.changing.energy_total"])
def test_a_key_that_arrays_lack_is_named(at: str, tmp_path: Path) -> None:
    data = copy.deepcopy(ARRAYS)
    *above, key = at.replace("[1]", "").split(".")
    place: Any = data
    for name in above:
        place = place[name][1] if name == "circuits" else place[name]
    del place[key]
    path = write(tmp_path, data)
    with pytest.raises(ValueError) as caught:
        open_arrays(path)
    assert str(caught.value) == f"{path}: {at} is missing: run `shiftwork bench-array` again"


def test_a_circuit_that_was_not_measured_is_named_with_the_file(tmp_path: Path) -> None:
    few = [row for row in ARRAYS["circuits"] if row["name"] != "n2_b3_priced"]
    path = write(tmp_path, ARRAYS | {"circuits": few})
    with pytest.raises(ValueError, match=r"it\.json: circuit n2_b3_priced was not measured: run"):
        open_arrays(path)
    greedy = ARRAYS | {"circuits": few, "rounded": False}
    assert open_arrays(write(tmp_path, greedy)) == greedy


def test_what_engines_lack_is_named(tmp_path: Path) -> None:
    rows = [dict(row) for row in ENGINES["engines"]]
    del rows[1]["pj_per_cycle_array"]
    path = write(tmp_path, ENGINES | {"engines": rows})
    with pytest.raises(ValueError, match=r"engines\[1\]\.pj_per_cycle_array is missing: run `shi"):
        open_engines(path)


@pytest.mark.parametrize("name", ["power_cycles", "beats", "power_checked"])
def test_an_engine_that_did_nothing_is_refused(name: str, tmp_path: Path) -> None:
    rows = [row | {name: 0} for row in ENGINES["engines"]]
    path = write(tmp_path, ENGINES | {"engines": rows})
    says = rf"it\.json: engines\[\d\]\.{name} must be 1 or more, not 0: run `shiftwork bench-"
    with pytest.raises(ValueError, match=says):
        open_engines(path)


def test_accuracies_of_other_networks_are_refused(tmp_path: Path) -> None:
    entry = ACCURACY["networks"][0]
    path = write(tmp_path, {"note": "", "networks": [entry, entry | {"network": "vgg"}]})
    says = r"it\.json: networks\[1\]\.network must be one of .*squeezenet1_1.*, not 'vgg': run `sh"
    with pytest.raises(ValueError, match=says):
        open_accuracy(path, ["resnet8"])


def test_accuracies_of_other_layers_are_refused(tmp_path: Path) -> None:
    nodes = MODELS["resnet8"].load_float().nodes
    names = [node.name for node in nodes if isinstance(node, ConvNode)]
    row = ACCURACY["networks"][0]["sensitivity"][0]
    entry = ACCURACY["networks"][0] | {
        "network": "resnet8", "sensitivity": [row | {"name": name} for name in names],
        "mixes": {"mixed 1.5": {"terms": dict.fromkeys(names, 1)}},
    }  # fmt: skip
    known = {"note": "", "networks": [entry]}
    assert open_accuracy(write(tmp_path, known), ["resnet8"]) == known
    for change, where in (
        ({"sensitivity": entry["sensitivity"][1:]}, "sensitivity"),
        ({"mixes": {"mixed 1.5": {"terms": {names[0]: 1}}}}, "mixes.mixed 1.5.terms"),
    ):
        path = write(tmp_path, {"note": "", "networks": [entry | change]})
        assert open_accuracy(path, ["squeezenet1_1"])  # nobody asks for it
        with pytest.raises(ValueError) as caught:
            open_accuracy(path, ["resnet8"])
        at = f"{path}: networks[0].{where}"
        again = "run `shiftwork accuracy` again"
        assert str(caught.value) == f"{at} are not of the layers of resnet8: {again}"
    assert strange_layers(entry) is None
