"""The pair a host checks an engine by: run from the files alone, and removed when it is stale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shiftwork.flow.bringup import forget_program, write_program
from shiftwork.flow.cli import main
from shiftwork.hw.config import preset
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from tests.model.machine import Machine
from tests.networks import NetworkBuilder

CONFIG = preset("tiny")


def small(outputs: int = 1) -> Network:
    builder = NetworkBuilder(3, 5, 8, 9)
    first = builder.conv(6, (3, 3), (1, 1), (1, 1, 1, 1))
    builder.conv(5, (1, 1))
    network = builder.build()
    return Network(
        network.name, network.input, network.output, network.tensors, network.layers,
        extra_outputs=(first,) if outputs > 1 else (),
    )  # fmt: skip


def run_from_files(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return got, wanted and mask of every output; only the files are looked at."""
    described = json.loads((folder / "program.json").read_text())
    image = np.fromfile(folder / "program.bin", np.uint8)
    memory = np.full(described["size"], 0xA5, np.uint8)
    memory[: len(image)] = image
    base, outputs = described["base"], []
    for entry in described["check"]["files"]:
        data = np.fromfile(folder / entry["file"], np.uint8)
        assert len(data) == entry["bytes"]
        span = slice(entry["address"] - base, entry["address"] - base + entry["bytes"])
        if entry["role"] == "input":
            memory[span] = data
        else:
            outputs.append((entry, span, data))
    Machine(CONFIG, memory, base).run(described["first_descriptor"])
    return {
        entry["tensor"]: (memory[span], data, np.fromfile(folder / entry["mask"], np.uint8))
        for entry, span, data in outputs
    }


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_files_alone_check_an_engine(outputs: int, tmp_path: Path) -> None:
    network = small(outputs)
    write_program(network, compile_network(network, CONFIG), CONFIG, tmp_path, None)
    found = run_from_files(tmp_path)
    assert list(found) == list(network.outputs)
    for name, (got, want, mask) in found.items():
        assert set(np.unique(mask)) <= {0, 255}
        assert int((mask == 255).sum()) == np.prod(network.tensors[name].shape)
        assert np.array_equal(got & mask, want & mask)
        assert len(np.unique(want[mask == 255])) > 1
    described = json.loads((tmp_path / "program.json").read_text())
    assert "default_rng(1)" in described["check"]["input"]
    drawn = np.random.default_rng(1).integers(0, 256, (5, 8, 9), np.uint8)
    first = np.fromfile(tmp_path / "input.bin", np.uint8)
    place = described["tensors"][network.input]
    assert first[place["slots"][2] % place["rows"] + place["slots"][2] // place["rows"]
                 * place["plane_stride"]] == drawn[2, 0, 0]  # fmt: skip


def test_generate_takes_a_picture_and_forgets_what_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, out = small(), tmp_path / "rtl"
    network.save(tmp_path / "net")
    x = np.random.default_rng(3).integers(0, 256, (5, 8, 9), np.uint8)
    np.save(tmp_path / "x.npy", x)
    engine = ["--set", "buffer_words=256"]
    arguments = ["generate", "tiny", "-o", str(out)]
    whole = [*arguments, *engine, "--network", str(tmp_path / "net")]
    assert main([*whole, "--picture", str(tmp_path / "none.npy")]) == 1
    assert "no picture at" in capsys.readouterr().err and not out.exists()
    assert main([*arguments, "--picture", "x.npy"]) == 1
    assert "--picture x.npy is the input of a --network" in capsys.readouterr().err
    assert main([*whole, "--picture", str(tmp_path / "x.npy")]) == 0
    described = json.loads((out / "program.json").read_text())
    assert described["check"]["input"] == "picture x.npy"
    files = {"program.bin", "program.json", "input.bin", "output.bin", "output.mask"}
    assert files <= {path.name for path in out.iterdir()}
    capsys.readouterr()
    config = CONFIG.replace(buffer_words=256)
    assert forget_program(config, out) == []  # it still runs there
    assert main(arguments) == 0
    assert "program.json: of another engine" in capsys.readouterr().err.replace("\n", " ")
    assert not files & {path.name for path in out.iterdir()}
