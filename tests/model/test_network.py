from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from shiftwork.model.codebook import Book, Codebook, ShiftWeights
from shiftwork.model.fixed import Requantiser
from shiftwork.model.golden import run
from shiftwork.model.integers import IntegerBook
from shiftwork.model.network import (
    Concat,
    Conv,
    GlobalAveragePool,
    MaxPool,
    Network,
    TensorInfo,
)
from shiftwork.model.preprocess import Preprocess


def small() -> Network:
    """Every kind of layer once: two convolutions, concatenation, max and average pooling."""
    generator = torch.Generator().manual_seed(11)
    tensors = [
        TensorInfo("x", 3, 9, 8, 0), TensorInfo("a", 4, 9, 8, 1), TensorInfo("b", 5, 9, 8, 1),
        TensorInfo("ab", 9, 9, 8, 1), TensorInfo("p", 9, 4, 4, 1), TensorInfo("y", 9, 1, 1, 3),
    ]  # fmt: skip

    def conv(name: str, channels: int, kernel: int, scale: str) -> Conv:
        w = torch.randn(channels, 3, kernel, kernel, generator=generator)
        rq = Requantiser.from_real(np.linspace(1e-3, 2e-3, channels), np.full(channels, 50.25))
        weights = Codebook(2, 4).quantize(w, scale)  # type: ignore[arg-type]
        b = kernel // 2
        return Conv(name, "x", name, (kernel, kernel), (1, 1), (b, b, b, b), weights, rq)

    mean = Requantiser.from_real(np.full(9, 4 / 16), np.array(0.0))
    layers = [
        conv("a", 4, 1, "layer"),
        conv("b", 5, 3, "channel"),
        Concat("ab", ("a", "b"), "ab"),
        MaxPool("p", "ab", "p", (3, 3), (2, 2), (0, 0, 0, 1)),
        GlobalAveragePool("y", "p", "y", mean),
    ]
    classes = tuple(f"class {i}" for i in range(9))
    preprocess = Preprocess(size=9, short_side=10, channels="bgr")
    return Network("small", "x", "y", {t.name: t for t in tensors}, layers, preprocess, classes)


X = torch.randint(0, 256, (2, 3, 9, 8), dtype=torch.uint8)


def test_network_comes_back_the_same(tmp_path: Path) -> None:
    network = small()
    folder = network.save(tmp_path / "deep" / "net")
    again = Network.load(folder)
    assert again.tensors == network.tensors
    assert again.preprocess == network.preprocess and again.classes == network.classes
    first, second = run(network, X), run(again, X)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for before, after in zip(network.convolutions(), again.convolutions(), strict=True):
        assert torch.equal(before.weights.codes, after.weights.codes)
        assert torch.equal(before.weights.scale, after.weights.scale)
        assert before.weights.codebook == after.weights.codebook
        assert (before.kernel, before.stride, before.padding) == (
            after.kernel, after.stride, after.padding,
        )  # fmt: skip


@pytest.mark.parametrize(
    "book",
    [
        *(Codebook(1, bits, zero=False) for bits in (3, 4, 5)),
        IntegerBook(8),
        IntegerBook(4),
        IntegerBook(3),
    ],
    ids=str,
)
def test_a_codebook_of_another_kind_comes_back(tmp_path: Path, book: Book) -> None:
    magnitudes = torch.arange(1, book.magnitudes + 1, dtype=torch.int8)
    codes = torch.cat([magnitudes, -magnitudes]).view(1, 2, -1, 1, 1)
    weights = ShiftWeights(codes, torch.tensor(0.5, dtype=torch.float64), book)
    rq = Requantiser.from_real(np.full(2, 1e-4), np.zeros(2))
    tensors = {"x": TensorInfo("x", book.magnitudes, 2, 2, 0), "y": TensorInfo("y", 2, 2, 2, 0)}
    layer = Conv("y", "x", "y", (1, 1), (1, 1), (0, 0, 0, 0), weights, rq)
    Network("q", "x", "y", tensors, [layer]).save(tmp_path / "net")
    again = next(Network.load(tmp_path / "net").convolutions()).weights
    assert again.codebook == book
    assert torch.equal(again.codes, codes)


def test_saving_replaces_a_network_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = small().save(tmp_path / "net")
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    small().save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files \(thesis\.txt\)"):
        small().save(folder)
    assert (folder / "thesis.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="is a file"):
        small().save(folder / "thesis.txt")


def test_failed_saving_leaves_the_old_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small().save(tmp_path / "net")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> bytes:
        raise OSError("no space left on device")

    monkeypatch.setattr("shiftwork.model.storage.dump_tensors", full)
    with pytest.raises(OSError, match="no space"):
        small().save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_failed_move_into_place_leaves_the_old_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small().save(tmp_path / "net")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("device is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="device is gone"):
        small().save(folder)
    with pytest.raises(OSError, match="device is gone"):
        small().save(tmp_path / "other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize(
    ("layer", "label", "value", "says"),
    [
        (0, "kernel", (0, 1), "layer 'a': kernel must be 2 integers of at least 1, not (0, 1)"),
        (0, "stride", (1, 0), "layer 'a': stride must be 2 integers of at least 1, not (1, 0)"),
        (0, "stride", (1, 1.5), "layer 'a': stride must be 2 integers"),
        (0, "dilation", (-1, 1), "layer 'a': dilation must be 2 integers of at least 1"),
        (1, "padding", (1, 1, 1), "layer 'b': padding must be 4 integers of at least 0"),
        (1, "padding", (1, -1, 1, 1), "layer 'b': padding must be 4 integers of at least 0"),
        (3, "stride", (0, 2), "layer 'p': stride must be 2 integers of at least 1, not (0, 2)"),
        (3, "kernel", ("3", 3), "layer 'p': kernel must be 2 integers"),
    ],
)
def test_windows_that_cannot_be_are_refused(
    layer: int, label: str, value: tuple, says: str
) -> None:
    good = small()
    layers = list(good.layers)
    layers[layer] = replace(layers[layer], **{label: value})
    with pytest.raises(ValueError) as caught:
        Network("bad", "x", "y", good.tensors, layers)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("name", ["network.json", "weights.safetensors"])
def test_any_damaged_byte_is_noticed(tmp_path: Path, name: str) -> None:
    folder = small().save(tmp_path / "net")
    good = (folder / name).read_bytes()
    want = run(small(), X)["y"]
    rng = Random(5)
    for _ in range(150):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(data)
        try:
            network = Network.load(folder)
        except ValueError as error:
            assert "\n" not in str(error).split("(")[0]
        else:  # only space between the fields of the JSON may change unnoticed
            assert torch.equal(run(network, X)["y"], want)
    for length in (0, 1, len(good) // 2, len(good) - 2):
        (folder / name).write_bytes(good[:length])
        with pytest.raises(ValueError, match=name):
            Network.load(folder)


def edit(folder: Path, field: str, value: object) -> None:
    path = folder / "network.json"
    document = json.loads(path.read_text())
    if value is None:
        del document[field]
    else:
        document[field] = value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "onnx", "field 'format' must be 'shiftwork-network'"),
        ("version", 8, "field 'version' must be 1 or 2 or 3 or 4 or 5 or 6 or 7, not 8"),
        ("output", "z", "field 'output' does not match its checksum"),
        ("layers", [], "field 'layers' does not match its checksum"),
        ("tensors", None, "field 'tensors' is missing"),
        ("sha256", None, "field 'sha256' is missing"),
    ],
)
def test_wrong_field_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    folder = small().save(tmp_path / "net")
    edit(folder, field, value)
    with pytest.raises(ValueError, match=message):
        Network.load(folder)


def test_normalising_is_stored_and_older_files_are_read(tmp_path: Path) -> None:
    mean, std, gain = (0.5, 0.4, 0.3), (0.2, 0.25, 0.125), (0.75, 1.0, 0.5)
    preprocess = Preprocess(size=9, short_side=10, mean=mean, std=std, gain=gain, offset=(4, 0, 2))
    folder = replace(small(), preprocess=preprocess).save(tmp_path / "net")
    assert Network.load(folder).preprocess == preprocess
    folder = small().save(tmp_path / "net")
    document = json.loads((folder / "network.json").read_text())
    older = {k: v for k, v in document["preprocess"].items() if v != []}
    assert older.keys() == {"size", "short_side", "channels", "fit", "resample"}
    text = json.dumps(older, sort_keys=True, separators=(",", ":"))
    document["sha256"]["preprocess"] = hashlib.sha256(text.encode()).hexdigest()
    document |= {"preprocess": older, "version": 2}
    (folder / "network.json").write_text(json.dumps(document))
    assert Network.load(folder).preprocess == small().preprocess


def test_missing_files_and_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"network\.json: cannot read it"):
        Network.load(tmp_path)
    folder = small().save(tmp_path / "net")
    other = (tmp_path / "net" / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"weights\.safetensors: cannot read it"):
        Network.load(folder)
    from safetensors.torch import load, save

    arrays = load(other)
    arrays["b.requantise.bias"] = arrays["b.requantise.bias"] + 1
    (folder / "weights.safetensors").write_bytes(save(arrays))
    with pytest.raises(ValueError, match=r"checksum of array 'b\.requantise\.bias' is wrong"):
        Network.load(folder)
    del arrays["b.requantise.bias"]
    (folder / "weights.safetensors").write_bytes(save(arrays))
    with pytest.raises(ValueError, match=r"array 'b\.requantise\.bias' is missing"):
        Network.load(folder)


def test_networks_that_do_not_fit_together_are_refused() -> None:
    good = small()

    def build(layers: list | None = None, **tensors: TensorInfo) -> Network:
        return Network("bad", "x", "y", good.tensors | tensors, layers or good.layers)

    with pytest.raises(ValueError, match=r"layer 'a': output 'a' must be \(4, 9, 8\)"):
        build(a=TensorInfo("a", 4, 9, 7, 1))
    with pytest.raises(ValueError, match="layer 'ab': 'b' and 'ab' must share scale"):
        build(b=TensorInfo("b", 5, 9, 8, 2))
    with pytest.raises(ValueError, match="reads 'a' before it is written"):
        build(good.layers[1:])
    with pytest.raises(ValueError, match="no layer writes the output"):
        build(good.layers[:-1])
    with pytest.raises(ValueError, match="two layers are named 'a'"):
        build([good.layers[0], *good.layers])
    with pytest.raises(ValueError, match="2 class names for 9"):
        Network("bad", "x", "y", good.tensors, good.layers, None, ("cat", "dog"))
    with pytest.raises(ValueError, match="zero_point must be 0 or 128, not 3"):
        TensorInfo("t", 1, 1, 1, 0, 3)
    with pytest.raises(ValueError, match=r"bits must be in 2\.\.8"):
        TensorInfo("t", 1, 1, 1, 0, 0, 9)
    with pytest.raises(ValueError, match="width must be positive"):
        TensorInfo("t", 1, 1, 0, 0)
