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
from .codec.table import TableCode
from .fixed import Requantiser
from .integers import IntegerBook
from .network import (
    Add,
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    Requantised,
    TensorInfo,
    Upsample,
)
from .packing import pack_bits, unpack_bits
from .preprocess import Preprocess

FORMAT = "shiftwork-network"
VERSION = 7
# 1 had one output, no groups, slopes, sums or upsampling; 2 no mean or gain; 3 no edges of pools;
# 4 no codes; 5 no integer weights; 6 no zeros left out
READABLE = (1, 2, 3, 4, 5, 6, 7)
JSON_NAME = "network.json"
WEIGHTS_NAME = "weights.safetensors"
BESIDE = tuple(  # of `convert`
    f"{what}.{kind}" for what in ("calibration", "codec", "curve") for kind in ("json", "svg")
)
FIELDS = ("name", "input", "output", "tensors", "layers", "preprocess", "classes", "arrays")
# By the first version that has them.
FIELDS_SINCE = {2: ("extra_outputs",), 5: ("codes",), 7: ("zeros",)}

Arrays = dict[str, torch.Tensor]


def check_folder(folder: Path) -> None:
    """Raise ValueError if ``folder`` holds anything that `convert` does not write."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; a network is saved as a folder")
    foreign = {path.name for path in folder.iterdir()} - {JSON_NAME, WEIGHTS_NAME, *BESIDE}
    if foreign:
        raise ValueError(f"{folder} holds other files ({min(foreign)}); choose an empty folder")


def save_network(network: Network, folder: Path) -> Path:
    """Write a network into ``folder``, whole or not at all; an older network there is replaced.

    What was measured of the older one (``BESIDE``) goes with it.

    Raises
    ------
    ValueError
        If ``folder`` holds files that are not a network's.
    """
    check_folder(folder)
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
        "extra_outputs": list(network.extra_outputs),
        "codes": {name: _code_to_json(name, code, arrays) for name, code in network.codes.items()},
        "zeros": list(network.zeros),
    }
    document["arrays"] = {name: _digest_array(array) for name, array in sorted(arrays.items())}
    document["sha256"] = {name: _digest_json(document[name]) for name in _fields(VERSION)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        fresh = work / "new"
        fresh.mkdir()
        (fresh / WEIGHTS_NAME).write_bytes(dump_tensors(arrays))
        (fresh / JSON_NAME).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        old = work / "old"
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
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
            preprocess=_preprocess_from_json(preprocess) if preprocess else None,
            classes=tuple(document["classes"]),
            extra_outputs=tuple(document.get("extra_outputs", ())),
            codes={
                name: _code_from_json(name, entry, arrays)
                for name, entry in document.get("codes", {}).items()
            },
            zeros=tuple(document.get("zeros", ())),
        )
    except KeyError as error:
        raise ValueError(f"{JSON_NAME}: field {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{JSON_NAME}: a field has the wrong type ({error})") from None


def _preprocess_from_json(entry: dict[str, Any]) -> Preprocess:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Preprocess(**fields)


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
    version = document.get("version")
    if version not in READABLE:
        known = " or ".join(map(str, READABLE))
        raise ValueError(f"{path}: field 'version' must be {known}, not {version!r}")
    digests = document.get("sha256")
    if not isinstance(digests, dict):
        raise ValueError(f"{path}: field 'sha256' is missing")
    for name in _fields(version):
        if name not in document:
            raise ValueError(f"{path}: field {name!r} is missing")
        if digests.get(name) != _digest_json(document[name]):
            raise ValueError(f"{path}: field {name!r} does not match its checksum")
    return document


def _fields(version: int) -> tuple[str, ...]:
    """Return the fields of a document that have checksums of their own."""
    since = [names for first, names in FIELDS_SINCE.items() if first <= version]
    return sum(since, FIELDS)


def _code_to_json(name: str, code: TableCode, arrays: Arrays) -> dict[str, Any]:
    """Return a tensor's code as JSON data; its tables go into ``arrays``."""
    for part in ("thresholds", "levels"):
        arrays[f"{name}.code.{part}"] = getattr(code, part).contiguous().clone()
    return {"kind": "table", "bits": code.bits}


def _code_from_json(name: str, entry: dict[str, Any], arrays: Arrays) -> TableCode:
    if entry["kind"] != "table":
        raise ValueError(
            f"{JSON_NAME}: the code of tensor {name!r} is of unknown kind {entry['kind']!r}"
        )
    tables = {part: arrays.get(f"{name}.code.{part}") for part in ("thresholds", "levels")}
    for part, table in tables.items():
        if table is None:
            raise ValueError(f"{WEIGHTS_NAME}: array '{name}.code.{part}' is missing")
    try:
        return TableCode(entry["bits"], **tables)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise ValueError(f"the code of tensor {name!r}: {error}") from None


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
    if isinstance(layer, Concat | Add):
        entry["inputs"] = list(layer.inputs)
    else:
        entry["input"] = layer.input
    if isinstance(layer, Add):
        entry["shifts"] = list(layer.shifts)
    if isinstance(layer, Conv | MaxPool | AveragePool):
        entry |= {"kernel": layer.kernel, "stride": layer.stride, "padding": layer.padding}
    if isinstance(layer, Conv):
        book, codes = layer.weights.codebook, layer.weights.codes
        entry |= {
            "dilation": layer.dilation,
            "groups": layer.groups,
            "terms": book.terms,
            "bits": book.bits,
            **({} if book.zero else {"zero": False}),
            **({"integer": True} if isinstance(book, IntegerBook) else {}),
            "shape": list(layer.weights.shape),
        }
        packed = pack_bits(codes.numpy(), book.code_bits, 1)
        arrays[f"{layer.name}.codes"] = torch.from_numpy(np.frombuffer(packed, np.uint8).copy())
        arrays[f"{layer.name}.scale"] = layer.weights.scale.clone()
    if isinstance(layer, AveragePool) and layer.edges:
        entry |= {"left_out": list(layer.left_out), "edges": [count for count, _ in layer.edges]}
        for count, edge in layer.edges:
            _store_requantiser(f"{layer.name}.edge{count}", edge, arrays)
    if isinstance(layer, Requantised):
        rq = layer.requantiser
        entry["clamp"] = [rq.lo, rq.hi]
        if rq.slope:
            entry |= {"slope": [list(term) for term in rq.slope], "slope_zero": rq.zero}
        _store_requantiser(f"{layer.name}.requantise", rq, arrays)
    return entry


def _store_requantiser(name: str, rq: Requantiser, arrays: Arrays) -> None:
    for part in ("sign", "shift", "bias", "right"):
        arrays[f"{name}.{part}"] = getattr(rq, part).contiguous().clone()


def _layer_from_json(entry: dict[str, Any], arrays: Arrays) -> Layer:
    kind = next((kind for kind, op in OPS.items() if op == entry["op"]), None)
    if kind is None:
        raise ValueError(f"{JSON_NAME}: layer {entry['name']!r} has unknown op {entry['op']!r}")
    common: dict[str, Any] = {"name": entry["name"], "output": entry["output"]}
    if "input" in entry:
        common["input"] = entry["input"]
    for name in ("inputs", "shifts", "kernel", "stride", "padding", "dilation"):
        if name in entry:
            common[name] = tuple(entry[name])
    if kind in (Concat, MaxPool, Upsample):
        return kind(**common)

    def array(name: str) -> torch.Tensor:
        try:
            return arrays[f"{entry['name']}.{name}"]
        except KeyError:
            raise ValueError(f"{WEIGHTS_NAME}: array '{entry['name']}.{name}' is missing") from None

    def requantiser(name: str) -> Requantiser:
        return Requantiser(
            **{part: array(f"{name}.{part}") for part in ("sign", "shift", "bias", "right")},
            lo=entry["clamp"][0],
            hi=entry["clamp"][1],
            slope=tuple((sign, shift) for sign, shift in entry.get("slope", ())),
            zero=entry.get("slope_zero", 0),
        )

    rq = requantiser("requantise")
    if "edges" in entry:
        common["left_out"] = tuple(entry["left_out"])
        common["edges"] = tuple((count, requantiser(f"edge{count}")) for count in entry["edges"])
    if kind is not Conv:
        return kind(**common, requantiser=rq)
    if entry.get("integer", False):
        book = IntegerBook(entry["bits"])
    else:
        book = Codebook(entry["terms"], entry["bits"], entry.get("zero", True))
    shape = (book.terms, *entry["shape"])
    codes = unpack_bits(array("codes").numpy().tobytes(), shape, book.code_bits, 1)
    weights = ShiftWeights(torch.from_numpy(codes), array("scale"), book)
    return Conv(**common, weights=weights, requantiser=rq, groups=entry.get("groups", 1))


OPS: dict[Callable[..., Layer], str] = {
    Conv: "conv",
    MaxPool: "max_pool",
    Concat: "concat",
    AveragePool: "average_pool",
    GlobalAveragePool: "global_average_pool",
    Add: "add",
    Upsample: "upsample",
}
