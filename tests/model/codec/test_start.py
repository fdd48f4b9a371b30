"""Where plane codes start: tables as two layers, exactly, and functions found by trial."""

import pytest
import torch

from shiftwork.model.codec.frozen import FrozenPlanes, Mode
from shiftwork.model.codec.levels import best_tables
from shiftwork.model.codec.plain import linear, truncation
from shiftwork.model.codec.start import decoder_functions, encoder_functions, of_table, search
from shiftwork.model.codec.table import TableCode
from shiftwork.model.codec.threshold import PlaneCode

EVERY = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


def decoded(code: FrozenPlanes) -> torch.Tensor:
    """Return what every value becomes, (C, 256)."""
    return code(EVERY.expand(1, code.channels, 16, 16))[0].flatten(1)


def weights(channels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    bumps = torch.rand(channels, 256, generator=generator).double()
    return bumps * torch.exp(-torch.arange(256) / (20.0 + 20 * torch.arange(channels)[:, None]))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_two_layers_hold_any_table(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    tables = [
        torch.randint(256, (5, entries), generator=generator).sort(1).values.to(torch.uint8)
        for entries in ((1 << bits) - 1, 1 << bits)
    ]
    tables[0][0, -1] = 128  # what the weights' range makes a special case of, and its neighbours
    tables[0][1, -1], tables[0][2, 0] = 129, 0
    table = TableCode(bits, tables[0].sort(1).values, tables[1])
    code = of_table(table)
    assert torch.equal(decoded(code), table.decoded)
    stored = code.encode(EVERY.expand(1, 5, 16, 16))[0].view(5, bits, 256).long()
    powers = 1 << torch.arange(bits)
    assert torch.equal((stored * powers[:, None]).sum(1), table.codes.long())
    assert code.bits_per_value == table.bits_per_value == bits
    assert code.table_bits == 8 * 5 * (2**bits - 1) * (16 + 2 * bits) + 16 * 5 * (
        2 * (2**bits - 1) + bits + 8
    )


def test_planes_to_spare_change_nothing() -> None:
    table = best_tables(weights(3), [2])[2]
    assert torch.equal(decoded(of_table(table, 8)), table.decoded)
    assert of_table(table, 8).form.hidden == 8
    with pytest.raises(ValueError, match="tables of 2 bits need 3 hidden planes, not 2"):
        of_table(table, 2)


@pytest.mark.parametrize("group", [2, 3, 6])
def test_wider_groups_compute_the_same_and_train(group: int) -> None:
    codes = [
        of_table(best_tables(weights(6), [3])[3]),
        search(weights(6), 3, starts=2, rounds=1),
    ]
    for code in codes:
        wide = PlaneCode.of(code, group)
        assert wide.form.group == group
        a = torch.randint(256, (2, 6, 5, 4), dtype=torch.uint8)
        assert torch.equal(wide.frozen()(a), code(a))
        assert torch.equal(wide(a.float()), code(a).float())
        again = PlaneCode.of(wide.frozen(), 6)
        assert torch.equal(again.frozen()(a), code(a))
    with pytest.raises(ValueError, match="groups of 2 do not make up groups of 3"):
        PlaneCode.of(PlaneCode(6, 3, group=2).frozen(), 3)


def test_spatial_codes_can_be_trained_further() -> None:
    code = PlaneCode(4, 5, kind="spatial", group=2, seed=3).frozen()
    a = torch.randint(256, (2, 4, 5, 6), dtype=torch.uint8)
    assert torch.equal(PlaneCode.of(code, 4).frozen()(a), code(a))


def test_functions_are_every_one_of_their_weights_once() -> None:
    and_or = decoder_functions(2, "ternary")
    assert len(and_or.table) == 14  # of the 16 of two bits all but whether they are alike
    assert len(and_or.table.unique(dim=0)) == len(and_or.table)
    for mode in ("ternary", "int8"):
        some = decoder_functions(3, mode)
        numbers = torch.arange(8)
        sums = ((numbers[:, None] >> torch.arange(3)) & 1) @ some.weights.T
        assert torch.equal((sums >= some.thresholds).float().T, some.table)
    assert len(decoder_functions(3, "int8").table) > len(decoder_functions(3, "ternary").table)


@pytest.mark.parametrize("mode", ["ternary", "int8"])
def test_search_beats_truncation_and_stays_in_range(mode: Mode) -> None:
    values = torch.arange(256)
    w = weights(2)

    def loss(read: torch.Tensor) -> float:
        return float((w * (read.double() - values) ** 2).sum())

    code = search(w, 3, mode, starts=8, rounds=3)
    assert (code.form.kind, code.form.mode, code.form.depth) == ("channel", mode, 1)
    found = loss(decoded(code))
    assert found < 0.25 * loss(truncation(2, 3).decoded)
    assert found < (2.0 if mode == "ternary" else 1.1) * loss(linear(w, 3).decoded)
    assert found > loss(best_tables(w, [3])[3].decoded)
    more = search(w, 3, mode, starts=8, rounds=5)
    assert loss(decoded(more)) <= found


def test_the_table_of_comparisons_is_among_int8_functions() -> None:
    functions = encoder_functions("int8")
    for t in (0, 1, 2, 77, 127, 128, 129, 255, 256):
        want = (torch.arange(256) >= t).float()
        assert bool((functions.table == want).all(1).any())


def test_bad_searches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must be \(C, 256\), not \(2, 3\)"):
        search(torch.ones(2, 3), 3)
    with pytest.raises(ValueError, match=r"bits must be 1\.\.8, not 9"):
        search(weights(1), 9)
