"""Networks on disk: ``network.json`` and ``weights.safetensors``, versioned, with checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from .codebook import Codebook, ShiftWeights
from .fixed import Requantiser
from .network import Concat, Conv, GlobalAveragePool, Layer, MaxPool, Network, TensorInfo
from .packing import pack_bits, unpack_bits
from .preprocess import Preprocess

FORMAT = "shiftwork-network"
VERSION = 1
JSON_NAME = "network.json"
WEIGHTS_NAME = "weights.safetensors"
FIELDS = ("name", "input", "output", "tensors", "layers", "preprocess", "classes", "arrays")

Arrays = dict[str, torch.Tensor]


def save_network(network: Network, folder: Path) -> Path:
    """Write a network into ``folder``, whole or not at all; an older network there is replaced.

    Raises
    ------
    ValueError
        If ``folder`` holds files that are not a network's.
    """
    if folder.exists():
        if not folder.is_dir():
            raise ValueError(f"{folder} is a file; a network is saved as a folder")
        foreign = {path.name for path in folder.iterdir()} - {JSON_NAME, WEIGHTS_NAME}
        if foreign:
            raise ValueError(f"{folder} holds other files ({min(foreign)}); choose an empty folder")
    arrays: Arrays = {}
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "input": network.input,
        "output": network.output,
        "tensors": [vars(tensor) for tensor in network.tensors.values()],
        "layers": [_layer_to_json(layer, arrays) for layer in network.layers],
        "preprocess": vars(network.preprocess) if network.preprocess else None,
        "classes": list(network.classes),
    }
    document["arrays"] = {name: _digest_array(array) for name, array in sorted(arrays.items())}
    document["sha256"] = {name: _digest_json(document[name]) for name in FIELDS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        fresh = work / "new"
        fresh.mkdir()
        (fresh / WEIGHTS_NAME).write_bytes(dump_tensors(arrays))
        (fresh / JSON_NAME).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(work / "old")
        fresh.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def load_network(folder: Path) -> Network:
    """Read a network.

    Raises
    ------
    ValueError
        If a file is missing, foreign, damaged or of another version; the message names the
        field that is wrong.
    """
    document = _read_json(folder / JSON_NAME)
    try:
        arrays = load_tensors((folder / WEIGHTS_NAME).read_bytes())
    except OSError as error:
        raise ValueError(f"{folder / WEIGHTS_NAME}: cannot read it ({error.strerror})") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{folder / WEIGHTS_NAME}: not a safetensors file ({error})") from None
    for name, digest in document["arrays"].items():
        if name not in arrays:
            raise ValueError(f"{WEIGHTS_NAME}: array {name!r} is missing")
        if _digest_array(arrays[name]) != digest:
            raise ValueError(f"{WEIGHTS_NAME}: checksum of array {name!r} is wrong")
    try:
        tensors = [TensorInfo(**entry) for entry in document["tensors"]]
        preprocess = document["preprocess"]
        return Network(
            name=document["name"],
            input=document["input"],
            output=document["output"],
            tensors={tensor.name: tensor for tensor in tensors},
            layers=[_layer_from_json(entry, arrays) for entry in document["layers"]],
            preprocess=Preprocess(**preprocess) if preprocess else None,
            classes=tuple(document["classes"]),
        )
    except KeyError as error:
        raise ValueError(f"{JSON_NAME}: field {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{JSON_NAME}: a field has the wrong type ({error})") from None


def _read_json(path: Path) -> dict[str, Any]:
    """Return the document after checking format, version and every field's checksum."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot read it ({error.strerror})") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a JSON document ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{path}: field 'format' must be {FORMAT!r}; not a network of this project"
        )
    if document.get("version") != VERSION:
        raise ValueError(
            f"{path}: field 'version' must be {VERSION}, not {document.get('version')!r}"
        )
    digests = document.get("sha256")
    if not isinstance(digests, dict):
        raise ValueError(f"{path}: field 'sha256' is missing")
    for name in FIELDS:
        if name not in document:
            raise ValueError(f"{path}: field {name!r} is missing")
        if digests.get(name) != _digest_json(document[name]):
            raise ValueError(f"{path}: field {name!r} does not match its checksum")
    return document


def _digest_json(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_array(array: torch.Tensor) -> str:
    head = f"{array.dtype} {tuple(array.shape)} ".encode()
    return hashlib.sha256(head + array.contiguous().numpy().tobytes()).hexdigest()


def _layer_to_json(layer: Layer, arrays: Arrays) -> dict[str, Any]:
    """Return a layer as JSON data; its arrays go into ``arrays`` under the layer's name."""
    kind = type(layer)
    entry: dict[str, Any] = {"op": OPS[kind], "name": layer.name, "output": layer.output}
    if isinstance(layer, Concat):
        return entry | {"inputs": list(layer.inputs)}
    entry["input"] = layer.input
    if isinstance(layer, Conv | MaxPool):
        entry |= {"kernel": layer.kernel, "stride": layer.stride, "padding": layer.padding}
    if isinstance(layer, Conv):
        book, codes = layer.weights.codebook, layer.weights.codes
        entry |= {
            "dilation": layer.dilation,
            "terms": book.terms,
            "bits": book.bits,
            "shape": list(layer.weights.shape),
        }
        packed = pack_bits(codes.numpy(), book.bits, 1)
        arrays[f"{layer.name}.codes"] = torch.from_numpy(np.frombuffer(packed, np.uint8).copy())
        arrays[f"{layer.name}.scale"] = layer.weights.scale
    if isinstance(layer, Conv | GlobalAveragePool):
        rq = layer.requantiser
        entry["clamp"] = [rq.lo, rq.hi]
        for name in ("sign", "shift", "bias", "right"):
            arrays[f"{layer.name}.requantise.{name}"] = getattr(rq, name).contiguous()
    return entry


def _layer_from_json(entry: dict[str, Any], arrays: Arrays) -> Layer:
    kind = next((kind for kind, op in OPS.items() if op == entry["op"]), None)
    if kind is None:
        raise ValueError(f"{JSON_NAME}: layer {entry['name']!r} has unknown op {entry['op']!r}")
    common: dict[str, Any] = {"name": entry["name"], "output": entry["output"]}
    if kind is Concat:
        return Concat(**common, inputs=tuple(entry["inputs"]))
    common["input"] = entry["input"]
    for name in ("kernel", "stride", "padding", "dilation"):
        if name in entry:
            common[name] = tuple(entry[name])
    if kind is MaxPool:
        return MaxPool(**common)

    def array(name: str) -> torch.Tensor:
        try:
            return arrays[f"{entry['name']}.{name}"]
        except KeyError:
            raise ValueError(f"{WEIGHTS_NAME}: array '{entry['name']}.{name}' is missing") from None

    parts = {name: array(f"requantise.{name}") for name in ("sign", "shift", "bias", "right")}
    rq = Requantiser(**parts, lo=entry["clamp"][0], hi=entry["clamp"][1])
    if kind is GlobalAveragePool:
        return GlobalAveragePool(**common, requantiser=rq)
    book = Codebook(entry["terms"], entry["bits"])
    shape = (book.terms, *entry["shape"])
    codes = unpack_bits(array("codes").numpy().tobytes(), shape, book.bits, 1)
    weights = ShiftWeights(torch.from_numpy(codes), array("scale"), book)
    return Conv(**common, weights=weights, requantiser=rq)


OPS: dict[Callable[..., Layer], str] = {
    Conv: "conv",
    MaxPool: "max_pool",
    Concat: "concat",
    GlobalAveragePool: "global_average_pool",
}
