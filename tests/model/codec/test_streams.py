"""Every code of a map: lossless or its table's, and as long as it says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.model.codec.ebpc import Ebpc
from shiftwork.model.codec.fixed_rate import FixedTable, Raw
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.plain import companded, linear, truncation
from shiftwork.model.codec.streams import MapCode
from shiftwork.model.codec.table import TableCode
from shiftwork.model.codec.zeros import ZeroMask, ZeroRun


@st.composite
def maps(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.tuples(*[st.integers(1, most) for most in (37, 5, 6)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 30)))
    top = draw(st.sampled_from([1, 3, 9, 256]))
    a = torch.randint(top, shape, generator=generator)
    used = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    return (a * used).to(torch.uint8)


def table(channels: int, bits: int) -> TableCode:
    generator = torch.Generator().manual_seed(channels)
    weights = torch.rand(channels, 256, generator=generator, dtype=torch.float64)
    return best_tables(weights, [bits])[bits]


@settings(max_examples=25, deadline=None)
@given(maps(), st.sampled_from([1, 3, 16]))
def test_what_is_stored_comes_back(a: torch.Tensor, rows: int) -> None:
    code = table(len(a), 3)
    cases: list[tuple[MapCode, torch.Tensor]] = [
        (Raw(rows), a),
        (ZeroMask(None, rows), a),
        (ZeroRun(), a),
        (Ebpc(), a),
        (FixedTable(code, rows), code(a[None])[0]),
        (ZeroMask(code, rows), code(a[None])[0]),
        (FixedTable(truncation(len(a), 5), rows), a // 8 * 8),
    ]
    for stored, want in cases:
        bits = stored.encode(a)
        assert torch.equal(stored.decode(bits, (a.shape[0], a.shape[1], a.shape[2])), want)
        assert stored.stored_bits(a[None]) == len(bits), stored.name
        assert stored.stored_bits(torch.stack([a, a])) == 2 * len(bits)


def test_sizes_by_hand() -> None:
    a = torch.zeros(16, 1, 2, dtype=torch.uint8)
    a[3, 0, 1] = 7
    assert Raw().stored_bits(a[None]) == 256
    assert ZeroMask().stored_bits(a[None]) == 32 + 8
    assert ZeroRun().stored_bits(a[None]) == 2 * 13  # 7 zeros and a 7, 24 zeros to the end
    # runs of 7, of 16 and of 8 zeros, one bit, then a block of eight times 7
    assert Ebpc().stored_bits(a[None]) == 3 * 5 + 1 + 8 + 5


def test_a_constant_block_of_bit_planes_is_one_run() -> None:
    a = torch.full((1, 1, 8), 200, dtype=torch.uint8)
    assert Ebpc().stored_bits(a[None]) == 8 + 8 + 5
    slope = torch.arange(8, dtype=torch.uint8).view(1, 1, 8)  # 0 apart: seven values and one more
    # differences 1 1 1 1 1 1 0: planes 0 but for the last, whose seventh bit is 0
    assert Ebpc().stored_bits(slope[None]) == 5 + 7 + 8 + 5 + 8


def test_plain_codes_are_what_they_are_called() -> None:
    a = torch.arange(256, dtype=torch.uint8).view(1, 1, 256)
    weights = torch.ones(1, 256)
    assert torch.equal(truncation(1, 4)(a), a // 16 * 16)
    levels = linear(weights, 3).levels[0].long()
    assert levels[0] == 0
    assert (levels.diff() - levels.diff().double().mean()).abs().max() <= 1
    around = linear(weights, 3, zero_point=128).levels[0].tolist()
    assert 128 in around
    roots = companded(weights, 4).levels[0].double().sqrt()
    assert (roots.diff() - roots.diff().mean()).abs().max() < 0.5
    assert companded(weights, 4).levels[0, 0] == 0


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_learned_levels_have_less_error_than_plain_ones(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    sample = torch.randn(4, 20_000, generator=generator).abs() * torch.tensor(
        [[4], [9], [20], [60]]
    )
    a = sample.clamp(0, 255).round().to(torch.uint8)[None]
    weights = torch.stack([torch.bincount(row.long(), minlength=256) for row in a[0]]).double()

    def error(code: TableCode) -> float:
        return float((code(a).double() - a.double()).square().mean())

    learned = error(best_tables(weights, [bits])[bits])
    assert learned < 0.7 * error(linear(weights, bits))
    assert learned < 0.9 * error(companded(weights, bits))
    assert error(linear(weights, bits)) <= error(truncation(4, bits))
