"""Engine parameters: what is refused and how, and widths that are exactly enough."""

from dataclasses import FrozenInstanceError
from itertools import product
from typing import Any

import pytest

from shiftwork.hw.config import (
    NOT_IN_FINGERPRINT,
    PARAMETER_BYTES,
    PRESETS,
    Arithmetic,
    EngineConfig,
    preset,
)
from tests.terms import digit_parts

LIMITS = {
    "rows": (1, 64), "cols": (1, 64), "act_bits": (2, 8), "code_bits": (2, 5),
    "max_terms": (1, 4), "lane_terms": (1, 2), "max_fan_in": (1, 1 << 20), "hold": (4, 4096),
    "buffer_words": (16, 1 << 16), "requantise_lanes": (1, 16), "bus_bits": (64, 128),
    "burst_beats": (1, 256), "weight_fifo": (2, 1024), "max_layers": (1, 1024),
}  # fmt: skip
# What makes a limit's own value agree with the other parameters.
WITH = {
    ("weight_fifo", 2): {"burst_beats": 1},
    ("burst_beats", 256): {"weight_fifo": 256},
    ("requantise_lanes", 16): {"rows": 16, "cols": 32},
}


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("field", LIMITS)
def test_limits_are_admitted_and_what_lies_beyond_is_refused(field: str, end: int) -> None:
    limit = LIMITS[field][end]
    changes: dict[str, Any] = {field: limit} | WITH.get((field, limit), {})
    config = EngineConfig(**changes)
    assert getattr(config, field) == limit
    beyond = limit + (1 if end else -1)
    changes[field] = beyond
    with pytest.raises(ValueError, match=rf"^{field} .*not {beyond}$"):
        EngineConfig(**changes)


@pytest.mark.parametrize("value", [8.0, "8", None, True])
def test_what_is_not_an_integer_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^rows must be an integer in 1\.\.64, not {value!r}$"):
        EngineConfig(rows=value)


def test_the_window_is_an_integer() -> None:
    for value in (True, 2.0, 0, 5):
        with pytest.raises(
            ValueError, match=rf"^window must be an integer in 1\.\.4, not {value}$"
        ):
            EngineConfig(window=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["", "1st", "_a", "a b", "a-b", "a\n", "a;b", "é", "../x", 7, None]
)
def test_a_name_that_is_none_in_verilog_is_refused(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        EngineConfig(name=value)
    wants = "name must be a letter, then letters, digits or underscores"
    assert str(caught.value) == f"{wants}, not {value!r}"
    assert EngineConfig(name="Ab_9").module_name == "shiftwork_Ab_9"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bus_bits": 96}, "^bus_bits must be 64 or 128, not 96$"),
        ({"buffer_words": 3000}, "^buffer_words must be a power of two, not 3000$"),
        ({"requantise_lanes": 3}, r"^requantise_lanes must divide rows and cols \(8, 8\), not 3$"),
        ({"rows": 4, "requantise_lanes": 8}, r"divide rows and cols \(4, 8\), not 8$"),
        ({"rows": 9, "cols": 12, "requantise_lanes": 9}, r"\(9, 12\), not 9$"),
        ({"weight_fifo": 31}, "^weight_fifo must hold a burst of 32 beats, not 31$"),
        ({"pipeline": "long"}, "^pipeline must be 'deep' or 'shallow', not 'long'$"),
        ({"select": "barrel"}, "^select must be 'shifter' or 'mux', not 'barrel'$"),
    ],
)
def test_parameters_that_disagree_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineConfig(**changes)


def test_changes_are_checked_and_leave_the_original_alone() -> None:
    config = preset("small")
    assert config.replace(rows=16).rows == 16
    assert config.rows == 8
    with pytest.raises(ValueError, match=r"^hold must be .*, not 3$"):
        config.replace(hold=3)
    with pytest.raises(FrozenInstanceError):
        config.rows = 9  # type: ignore[misc]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_carry_their_name_and_come_back_from_plain_data(name: str) -> None:
    config = preset(name)
    assert config.name == name
    assert config.module_name == f"shiftwork_{name}"
    assert EngineConfig(**config.to_dict()) == config


def test_presets_grow() -> None:
    assert list(PRESETS) == ["tiny", "small", "base", "asic", "large"]
    lanes = [config.lanes for config in PRESETS.values()]
    assert lanes == sorted(lanes)


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^unknown preset 'huge'; choose from tiny, small, base"):
        preset("huge")


def terms_of(config: EngineConfig) -> set[int]:
    """Every term there is: shifted activations, plain and inverted, and nothing."""
    top = (1 << config.act_bits) - 1
    size = config.magnitudes
    return {0} | {
        value << size - magnitude
        for x in range(top + 1)
        for value in (x, top - x)
        for magnitude in range(1, size + 1)
    }


@pytest.mark.parametrize("act_bits", [2, 3])
@pytest.mark.parametrize("code_bits", [2, 3])
@pytest.mark.parametrize("max_terms", [1, 2])
@pytest.mark.parametrize("max_fan_in", [1, 2, 3])
def test_the_accumulator_is_exactly_wide_enough(
    act_bits: int, code_bits: int, max_terms: int, max_fan_in: int
) -> None:
    config = EngineConfig(
        act_bits=act_bits, code_bits=code_bits, max_terms=max_terms, max_fan_in=max_fan_in
    )
    terms = terms_of(config)
    assert max(terms).bit_length() == config.term_bits
    weights = {
        sum(term << n for n, term in enumerate(choice))
        for choice in product(terms, repeat=max_terms)
    }
    sums = {0}
    for _ in range(max_fan_in):
        sums = {a + b for a in sums for b in weights}
    assert max(sums) == config.acc_max
    assert 1 << config.acc_bits - 1 <= max(sums) < 1 << config.acc_bits


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_the_largest_column_sum(rows: int) -> None:
    config = EngineConfig(rows=rows, act_bits=3, code_bits=3)
    assert config.sum_max == rows * max(terms_of(config))


@pytest.mark.parametrize("max_terms", [2, 3, 4])
def test_lanes_of_two_terms(max_terms: int) -> None:
    one = EngineConfig(rows=3, act_bits=3, code_bits=3, max_terms=max_terms)
    two = one.replace(lane_terms=2)
    most = max(terms_of(one))
    assert (one.max_passes, two.max_passes) == (max_terms, (max_terms + 1) // 2)
    assert [two.passes(terms) for terms in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert (two.weight_bits, two.sum_max) == (6, 3 * (2 * most + most))
    assert two.acc_max == one.acc_max  # a network's sums do not depend on the lanes
    assert two.replace(rows=8, cols=8).block_beats == 6


def test_lanes_take_no_more_terms_than_weights_have() -> None:
    with pytest.raises(ValueError, match=r"^lane_terms must be at most max_terms \(1\), not 2$"):
        EngineConfig(lane_terms=2, max_terms=1)
    assert EngineConfig(lane_terms=2, arithmetic="int8").lane_terms == 1


@pytest.mark.parametrize("rows", range(1, 65))
def test_a_pixel_word_is_the_next_power_of_two(rows: int) -> None:
    config = EngineConfig(rows=rows)
    assert config.word_bytes in (1, 2, 4, 8, 16, 32, 64)
    assert config.word_bytes // 2 < rows <= config.word_bytes


@pytest.mark.parametrize("bus_bits", [64, 128])
def test_blocks_and_records_are_whole_beats(bus_bits: int) -> None:
    for rows, cols, code_bits in product((1, 3, 8, 16), (1, 5, 8), (2, 3, 4, 5)):
        config = EngineConfig(rows=rows, cols=cols, code_bits=code_bits, bus_bits=bus_bits)
        spare = config.block_beats * bus_bits - rows * cols * code_bits
        assert 0 <= spare < bus_bits
        assert config.parameter_beats * config.bus_bytes == PARAMETER_BYTES


def test_every_parameter_counts_in_the_fingerprint_unless_it_is_excused() -> None:
    config = EngineConfig(rows=8, cols=8)
    others = {
        "name": "other", "rows": 16, "cols": 4, "act_bits": 7, "code_bits": 3, "max_terms": 2,
        "lane_terms": 2,
        "max_fan_in": 64, "hold": 64, "buffer_words": 64, "requantise_lanes": 2, "bus_bits": 128,
        "burst_beats": 8, "weight_fifo": 99, "max_layers": 3, "window": 2, "leaky": True,
        "watchdog_bits": 8, "select": "mux", "arithmetic": "int4", "codec_bits": 4,
        "codec_planes": 16, "zero_maps": True, "pipeline": "shallow",
    }  # fmt: skip
    assert others.keys() == config.to_dict().keys()
    assert NOT_IN_FINGERPRINT.keys() <= others.keys()
    for name, value in others.items():
        same = config.replace(**{name: value}).fingerprint == config.fingerprint
        assert same == (name in NOT_IN_FINGERPRINT), name


@pytest.mark.parametrize(("arithmetic", "bits"), [("int8", 8), ("int4", 4)])
def test_integer_arithmetic_brings_its_bits_and_one_pass(arithmetic: Arithmetic, bits: int) -> None:
    config = EngineConfig(arithmetic=arithmetic, act_bits=3, rows=2, max_fan_in=3)
    assert (config.code_bits, config.max_terms) == (bits, 1)
    assert EngineConfig(**config.to_dict()) == config
    half = 1 << (bits - 1)
    terms = {
        x * plus + (7 - x) * minus
        for x in range(8)
        for plus, minus in (digit_parts(code, bits) for code in range(-half, half))
    }
    assert (max(terms), max(terms).bit_length()) == (config.term_max, config.term_bits)
    assert (config.sum_max, config.acc_max) == (2 * max(terms), 3 * max(terms))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arithmetic": "int6"}, "^arithmetic must be one of 'shift', 'int8', 'int4', not 'int6'$"),
        ({"arithmetic": None}, "^arithmetic must be one of .*, not None$"),
        ({"arithmetic": "int8", "select": "mux"}, "^select 'mux' picks powers of two: leave it"),
    ],
)
def test_an_arithmetic_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineConfig(**changes)


def test_shift_arithmetic_runs_the_programs_it_always_ran() -> None:
    assert [config.fingerprint for config in PRESETS.values()][:3] == [
        3781122209, 4574584, 3446390271,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codec_bits": 8}, "codec_bits must be an integer in 0..7"),
        ({"codec_bits": 4, "act_bits": 4}, r"codec_bits must be below act_bits \(4\), not 4"),
        ({"codec_bits": 4, "cols": 4}, r"cols must be a multiple of rows \(8\), not 4"),
        ({"codec_planes": 3}, "codec_planes must be a power of two, not 3"),
        ({"zero_maps": True, "cols": 4}, r"with zero_maps, cols must be a multiple of rows"),
        ({"zero_maps": 1}, "zero_maps must be true or false, not 1"),
    ],
)
def test_a_codec_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineConfig(**changes)
    assert EngineConfig(codec_bits=7, cols=16).codec_bits == 7
