"""Tables that the left neighbour switches, and differences to it."""

import json

import pytest
import torch

from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.options import Profile
from shiftwork.model.codec.saved import code_from_dict
from shiftwork.model.codec.switched import Difference, Neighbours, SwitchedTable
from shiftwork.model.codec.table import TableCode


@pytest.fixture(scope="module")
def maps() -> torch.Tensor:
    """Return maps whose values resemble their left neighbours."""
    generator = torch.Generator().manual_seed(4)
    steps = torch.randn(8, 3, 12, 20, generator=generator)
    walk = torch.zeros(8, 3, 12)
    columns = []
    for step in steps.unbind(3):
        walk = 0.9 * walk + 0.5 * step
        columns.append(walk)
    return (torch.stack(columns, 3).relu() * 60).clamp(0, 255).to(torch.uint8)


def fitted(
    a: torch.Tensor, bits: int, ranges: int
) -> tuple[TableCode, TableCode, Neighbours]:  # fmt: skip
    """Return the plain table of a map, its ranges, and what is known of its neighbours."""
    counts = torch.stack(
        [torch.bincount(a[:, c].flatten().long(), minlength=256) for c in range(a.shape[1])]
    ).double()
    counts /= len(a)
    found = best_tables(counts, [bits, ranges])
    neighbours = Neighbours(Profile(counts, counts))
    neighbours.add(a[:4])
    neighbours.add(a[4:])
    return found[bits], found[ranges], neighbours


def switched(a: torch.Tensor, bits: int, ranges: int) -> SwitchedTable:
    table, parts, neighbours = fitted(a, bits, ranges)
    return neighbours.switched(bits, table, parts)


def error(read: torch.Tensor, a: torch.Tensor) -> float:
    return float((read.double() - a.double()).square().mean())


@pytest.mark.parametrize("ranges", [1, 2])
@pytest.mark.parametrize("bits", [2, 4])
def test_a_neighbour_lowers_the_error_of_maps_that_hang_together(
    maps: torch.Tensor, bits: int, ranges: int
) -> None:
    table, parts, neighbours = fitted(maps, bits, ranges)
    code = neighbours.switched(bits, table, parts)
    assert error(code(maps), maps) < 0.75 * error(table(maps), maps)
    stored = code.encode(maps)
    assert stored.shape == maps.shape and int(stored.max()) < 1 << bits
    assert torch.equal(code.decode(stored), code(maps))
    assert code.table_bits == 8 * 3 * ((1 << ranges) * ((2 << bits) - 1) + (1 << ranges) - 1)
    assert code.bits_per_value == bits and code.channels == 3


def test_it_is_what_a_pixel_after_the_other_gives(maps: torch.Tensor) -> None:
    code, a = switched(maps, 3, 2), maps[:1, :, :2]
    read = code(a)
    for c in range(3):
        for y in range(2):
            number = 0
            for x in range(a.shape[3]):
                own = code.tables.select(4 * c + number, 4 * c + number + 1)
                left = int(own(a[:, c : c + 1, y : y + 1, x : x + 1]))
                assert left == int(read[0, c, y, x])
                number = int(code.ranges.codes[c, left])


def test_the_first_pixel_of_a_row_goes_by_range_0_even_where_no_value_is_in_it(
    maps: torch.Tensor,
) -> None:
    counts = torch.ones(3, 256, dtype=torch.float64)
    ranges = TableCode(1, *(torch.zeros(3, n, dtype=torch.uint8) for n in (1, 2)))  # all are >= 0
    neighbours = Neighbours(Profile(counts, counts))
    neighbours.add(maps)
    code = neighbours.switched(3, best_tables(counts, [3])[3], ranges)
    first, others = (
        TableCode(3, code.tables.thresholds[n::2], code.tables.levels[n::2]) for n in (0, 1)
    )
    assert not torch.equal(first.levels, others.levels)
    assert torch.equal(code(maps)[..., :1], first(maps[..., :1]))
    assert torch.equal(code(maps)[..., 1:], others(maps[..., 1:]))


def test_one_table_for_all_ranges_is_that_table(maps: torch.Tensor) -> None:
    table, ranges, _ = fitted(maps, 3, 1)
    same = TableCode(3, *(t.repeat_interleave(2, 0) for t in (table.thresholds, table.levels)))
    assert torch.equal(SwitchedTable(ranges, same)(maps), table(maps))


def test_plain_means_leave_no_error_on_average(maps: torch.Tensor) -> None:
    table, ranges, neighbours = fitted(maps, 3, 2)
    code = neighbours.switched(3, table, ranges)
    means = neighbours.means(code, table)
    assert torch.equal(code.tables.thresholds, means.tables.thresholds)
    assert not torch.equal(code.tables.levels, means.tables.levels)
    bias = (means(maps).double() - maps.double()).mean((0, 2, 3))
    assert float(bias.abs().max()) < 0.5  # levels are whole


def test_what_was_never_seen_goes_by_the_channel(maps: torch.Tensor) -> None:
    table, _, neighbours = fitted(maps, 3, 1)
    high = torch.full((3, 1), 255, dtype=torch.uint8)  # no neighbour is read back so high
    ranges = TableCode(1, high, torch.zeros(3, 2, dtype=torch.uint8))
    tables = neighbours.switched(3, table, ranges).tables
    for number in range(2):
        own = TableCode(3, tables.thresholds[number::2], tables.levels[number::2])
        assert error(own(maps), maps) == pytest.approx(error(table(maps), maps), rel=1e-2)


def test_differences_come_back(maps: torch.Tensor) -> None:
    found = []
    for k in (2, 4, 6):
        table, _, neighbours = fitted(maps, k, 1)
        found.append(error(neighbours.difference(k, table)(maps), maps))
    assert found == sorted(found, reverse=True) and found[-1] < 1.5
    fine = torch.arange(0, 256, 2, dtype=torch.uint8)[None]  # every other difference
    code = Difference(TableCode(7, fine[:, 1:].contiguous(), fine))
    a = (torch.randint(64, (2, 1, 3, 9)) * 2).to(torch.uint8)
    assert torch.equal(code(a), a)


def test_a_switched_table_is_saved_and_damage_is_refused(maps: torch.Tensor) -> None:
    code = switched(maps, 2, 1)
    data = json.loads(json.dumps(code.to_dict()))
    again = code_from_dict(data)
    assert isinstance(again, SwitchedTable) and torch.equal(again(maps), code(maps))
    with pytest.raises(ValueError, match="ranges must be a table code, not None"):
        code_from_dict({"kind": "switched"})
    with pytest.raises(ValueError, match=r"levels must be integers 0\.\.255"):
        code_from_dict({**data, "tables": {**data["tables"], "levels": [[300] * 4] * 6}})
    with pytest.raises(ValueError, match="tables must be 6, one for each range, not 3"):
        SwitchedTable(code.ranges, code.tables.select(0, 3))
    with pytest.raises(ValueError, match="must be 'switched', not 'table'"):
        SwitchedTable.from_dict({"kind": "table"})
    with pytest.raises(ValueError, match="codes must have 2 bits, not value 4"):
        code.decode(torch.full((1, 3, 1, 2), 4, dtype=torch.uint8))
