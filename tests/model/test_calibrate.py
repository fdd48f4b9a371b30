from __future__ import annotations

import json
import math

import pytest
import torch

from shiftwork.model import calibrate as module
from shiftwork.model.calibrate import OBSERVERS, Calibration, calibrate, observe
from shiftwork.model.graph import ConvNode, Graph

SEED = 5


def one_layer(relu: bool = True) -> Graph:
    """Return a graph whose tensor ``a`` is its input times 1, and whose output is the same."""
    one = torch.ones(1, 1, 1, 1)
    nodes = [
        ConvNode("a", "x", "a", one, torch.zeros(1), relu=relu),
        ConvNode("y", "a", "y", one, torch.zeros(1), relu=relu),
    ]
    return Graph("one", "x", "y", (1, 16, 16), nodes, frac_bits=3)  # type: ignore[arg-type]


def pictures(count: int, peak: int = 256) -> torch.Tensor:
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(0, peak, (count, 1, 16, 16), generator=generator).byte()


def test_max_is_the_finest_grid_that_clips_nothing() -> None:
    x = pictures(2)
    x[0, 0, 0, 0] = 255  # stands for 31.875
    found = observe(one_layer(), [x], observer="max")
    row = found.ranges[0]
    assert (row.name, row.high, row.frac_bits, row.grid_high) == ("a", 31.875, 3, 31.875)
    assert row.clipped == 0.0 and math.isinf(row.sqnr)  # the input's own grid: no error
    assert found.pictures == 2 and found.observer == "max"


def test_percentile_lets_outliers_go_and_says_so() -> None:
    x = pictures(50, 16)  # 12 800 values below 2
    x[0, 0, 0, 0] = 255
    loose = observe(one_layer(), x.split(8), observer="percentile").ranges[0]
    tight = observe(one_layer(), x.split(8), observer="max").ranges[0]
    assert loose.frac_bits > tight.frac_bits
    assert tight.clipped == 0.0 and loose.clipped == pytest.approx(1 / 12_800)
    assert loose.high == 31.875 > loose.grid_high


def test_least_error_beats_the_others_on_its_own_terms() -> None:
    x = pictures(50, 16)
    x[:, :, ::8, ::8] = 100
    rows = {}
    for observer in OBSERVERS:
        rows[observer] = observe(one_layer(), x.split(8), 4, observer=observer).ranges[0]
    assert rows["error"].sqnr == max(row.sqnr for row in rows.values())


def test_sqnr_of_a_uniform_tensor_is_the_text_book_one() -> None:
    x = pictures(64)
    row = observe(one_layer(), [x], 5, observer="max").ranges[0]
    step = 16  # of the input's, as 31.875 is more than 31
    power = sum(v * v for v in range(256)) / 256
    errors = [(min(round(v / step), 31) * step - v) ** 2 for v in range(256)]
    assert row.frac_bits == -1
    assert row.sqnr == pytest.approx(10 * math.log10(power / (sum(errors) / 256)), abs=0.3)


def test_memory_does_not_grow_with_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 4096)
    seen = module._Seen()
    for batch in pictures(200).split(8):
        seen.add(batch.float().flatten())
        assert len(seen.values()) <= 4096
    assert seen.every >= 8 and (seen.low, seen.high) == (0.0, 255.0)
    many = observe(one_layer(), pictures(200).split(8))
    monkeypatch.undo()
    assert many.frac_bits == calibrate(one_layer(), pictures(200).split(8))


def test_thinning_hides_no_column_and_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLES", 16)  # of 256 values, in rows of 16
    x = torch.zeros(40, 1, 16, 16, dtype=torch.uint8)
    x[:, :, :, 3] = 40
    seen = module._Seen()
    for batch in x:
        seen.add(batch.float().flatten())
    share = float((seen.values() == 40).double().mean())
    assert share == pytest.approx(1 / 16, abs=0.03)
    x[17, 0, 5, 5] = 255
    found = observe(one_layer(), x.split(1), observer="max")
    assert [row.grid_high for row in found.ranges] == [31.875, 63.75]  # the output has headroom
    again = observe(one_layer(), x.split(1), observer="max")
    assert again == found


def test_signed_grids_and_progress() -> None:
    told: list[int] = []
    found = observe(one_layer(relu=False), pictures(5).split(2), progress=told.append)
    assert found.ranges[0].grid_low < 0.0 < found.ranges[0].grid_high
    assert told == [2, 2, 1]
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="observer must be one of error, max, percentile"):
        observe(one_layer(), [pictures(1)], observer="guess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one picture"):
        observe(one_layer(), [])
    graph = one_layer()
    first = graph.nodes[0]
    assert isinstance(first, ConvNode)
    first.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match="tensor 'a' has values that are NaN or infinite"):
        observe(graph, [pictures(1)])
