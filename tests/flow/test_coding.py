"""``convert --codec auto``: maps in fewer bits, what is written about it, what is refused."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftwork.flow.cli import main
from shiftwork.model.network import Network

Capture = pytest.CaptureFixture[str]
FACTORY = """
import torch
from torch import nn

def build():
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
"""
OFFSETS = """
    for layer in (net[0], net[3]):
        layer.bias.data -= 2.0  # so that hardly anything is left
    return net
"""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rng = np.random.default_rng(6)
    (tmp_path / "photos").mkdir()
    for number in range(20):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "nets_for_coding.py").write_text(textwrap.dedent(FACTORY))
    monkeypatch.chdir(tmp_path)
    return ["convert", "nets_for_coding:build", "--calibration", "photos", "--size", "8"]


def test_maps_are_coded_and_the_curve_is_written(arguments: list[str], capsys: Capture) -> None:
    assert main([*arguments, "--codec", "auto", "--max-drop", "100", "--json"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["codec_measured_on"] == 4 and "counts" not in printed.err
    assert figures["codec_for"] == "base, codec_bits=6, zero_maps=True"
    network = Network.load("net")
    assert figures["coded_maps"] == 2  # behind the pooling, which takes the one in front along
    assert len(network.codes) == 3
    assert figures["bits_per_map_value"] < 5
    curve = json.loads(Path("net/codec.json").read_text())
    chosen = [point for point in curve["curve"] if point["chosen"]]
    assert len(chosen) == 1 and curve["measured_on"] == 4
    assert chosen[0]["bits"] == min(point["bits"] for point in curve["curve"])
    assert set(chosen[0]["maps"].values()) <= {2, 3, 4, 5, 6}
    assert Path("net/codec.svg").read_text().startswith("<?xml")
    assert main(arguments) == 0  # again, into the same folder, without codes
    assert not Path("net/codec.json").exists() and not Path("net/codec.svg").exists()


def test_crops_of_one_picture_are_all_fitted_to_or_none(
    arguments: list[str], capsys: Capture
) -> None:
    coded = [*arguments, "--codec", "auto", "--max-drop", "100", "--crops", "32"]
    assert main([*coded, "--json"]) == 0
    # 16 of the 20 pictures, two crops each; 4 of them are measured on
    assert json.loads(capsys.readouterr().out)["codec_measured_on"] == 8


def test_a_drop_that_nothing_keeps_leaves_maps_as_they_are(
    arguments: list[str], capsys: Capture
) -> None:
    assert main([*arguments, "--codec", "auto", "--max-drop", "0", "--json"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert "measured on 4 pictures, of which one that changes class counts 12 points" in printed.err
    assert figures["codec_drop_estimated"] == 0.0
    assert len(Network.load("net").codes) == (3 if figures["coded_maps"] == 2 else 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codec", "best"], "--codec must be auto, not 'best'"),
        (["--max-drop", "2"], "--max-drop 2 is for --codec auto: add it"),
        (["--codec", "auto", "--max-drop", "-1"], "--max-drop must be finite and not negative"),
        (["--codec", "auto", "--budget", "1.5"], "leave out --budget"),
        (
            ["--codec", "auto", "--preset", "tiny"],
            "needs an engine with zero_maps or codec_bits of 2 or more, not 'tiny'",
        ),
        (["--codec", "auto", "--set", "codec_bits=4"], "--set codec_bits=4 changes the engine of"),
        (["--preset", "tiny"], "--preset tiny is the engine of a --budget or of --codec: give one"),
        (["--codec", "auto", "--pictures", "9"], "beside the fifth that judges, not 7"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], capsys: Capture, options: list[str], message: str
) -> None:
    assert main([*arguments, *options]) == 1
    assert message in capsys.readouterr().err
    assert not Path("net").exists()


def test_maps_of_zeros_stay_exact(arguments: list[str], capsys: Capture) -> None:
    text = FACTORY.replace("return nn.Seq", "net = nn.Seq") + OFFSETS
    Path("nets_of_zeros.py").write_text(text)
    arguments[1] = "nets_of_zeros:build"
    assert main([*arguments, "--codec", "auto", "--max-drop", "0", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    network = Network.load("net")
    data = json.loads(Path("net/codec.json").read_text())["without_zeros"]
    assert data["chosen"] and not network.codes and figures["coded_maps"] == 0
    assert figures["maps_without_zeros"] == len(network.zeros) == len(data["maps"]) == 3
    assert figures["bits_per_map_value"] == round(data["bits"], 3) < 2
    assert figures["codec_drop_estimated"] == 0.0


@pytest.mark.parametrize(("name", "bits", "drop"), [("tiny", 3, "100"), ("base", 4, "0")])
def test_an_engine_says_what_there_is_to_choose_from(
    name: str, bits: int, drop: str, arguments: list[str], capsys: Capture
) -> None:
    text = FACTORY.replace("return nn.Seq", "net = nn.Seq") + OFFSETS
    Path("nets_of_zeros.py").write_text(text)
    arguments[1] = "nets_of_zeros:build"
    engine = ["--preset", name, "--set", f"codec_bits={bits}"]
    assert main([*arguments, "--codec", "auto", "--max-drop", drop, *engine, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["codec_for"] == f"{name}, codec_bits={bits}, zero_maps=False"
    network = Network.load("net")
    assert not network.zeros and figures["maps_without_zeros"] == 0
    data = json.loads(Path("net/codec.json").read_text())
    assert data["engine"] == {"name": name, "codec_bits": bits, "zero_maps": False}
    assert not data["without_zeros"]["chosen"] and data["without_zeros"]["bits"] == 8
    used = {k for point in data["curve"] for k in point["maps"].values()}
    assert used and max(used) <= bits
