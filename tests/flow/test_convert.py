"""`convert` on networks from elsewhere: what is written, and that it runs as it was calibrated."""

from __future__ import annotations

import json
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from PIL import Image
from torch import nn

from shiftwork.flow.cli import main
from shiftwork.flow.inputs import open_picture
from shiftwork.flow.pictures import PictureOptions, open_folder
from shiftwork.model.golden import run
from shiftwork.model.importer import from_onnx, load
from shiftwork.model.network import Network
from shiftwork.model.preprocess import Preprocess

from .bad_networks import model, random

Capture = pytest.CaptureFixture[str]
NORMALISE = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
FACTORY = """
import torch
from torch import nn

def build():
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(8 * 3 * 3, 5), nn.Softmax(1))

class Small(nn.Module):
    make = staticmethod(build)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with eleven photos and a factory, and make it the working one."""
    photos = tmp_path / "photos" / "more"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(6)
    for number in range(11):
        pixels = rng.integers(0, 256, (14, 15 + number, 3), dtype=np.uint8)
        place = photos if number % 2 else photos.parent
        Image.fromarray(pixels).save(place / f"{number}.png")
    (tmp_path / "photos" / "labels.txt").write_text("cat")
    (tmp_path / "nets_for_convert.py").write_text(textwrap.dedent(FACTORY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build() -> nn.Sequential:
    """Return the network of the factory, which a conversion has imported."""
    return sys.modules["nets_for_convert"].build().eval().requires_grad_(False)


def convert(arguments: list[str], capsys: Capture) -> dict[str, object]:
    assert main(["convert", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_factory_exported_program_and_onnx_give_the_same_codes(
    folder: Path, capsys: Capture
) -> None:
    common = ["--calibration", "photos", *NORMALISE, "--terms", "2", "--bits", "4"]
    shown = convert(["nets_for_convert:build", "--size", "12", *common, "-o", "a"], capsys)
    assert shown["convolutions"] == 2 and shown["weights"] == 8 * 27 + 72 * 5
    assert shown["network"] == "build" and shown["folder"] == "a"
    notes = shown["notes"]
    assert isinstance(notes, list) and "aten.softmax at the end" in notes[0]
    module = build()
    example = (torch.zeros(1, 3, 12, 12),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, example), folder / "net.pt2")
        torch.onnx.export(
            module, example, folder / "net.onnx", dynamo=False, input_names=["image"],
            dynamic_axes={"image": {0: "n", 2: "h", 3: "w"}},
        )  # fmt: skip
    convert(["net.pt2", *common, "-o", "b"], capsys)
    convert(["net.onnx", "--size", "12", *common, "-o", "c"], capsys)
    convert(["nets_for_convert:Small.make", "--size", "12", *common, "-o", "d"], capsys)
    networks = [Network.load(folder / name) for name in "abcd"]
    for other in networks[1:]:
        for one, two in zip(networks[0].convolutions(), other.convolutions(), strict=True):
            assert torch.equal(one.weights.codes, two.weights.codes)
            assert torch.equal(one.weights.scale, two.weights.scale)
            assert torch.equal(one.requantiser.bias, two.requantiser.bias)
    folders = {path.name for path in folder.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {"a", "b", "c", "d", "photos"}


@pytest.mark.parametrize(
    ("arithmetic", "rounding", "largest"),
    [("int8", [], 127), ("int4", [], 7), ("int4", ["--rounding", "compensated"], 7)],
)
def test_integer_weights(
    arithmetic: str, rounding: list[str], largest: int, folder: Path, capsys: Capture
) -> None:
    shown = convert(
        ["nets_for_convert:build", "--size", "12", "--calibration", "photos", *NORMALISE,
         "--arithmetic", arithmetic, *rounding, "-o", "net"], capsys,
    )  # fmt: skip
    network = Network.load(folder / "net")
    peaks = [conv.weights.codes.abs().flatten(2).amax(2).max() for conv in network.convolutions()]
    assert [int(peak) for peak in peaks] == [largest, largest]
    assert shown["bits_per_weight"] == {"int8": 8, "int4": 4}[arithmetic]
    engine = ["--preset", "tiny", "--simulator", "icarus", "-o", "sim", "--json"]
    assert main(["simulate", "net", *engine, "--picture", "photos/0.png"]) == 1
    assert "cannot multiply by integers" in capsys.readouterr().err
    assert main(["simulate", "net", *engine, "--picture", "photos/0.png",
                 "--set", f"arithmetic={arithmetic}"]) == 0  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert report["bit_exact"] and report["config"]["arithmetic"] == arithmetic


def test_integers_have_no_terms_to_choose(folder: Path, capsys: Capture) -> None:
    common = ["convert", "nets_for_convert:build", "--size", "12", "--calibration", "photos",
              "--arithmetic", "int8", "-o", "net"]  # fmt: skip
    for options, message in (
        (["--terms", "1"], "int8 weights have bits of their own and no terms: leave out terms 1"),
        (["--bits", "4"], "int8 weights have bits of their own and no terms: leave out bits 4"),
        (["--budget", "1.2"], "--budget chooses terms, int8 weights have none: leave it out"),
    ):
        assert main([*common, *options]) == 1
        assert capsys.readouterr().err == f"shiftwork: error: {message}\n"
    assert not (folder / "net").exists()


def test_preprocessing_is_stored_and_used_again(folder: Path, capsys: Capture) -> None:
    arguments = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", *NORMALISE,
                 "--channels", "bgr", "--short-side", "13", "--resample", "bicubic", "-N", "4",
                 "-B", "5", "-o", "net"]  # fmt: skip
    convert(arguments, capsys)
    network = Network.load(folder / "net")
    chosen = network.preprocess
    assert chosen is not None
    assert (chosen.size, chosen.short_side, chosen.channels) == (12, 13, "bgr")
    assert (chosen.resample, chosen.fit) == ("bicubic", "crop")
    assert chosen.mean == (0.485, 0.456, 0.406) and chosen.gain != ()
    stored, name = open_picture(str(folder / "photos" / "0.png"), network)
    assert name == "0.png"
    # the same picture through torch, mean and standard deviation as the user gave them
    plain = PictureOptions(channels="bgr", short_side=13, resample="bicubic", white=255)
    pixels = replace(plain.preprocess((3, 12, 12)), mean=(), std=())(folder / "photos" / "0.png")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (chosen.mean, chosen.std))
    module = build()[:-1]  # without softmax
    want = module(((pixels / 255 - mean) / std)[None]).flatten()
    info = network.tensors[network.output]
    got = (run(network, stored[None])[network.output].flatten().double() - info.zero_point) * (
        2.0**-info.frac_bits
    )
    # four terms of five bits: what is left is the activations' rounding
    assert float((got - want).abs().max()) < 0.06 * float(want.abs().max())


def test_mean_and_deviation_of_pixels_need_their_white() -> None:
    for option in ("mean", "std"):
        wrong = PictureOptions(**{option: "123.7,116.3,103.5"})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=rf"--{option} 123.7,.* is 1: give --white 255"):
            wrong.preprocess((3, 8, 8))
    right = PictureOptions(mean="123.7,116.3,103.5", std="58.4,57.1,57.4", white=255)
    assert right.preprocess((3, 8, 8)).mean == pytest.approx((0.485, 0.456, 0.406), abs=1e-3)
    assert PictureOptions(white=0.5).preprocess((1, 8, 8)).std == (2.0,)  # not given, so in order


def test_a_network_of_bytes_sees_pixels_as_they_are(folder: Path, capsys: Capture) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"], name="first"),
    ]
    net = model(nodes, [("w", random(4, 3, 3, 3))], kind=onnx.TensorProto.UINT8)
    onnx.save(net, folder / "net.onnx")
    convert(["net.onnx", "--calibration", "photos", "-o", "net"], capsys)
    network = Network.load(folder / "net")
    assert network.preprocess is not None and network.preprocess.mean == ()
    info = network.tensors[network.input]
    assert (info.frac_bits, info.zero_point) == (0, 0)
    for option, value in (("--white", "1"), ("--mean", "0.5"), ("--std", "0.2")):
        arguments = ["net.onnx", "--calibration", "photos", option, value, "-o", "other"]
        assert main(["convert", *arguments]) == 1
        assert f"{option} {value}" in (line := capsys.readouterr().err) and "reads bytes" in line
    graph = from_onnx("net.onnx", preprocess=Preprocess(size=8, short_side=8))
    x = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    want = torch.nn.functional.conv2d(x.float(), torch.from_numpy(random(4, 3, 3, 3)))
    assert torch.allclose(graph.run(x)[graph.output], want, atol=1e-2)
    normal = Preprocess(size=8, short_side=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(ValueError, match="'net' reads bytes, pixels as they are"):
        from_onnx("net.onnx", preprocess=normal)


def test_pictures_can_be_fewer_and_spread(folder: Path) -> None:
    every = open_folder(folder / "photos")
    assert [path.name for path in every] == [
        "0.png", "10.png", "2.png", "4.png", "6.png", "8.png", "1.png", "3.png", "5.png", "7.png",
        "9.png",
    ]  # fmt: skip
    assert open_folder(folder / "photos", 3) == [every[0], every[3], every[7]]


def test_rounding_methods_and_observers_change_the_codes(folder: Path, capsys: Capture) -> None:
    common = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", *NORMALISE, "-N",
              "1"]  # fmt: skip
    convert([*common, "-o", "greedy"], capsys)
    convert([*common, "--rounding", "compensated", "-o", "compensated"], capsys)
    convert([*common, "--observer", "max", "--pictures", "4", "-o", "max"], capsys)
    greedy, compensated, widest = (
        Network.load(folder / name) for name in ("greedy", "compensated", "max")
    )
    pairs = list(zip(greedy.convolutions(), compensated.convolutions(), strict=True))
    assert any(not torch.equal(a.weights.codes, b.weights.codes) for a, b in pairs)
    pairs = list(zip(greedy.convolutions(), widest.convolutions(), strict=True))
    assert all(torch.equal(a.weights.codes, b.weights.codes) for a, b in pairs)


def test_agreement_is_always_shown_and_says_on_what(folder: Path, capsys: Capture) -> None:
    common = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", *NORMALISE]
    plain = convert([*common, "-o", "net"], capsys)
    assert plain["judged_on"] == 11 and "rounded_with" not in plain
    compensated = [*common, "--rounding", "compensated", "-N", "1"]
    looked = convert([*compensated, "-o", "net"], capsys)
    assert (looked["rounded_with"], looked["judged_on"]) == (8, 3)
    few = convert([*compensated, "--pictures", "4", "-o", "net"], capsys)
    assert (few["rounded_with"], few["judged_on"]) == (4, 4)
    assert few["judged_on_pictures_rounded_with"] is True
    for shown in (plain, looked, few):
        assert 0 <= float(str(shown["agreement"])) <= 1 and float(str(shown["divergence"])) >= 0
    # by hand: the pictures held back, through the float network and through what was written
    network = Network.load(folder / "net")
    x = torch.stack([
        open_picture(str(path), network)[0] for path in open_folder(folder / "photos", 4)
    ])  # fmt: skip
    graph = load("nets_for_convert:build", preprocess=network.preprocess, shape=(3, 12, 12))
    got = run(network, x)[network.output].flatten(1).int().argmax(1)
    want = graph.run(x)[graph.output].flatten(1).argmax(1)
    assert few["agreement"] == pytest.approx(float((got == want).double().mean()))


def test_crops_of_the_pictures_to_round_with(folder: Path, capsys: Capture) -> None:
    common = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", *NORMALISE,
              "--rounding", "compensated", "-N", "1"]  # fmt: skip
    counts = (None, 5, 30, 30)
    for number, crops in enumerate(counts):
        more = [] if crops is None else ["--crops", str(crops)]
        shown = convert([*common, *more, "-o", f"net{number}"], capsys)
        assert (shown["rounded_with"], shown["judged_on"]) == (crops or 8, 3)
    codes = [
        torch.cat([layer.weights.codes.flatten() for layer in Network.load(
            folder / f"net{number}").convolutions()]) for number in range(4)
    ]  # fmt: skip
    assert not torch.equal(codes[0], codes[1]) and not torch.equal(codes[1], codes[2])
    assert torch.equal(codes[2], codes[3])


def test_a_network_with_quantisers_needs_no_pictures(folder: Path, capsys: Capture) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    constants = [("w", random(4, 3, 3, 3)), ("s", np.float32(0.03125)), ("z", np.int8(0))]
    onnx.save(model(nodes, constants), folder / "net.onnx")
    shown = convert(["net.onnx", "-o", "net"], capsys)
    assert shown["notes"] == []
    network = Network.load(folder / "net")
    info = network.tensors["first"]
    assert (info.frac_bits, info.zero_point) == (5, 128)
    assert main(["convert", "net.onnx", "--rounding", "compensated", "-o", "other"]) == 1
    assert "--rounding compensated needs --calibration" in capsys.readouterr().err


def test_an_own_folder_is_written_again(folder: Path, capsys: Capture) -> None:
    arguments = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", "-o", "net"]
    common = {"network.json", "weights.safetensors", "calibration.json", "calibration.svg"}
    for more, extra in ((["--budget", "1.5"], {"curve.json", "curve.svg"}),) * 2 + (([], set()),):
        shown = convert([*arguments, *more], capsys)
        assert {path.name for path in (folder / "net").iterdir()} == common | extra
        assert 0 < shown["mean_terms"] <= (1.5 if more else 2)  # type: ignore[operator]
        assert 0 <= shown["zero_terms"] < 1 and shown["bits_per_weight"] >= 4  # type: ignore[operator]
        assert 0 <= shown["agreement"] <= 1  # type: ignore[operator]
    seen = json.loads((folder / "net" / "calibration.json").read_text())
    assert seen["pictures"] == 11 and len(seen["tensors"]) == 3
    row = seen["tensors"][0]
    assert row["low"] < row["high"] and 0 <= row["clipped"] < 1 and row["sqnr"] > 10
    network = Network.load(folder / "net")
    assert row["frac_bits"] == network.tensors[row["name"]].frac_bits


def test_an_output_folder_with_other_files_is_left_alone(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "net").mkdir()
    (folder / "net" / "thesis.txt").write_text("mine")
    arguments = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", "-o", "net"]
    monkeypatch.setattr("shiftwork.flow.importing.load", None)  # refused before any work
    assert main(["convert", *arguments]) == 1
    assert "holds other files (thesis.txt)" in capsys.readouterr().err
    assert [path.name for path in (folder / "net").iterdir()] == ["thesis.txt"]


def test_notes_go_to_the_terminal(folder: Path, capsys: Capture) -> None:
    arguments = ["nets_for_convert:build", "--size", "12", "--calibration", "photos", "-o", "net"]
    assert main(["convert", *arguments]) == 0
    captured = capsys.readouterr()
    assert "aten.softmax at the end" in captured.err and "bytes" in captured.out
