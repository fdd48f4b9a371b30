"""Table codes against the definition, on every value and on random tables."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.model.codec import TableCode


@st.composite
def codes(draw: st.DrawFn) -> TableCode:
    bits, channels = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 1 << 30)))

    def table(entries: int) -> torch.Tensor:
        values = torch.randint(256, (channels, entries), generator=seed)
        return values.sort(1).values.to(torch.uint8)

    return TableCode(bits, table((1 << bits) - 1), table(1 << bits))


@given(codes())
def test_every_value_is_coded_as_defined(code: TableCode) -> None:
    values = torch.arange(256, dtype=torch.uint8).expand(1, code.channels, -1)
    stored = code.encode(values)
    for channel in range(code.channels):
        thresholds, levels = code.thresholds[channel].tolist(), code.levels[channel].tolist()
        want = [sum(a >= t for t in thresholds) for a in range(256)]
        assert stored[0, channel].tolist() == want
        assert code(values)[0, channel].tolist() == [levels[c] for c in want]
    assert torch.equal(code.decode(stored), code(values))
    assert int(stored.max()) < 1 << code.bits


@given(codes())
def test_a_code_commutes_with_maxima_and_with_concatenation(code: TableCode) -> None:
    a = torch.randint(256, (2, code.channels, 4, 6), dtype=torch.uint8)
    pooled = a.unflatten(3, (3, 2)).amax(4)
    assert torch.equal(code.encode(pooled), code.encode(a).unflatten(3, (3, 2)).amax(4))
    assert torch.equal(code(pooled), code(a).unflatten(3, (3, 2)).amax(4))
    cut = code.channels // 2
    parts = [part for part in ((0, cut), (cut, code.channels)) if part[0] < part[1]]
    split = [code.select(*part)(a[:, part[0] : part[1]]) for part in parts]
    assert torch.equal(torch.cat(split, 1), code(a))
    joined = TableCode.join([code.select(*part) for part in parts])
    assert torch.equal(joined(a), code(a))


@given(codes())
def test_a_code_survives_json(code: TableCode) -> None:
    back = TableCode.from_dict(json.loads(json.dumps(code.to_dict())))
    assert back.bits == code.bits
    assert torch.equal(back.thresholds, code.thresholds)
    assert torch.equal(back.levels, code.levels)
    assert code.table_bits == 8 * code.channels * ((2 << code.bits) - 1)


def test_tables_that_do_not_fit_are_refused() -> None:
    t, v = torch.tensor([[9]], dtype=torch.uint8), torch.tensor([[0, 20]], dtype=torch.uint8)
    assert TableCode(1, t, v)(torch.tensor([[8, 9]], dtype=torch.uint8).unsqueeze(1)).tolist() == [
        [[0, 20]]
    ]
    with pytest.raises(ValueError, match=r"bits must be 1\.\.7, not 8"):
        TableCode(8, t, v)
    with pytest.raises(ValueError, match="thresholds must be uint8"):
        TableCode(1, t.long(), v)
    with pytest.raises(ValueError, match=r"levels of 1 bits must be \(C, 2\), not \(1, 1\)"):
        TableCode(1, t, t)
    with pytest.raises(ValueError, match="levels of channel 0 must not fall"):
        TableCode(1, t, v.flip(1))
    with pytest.raises(ValueError, match="thresholds have 1 channels, levels 2"):
        TableCode(1, t, v.repeat(2, 1))


def test_values_that_do_not_fit_are_refused() -> None:
    code = TableCode.from_dict(
        {"kind": "table", "bits": 1, "thresholds": [[9]], "levels": [[0, 9]]}
    )
    with pytest.raises(ValueError, match=r"must be \(B, 1, ...\), not \(1, 2\)"):
        code(torch.zeros(1, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"must be uint8, not torch\.int64"):
        code.encode(torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="must have 1 bits, not value 2"):
        code.decode(torch.full((1, 1), 2, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pair"}, "kind must be 'table', not 'pair'"),
        ({"bits": "1"}, "bits must be an integer, not '1'"),
        ({"bits": True}, "bits must be an integer, not True"),
        ({"thresholds": [[256]]}, r"thresholds must be integers 0\.\.255"),
        ({"levels": [[0.0, 1.0]]}, r"levels must be integers 0\.\.255"),
        ({"levels": [[0, 1], [2]]}, "levels must be lists of equal lengths"),
        ({"levels": None}, "levels must be lists of equal lengths"),
    ],
)
def test_damaged_data_are_refused(change: dict[str, object], message: str) -> None:
    data = {"kind": "table", "bits": 1, "thresholds": [[9]], "levels": [[0, 9]]} | change
    with pytest.raises(ValueError, match=message):
        TableCode.from_dict(data)
