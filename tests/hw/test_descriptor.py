"""Packed descriptors: fields apart from each other, what is refused, and the way back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.hw.control import descriptor_layout
from shiftwork.hw.descriptor import (
    DESCRIPTOR_BYTES,
    FIELD,
    FIELDS,
    VERSION,
    pack_descriptor,
    unpack_descriptor,
)

SETTABLE = [field for field in FIELDS if field.name != "checksum"]
VALUES = st.fixed_dictionaries({}, optional={
    field.name: st.integers(0, (1 << field.width) - 1) for field in SETTABLE
})  # fmt: skip


@given(VALUES)
def test_every_field_comes_back(values: dict[str, int]) -> None:
    packed = pack_descriptor(**values)
    assert len(packed) == DESCRIPTOR_BYTES
    assert sum(struct.unpack("<32I", packed)) % (1 << 32) == 0
    want = dict.fromkeys((field.name for field in SETTABLE), 0) | {"version": VERSION} | values
    got = unpack_descriptor(packed)
    checksum = got.pop("checksum")
    assert got == want
    assert checksum == int.from_bytes(packed[-4:], "little")


def test_fields_have_names_and_bits_of_their_own() -> None:
    assert len(FIELD) == len(FIELDS)
    taken = 0
    for field in FIELDS:
        assert field.lsb + field.width <= 32, field.name
        bits = ((1 << field.width) - 1) << (32 * field.word + field.lsb)
        assert not taken & bits, field.name
        taken |= bits
        assert field.doc


@pytest.mark.parametrize("field", SETTABLE, ids=lambda field: field.name)
def test_a_field_is_where_it_says_and_nowhere_else(field) -> None:
    top = (1 << field.width) - 1
    base = {} if field.name == "version" else {"version": 0}
    packed = pack_descriptor(**base, **{field.name: top})
    words = int.from_bytes(packed[:-4], "little")
    assert words == top << (32 * field.word + field.lsb)


@pytest.mark.parametrize("field", SETTABLE, ids=lambda field: field.name)
def test_what_does_not_fit_is_refused_by_name(field) -> None:
    for value in (-1, 1 << field.width):
        message = f"^{field.name} must fit {field.width} bits unsigned, not {value}$"
        with pytest.raises(ValueError, match=message):
            pack_descriptor(**{field.name: value})


@pytest.mark.parametrize("name", ["colour", "checksum"])
def test_what_is_no_field_to_set_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^no descriptor field '{name}' to set$"):
        pack_descriptor(**{name: 1})


@given(VALUES, st.integers(0, 8 * DESCRIPTOR_BYTES - 1))
def test_one_flipped_bit_is_found(values: dict[str, int], bit: int) -> None:
    damaged = bytearray(pack_descriptor(**values))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"^descriptor checksum is wrong$"):
        unpack_descriptor(bytes(damaged))


@pytest.mark.parametrize("size", [0, DESCRIPTOR_BYTES - 1, DESCRIPTOR_BYTES + 1])
def test_a_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"^a descriptor has 128 bytes, not {size}$"):
        unpack_descriptor(bytes(size))


def test_the_gateware_reads_the_same_places() -> None:
    layout = descriptor_layout()
    assert layout.size == 8 * DESCRIPTOR_BYTES
    for field in FIELDS:
        assert layout[field.name].offset == 32 * field.word + field.lsb
        assert layout[field.name].width == field.width
