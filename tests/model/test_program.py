"""A program's bytes: what a damaged one is refused for, and tensors into memory and back."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from shiftwork.hw.config import NOT_IN_FINGERPRINT, EngineConfig, preset
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from shiftwork.model.program import (
    HEADER,
    HEADER_BYTES,
    Program,
    check_header,
    fingerprint,
    round_up,
)
from tests.networks import NetworkBuilder

CONFIG = EngineConfig(name="odd", rows=3, cols=5, hold=7, buffer_words=512)
WORDS = ("version", "fingerprint", "base", "descriptors_offset", "descriptors", "weights_offset",
         "bytes", "memory_bytes", "crc32")  # fmt: skip


@pytest.fixture(scope="module")
def network() -> Network:
    """A network whose concatenation has holes: 4 and 5 channels in planes of 3."""
    builder = NetworkBuilder(1, 4, 5, 6)
    squeeze = builder.conv(2)
    builder.concat(builder.conv(4, source=squeeze), builder.conv(5, source=squeeze))
    builder.max_pool((2, 2), (2, 2))
    return builder.build()


@pytest.fixture(scope="module")
def program(network: Network) -> Program:
    return compile_network(network, CONFIG, base=0x10000, keep_all=True)


def damaged(program: Program, word: int, value: int) -> bytes:
    image = bytearray(program.image)
    image[8 + 4 * word : 12 + 4 * word] = value.to_bytes(4, "little")
    return bytes(image)


def test_the_header_describes_the_image(program: Program) -> None:
    words = check_header(program.image, CONFIG)
    assert tuple(words) == WORDS
    assert words["base"] == program.base == 0x10000
    assert words["base"] + words["descriptors_offset"] == program.first_descriptor
    assert words["descriptors"] == sum(plan.descriptors for plan in program.layers)
    assert words["weights_offset"] % 64 == 0
    assert words["bytes"] == len(program.image)
    assert words["memory_bytes"] == program.size
    covered = program.image[: HEADER.size - 4] + program.image[HEADER_BYTES:]
    assert words["crc32"] == zlib.crc32(covered)
    assert HEADER.size <= HEADER_BYTES
    assert not any(program.image[HEADER.size : HEADER_BYTES])


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        ("version", 2, "program version must be 1, not 2"),
        ("fingerprint", 0, "the program was compiled for another engine than 'odd'"),
        ("bytes", 64, "the program must have 64 bytes, not {size}"),
        *(
            (word, 12345, "program checksum is wrong: the file is damaged")
            for word in (
                "base",
                "descriptors_offset",
                "descriptors",
                "weights_offset",
                "memory_bytes",
                "crc32",
            )
        ),
    ],
)
def test_a_damaged_header_is_refused(program: Program, word: str, value: int, message: str) -> None:
    message = re.escape(message.format(size=len(program.image)))
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_header(damaged(program, WORDS.index(word), value), CONFIG)


def test_what_is_no_program_is_refused(program: Program) -> None:
    for image in (b"", b"SHFTPROG", b"\x7fELF" * 100, b"X" + program.image[1:]):
        with pytest.raises(ValueError, match=r"^not a Shiftwork program: the magic number is"):
            check_header(image, CONFIG)


def test_a_short_or_long_program_is_refused(program: Program) -> None:
    size = len(program.image)
    for image in (program.image[:-1], program.image + b"\0", program.image[:HEADER_BYTES]):
        message = f"^the program must have {size} bytes, not {len(image)}$"
        with pytest.raises(ValueError, match=message):
            check_header(image, CONFIG)


@pytest.mark.parametrize("at", [HEADER_BYTES, HEADER_BYTES + 200, -1])
def test_a_damaged_body_is_refused(program: Program, at: int) -> None:
    image = bytearray(program.image)
    image[at] ^= 1
    with pytest.raises(ValueError, match=r"^program checksum is wrong: the file is damaged$"):
        check_header(bytes(image), CONFIG)


@pytest.mark.parametrize(
    "changes",
    [{"rows": 4}, {"cols": 4}, {"act_bits": 7}, {"code_bits": 5}, {"max_terms": 2}, {"hold": 8},
     {"buffer_words": 1024}, {"bus_bits": 128}, {"max_fan_in": 64}, {"leaky": True}],
    ids=str,
)  # fmt: skip
def test_engines_that_cannot_share_a_program_differ(changes: dict[str, int]) -> None:
    assert fingerprint(CONFIG.replace(**changes)) != fingerprint(CONFIG)


def test_engines_that_can_share_a_program_do_not_differ() -> None:
    changes = {"name": "other", "burst_beats": 4, "max_layers": 7, "select": "mux",
               "weight_fifo": 77, "requantise_lanes": 2, "watchdog_bits": 9,
               "pipeline": "shallow"}  # fmt: skip
    assert changes.keys() == NOT_IN_FINGERPRINT.keys()
    sizes = {"rows": 8, "cols": 8}  # that two lanes divide
    assert fingerprint(CONFIG.replace(**changes | sizes)) == fingerprint(CONFIG.replace(**sizes))


def test_tensors_come_back_and_do_not_touch_each_other(program: Program, network: Network) -> None:
    rng = np.random.default_rng(2)
    memory = np.zeros(program.size, np.uint8)
    own = [name for name in program.places if name not in ("conv1.out", "conv2.out")]
    values = {name: rng.integers(0, 256, network.tensors[name].shape, np.uint8) for name in own}
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    for name, x in values.items():
        program.write_tensor(memory, name, x)
    for name, x in values.items():
        assert np.array_equal(program.read_tensor(memory, name), x), name
    assert memory[: len(program.image)].tobytes() == program.image


def test_the_parts_of_a_concatenation_are_the_whole(program: Program, network: Network) -> None:
    whole = next(name for name in program.places if name.startswith("concat"))
    parts = ("conv1.out", "conv2.out")
    memory = np.full(program.size, 0xEE, np.uint8)
    rng = np.random.default_rng(3)
    values = [rng.integers(0, 256, network.tensors[name].shape, np.uint8) for name in parts]
    for name, x in zip(parts, values, strict=True):
        program.write_tensor(memory, name, x)
    assert np.array_equal(program.read_tensor(memory, whole), np.concatenate(values))
    place = program.places[whole]
    assert place.slots.tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10]  # lanes 4 and 5 are a hole
    hole = place.address + place.plane_stride + 1  # plane 1, lane 1
    assert memory[hole - program.base] == 0xEE
    assert program.locate(hole) is None


def test_wrong_shapes_and_names_are_refused(program: Program) -> None:
    memory = np.zeros(program.size, np.uint8)
    with pytest.raises(ValueError, match=r"^tensor 'input' must be \(4, 5, 6\), not \(4, 6, 5\)$"):
        program.write_tensor(memory, "input", np.zeros((4, 6, 5), np.uint8))
    for method in (program.read_tensor, program.mask_tensor):
        with pytest.raises(ValueError, match=r"^the program has no tensor 'nothing'$"):
            method(memory, "nothing")


def test_every_computed_byte_is_located(program: Program, network: Network) -> None:
    mask = np.zeros(program.size, np.uint8)
    for plan in program.layers:
        offsets = program.places[plan.output].offsets()
        for (channel, y, x), address in np.ndenumerate(offsets):
            want = (plan.name, plan.output, channel, y, x)
            assert program.locate(int(address)) == want
        program.mask_tensor(mask, plan.output)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == sum(
        int(np.prod(network.tensors[plan.output].shape)) for plan in program.layers
    )
    lanes = np.arange(program.size) % program.places["input"].word_bytes
    for offset in np.flatnonzero((mask == 0) & (lanes < CONFIG.rows))[::7]:
        assert program.locate(int(offset) + program.base) is None


def test_saving_leaves_the_image_and_nothing_else(program: Program, tmp_path: Path) -> None:
    path = program.save(tmp_path / "program.bin")
    assert path.read_bytes() == program.image
    assert [p.name for p in tmp_path.iterdir()] == ["program.bin"]


def test_a_saved_program_comes_back(program: Program, tmp_path: Path) -> None:
    again = Program.load(program.save(tmp_path / "program.bin"), CONFIG)
    same = ("image", "base", "first_descriptor", "size")
    assert [getattr(again, n) for n in same] == [getattr(program, n) for n in same]
    assert again.places == {} and again.layers == []


def test_a_damaged_file_is_refused_wherever_the_damage_is(program: Program, tmp_path: Path) -> None:
    """Every byte of the header, and one in 13 of the descriptors and of the weights."""
    path = tmp_path / "program.bin"
    weights = check_header(program.image, CONFIG)["weights_offset"]
    refused = dict.fromkeys(range(8), "not a Shiftwork program: ")
    for index, word in enumerate(WORDS):
        said = {
            "version": "program version must be 1, not ",
            "fingerprint": "the program was compiled for another engine than 'odd'",
            "bytes": "the program must have ",
        }
        message = said.get(word, "program checksum is wrong: the file is damaged")
        refused |= dict.fromkeys(range(8 + 4 * index, 12 + 4 * index), message)
    refused |= dict.fromkeys(range(44, 64), "bytes 44..63 of a program's header must be 0")
    places = [*range(64), *range(64, weights, 13), *range(weights, len(program.image), 13)]
    for at in places:
        image = bytearray(program.image)
        image[at] ^= 1 << at % 8
        path.write_bytes(image)
        with pytest.raises(ValueError) as caught:
            Program.load(path, CONFIG)
        want = refused.get(at, "program checksum is wrong: the file is damaged")
        assert str(caught.value).startswith(f"{path}: {want}")
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_no_program_is_refused(program: Program, tmp_path: Path) -> None:
    path = program.save(tmp_path / "program.bin")
    with pytest.raises(ValueError, match=r"compiled for another engine than 'even'$"):
        Program.load(path, CONFIG.replace(name="even", cols=4))
    path.write_bytes(program.image[:70])
    with pytest.raises(ValueError, match=r"program\.bin: the program must have \d+ bytes, not 70$"):
        Program.load(path, CONFIG)
    with pytest.raises(ValueError, match=r"nothing\.bin: cannot read it \(No such file"):
        Program.load(tmp_path / "nothing.bin", CONFIG)


def test_plans_add_up(program: Program) -> None:
    lanes = CONFIG.rows * CONFIG.cols
    macs = {"conv0": 2 * 4, "conv1": 4 * 2, "conv2": 5 * 2}  # per pixel of 30
    for plan in program.layers:
        assert plan.macs == 30 * macs.get(plan.name, 0)
        assert plan.ideal_cycles == -(-plan.macs * plan.passes // lanes)


@pytest.mark.parametrize(("value", "want"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_rounding_up(value: int, want: int) -> None:
    assert round_up(value, 64) == want


def test_presets_do_not_share_programs() -> None:
    names = ("tiny", "small", "base", "large")
    assert len({fingerprint(preset(name)) for name in names}) == 4


def test_presets_that_differ_in_registers_alone_share_programs() -> None:
    assert fingerprint(preset("asic")) == fingerprint(preset("base"))
