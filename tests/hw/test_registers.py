"""The register map as data: no overlaps, and what the contract fixes."""

from shiftwork.hw.config import preset
from shiftwork.hw.registers import REGISTER, REGISTERS, Access, constants, register_map


def test_offsets_and_fields_do_not_overlap() -> None:
    assert [r.offset for r in REGISTERS] == [4 * i for i in range(27)]
    for register in REGISTERS:
        bits = [b for f in register.fields for b in range(f.lsb, f.lsb + f.bits)]
        assert len(bits) == len(set(bits)) and max(bits) < 32
        for field in register.fields:
            assert field.bits == 1 or field.access in (Access.RO, Access.RW)


def test_fixed_places() -> None:
    places = {"CONTROL": 0x0C, "STATUS": 0x10, "PROGRAM": 0x18, "COUNTER7": 0x3C, "TOTAL0": 0x40,
              "FINGERPRINT": 0x68}  # fmt: skip
    assert {name: REGISTER[name].offset for name in places} == places
    assert REGISTER["CONTROL"].field("irq_enable").lsb == 8
    assert constants(preset("large"))["CONFIG", "word_bytes_log2"] == 5


def test_map_is_plain_data() -> None:
    described = register_map()
    assert described[3]["fields"][0] | {"doc": ""} == {
        "name": "start", "lsb": 0, "bits": 1, "access": "W1", "reset": 0, "doc": "",
    }  # fmt: skip


def test_the_map_of_an_engine_has_its_constants() -> None:
    config = preset("small")
    fields = {
        (register["name"], field["name"]): field["reset"]
        for register in register_map(config)
        for field in register["fields"]
    }
    for key, value in constants(config).items():
        assert fields[key] == value != 0
