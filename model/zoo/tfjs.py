"""TensorFlow.js graph models read as graphs: convolutional detectors exported from ONNX."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    Graph,
    MaxPoolNode,
    Node,
    UpsampleNode,
)
from ..network import Padding

NONE: Padding = (0, 0, 0, 0)
Constants = dict[str, np.ndarray]


def read_tfjs(path: Path, name: str, shape: tuple[int, int, int], leak: float) -> Graph:
    """Return the convolutional part of a model as a graph: all that leads to its last splits.

    Transpositions vanish, padding becomes part of the layer behind it, bias and leaky ReLU of
    the convolution before. Halving a map bilinearly is averaging 2 x 2 pixels, exactly; doubling
    is repeating them and a depthwise filter (1, 2, 1) / 4 along both axes, exact but for the
    outermost pixels, where the filter sees zeros.

    Parameters
    ----------
    path : Path
        The model's JSON file; its binary files lie beside it.
    name : str
    shape : tuple of int
        Channels, height and width of the input.
    leak : float
        Slope of every leaky ReLU; another one in the file is refused.

    Raises
    ------
    ValueError
        If a file is damaged or an operation is not known; the message names it.
    """
    nodes, constants = _read(path)
    builder = _Builder(constants, shape, leak)
    try:
        for node in _ordered(nodes):
            builder.add(node)
    except (KeyError, IndexError) as error:
        raise ValueError(f"{path}: {error} is missing") from None
    heads = builder.heads
    if not heads:
        raise ValueError(f"{path}: no head ends in a split")
    return Graph(
        name, "pixels", heads[0], shape, builder.nodes, extra_outputs=tuple(heads[1:])
    )  # fmt: skip


class _Builder:
    """Adds operations in order; ``tensors`` maps their names to the graph's, with padding."""

    def __init__(self, constants: Constants, shape: tuple[int, int, int], leak: float) -> None:
        self.constants = constants
        self.shape = shape
        self.leak = leak
        self.nodes: list[Node] = []
        self.tensors: dict[str, tuple[str, Padding]] = {}
        self.counts: dict[str, int] = {}
        self.heads: list[str] = []

    def add(self, node: dict[str, Any]) -> None:
        kind, name = node["op"], node["name"]
        inputs = [source.partition(":")[0] for source in node.get("input", [])]
        known = [self.tensors[source] for source in inputs if source in self.tensors]
        if kind == "Placeholder":
            self.tensors[name] = ("pixels", NONE)
        elif not known:
            return  # constants, and shapes computed from constants
        elif kind == "Transpose":
            self.tensors[name] = known[0]
        elif kind in ("Pad", "PadV2"):
            rows = self.constants[inputs[1]].tolist()  # N, C, H, W
            self.tensors[name] = (known[0][0], (rows[2][0], rows[3][0], rows[2][1], rows[3][1]))
        elif kind == "SplitV":
            self.heads.append(known[0][0])
        elif kind in ("Sigmoid", "Reshape", "Identity"):
            return  # behind the heads
        else:
            self.tensors[name] = (self._layer(kind, node, inputs, known), NONE)

    def _layer(
        self, kind: str, node: dict[str, Any], inputs: list[str], known: list[tuple[str, Padding]]
    ) -> str:
        source, padding = known[0]
        if kind == "Conv2D":
            weight = torch.from_numpy(self.constants[inputs[1]]).permute(3, 2, 0, 1).contiguous()
            _, height, width, _ = _integers(node, "strides")
            name = self._name("conv")
            return self._append(
                ConvNode(
                    name, source, name, weight, torch.zeros(weight.shape[0]), (height, width),
                    padding, False,
                )
            )  # fmt: skip
        if kind == "Add" and len(known) == 1:
            index, conv = self._conv(source)
            bias = torch.from_numpy(self.constants[inputs[1]].reshape(-1).copy())
            self.nodes[index] = replace(conv, bias=bias)
            return source
        if kind == "Add":
            name = self._name("add")
            return self._append(AddNode(name, (source, known[1][0]), name))
        if kind == "LeakyRelu":
            slope = float(node["attr"]["alpha"]["f"])
            if not math.isclose(slope, self.leak, rel_tol=1e-3):
                raise ValueError(f"{node['name']} has slope {slope}, not {self.leak}")
            index, conv = self._conv(source)
            self.nodes[index] = replace(conv, relu=True, leak=self.leak)
            return source
        if kind == "ConcatV2":
            name = self._name("concat")
            return self._append(ConcatNode(name, tuple(part for part, _ in known), name))
        if kind == "MaxPool":
            name = self._name("pool")
            _, kh, kw, _ = _integers(node, "ksize")
            _, sy, sx, _ = _integers(node, "strides")
            return self._append(MaxPoolNode(name, source, name, (kh, kw), (sy, sx), padding))
        if kind == "ResizeBilinear":
            return self._resize(node["name"], source, self.constants[inputs[1]].tolist())
        raise ValueError(f"{node['name']} is an operation that is not known: {kind}")

    def _resize(self, label: str, source: str, size: list[int]) -> str:
        graph = Graph("part", "pixels", source, self.shape, self.nodes)
        channels, height, width = graph.shapes()[source]
        name = self._name("resize")
        if size == [2 * height, 2 * width]:
            self.nodes.append(UpsampleNode(f"{name}_repeat", source, f"{name}_repeat"))
            line = torch.tensor([0.25, 0.5, 0.25])
            weight = torch.outer(line, line).expand(channels, 1, 3, 3).contiguous()
            return self._append(
                ConvNode(
                    name, f"{name}_repeat", name, weight, torch.zeros(channels), (1, 1),
                    (1, 1, 1, 1), False, groups=channels,
                )
            )  # fmt: skip
        if [2 * size[0], 2 * size[1]] == [height, width]:
            return self._append(AveragePoolNode(name, source, name, (2, 2), (2, 2)))
        raise ValueError(f"{label} resizes {height} x {width} to {size}; only by 2 is known")

    def _name(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, -1) + 1
        return f"{kind}{self.counts[kind]}"

    def _append(self, node: Node) -> str:
        self.nodes.append(node)
        return node.output

    def _conv(self, tensor: str) -> tuple[int, ConvNode]:
        for index, node in enumerate(self.nodes):
            if node.output == tensor and isinstance(node, ConvNode):
                return index, node
        raise ValueError(f"{tensor!r} gets a bias or an activation and is no convolution")


def _integers(node: dict[str, Any], key: str) -> list[int]:
    return [int(value) for value in node["attr"][key]["list"]["i"]]


def _ordered(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the operations so that each comes behind those it reads; else as in the file."""
    by_name = {node["name"]: node for node in nodes}
    done: dict[str, dict[str, Any]] = {}
    for root in by_name:
        stack = [root]
        while stack:
            name = stack[-1]
            sources = [s.partition(":")[0].lstrip("^") for s in by_name[name].get("input", [])]
            left = [source for source in sources if source not in done]
            if left:
                stack += left
            else:
                done[stack.pop()] = by_name[name]
    return list(done.values())


def _read(path: Path) -> tuple[list[dict[str, Any]], Constants]:
    """Return a model's operations and its constants by name."""
    constants: Constants = {}
    try:
        document = json.loads(path.read_bytes())
        for group in document["weightsManifest"]:
            data = b"".join((path.parent / name).read_bytes() for name in group["paths"])
            at = 0
            for entry in group["weights"]:
                stored = np.dtype(entry.get("quantization", entry)["dtype"])
                count = math.prod(entry["shape"])
                values = np.frombuffer(data, stored, count, at).reshape(entry["shape"])
                constants[entry["name"]] = values.astype(np.dtype(entry["dtype"]))
                at += count * stored.itemsize
        return document["modelTopology"]["node"], constants
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot read it ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a TensorFlow.js graph model ({error})") from None
