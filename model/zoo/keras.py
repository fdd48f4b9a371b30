"""Keras networks saved as HDF5, read as graphs: the layers that small classifiers have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..graph import (
    AddNode,
    AveragePoolNode,
    ConvNode,
    GlobalAverageNode,
    Graph,
    Node,
    fold_batch_norm,
)
from ..network import Padding, Pair

Weights = dict[str, dict[str, torch.Tensor]]


def read_keras(path: Path, name: str) -> Graph:
    """Return a Keras model as a graph from real inputs to scores before the softmax.

    Batch norm and ReLU become part of the convolution or sum before them.

    Raises
    ------
    ValueError
        If the file is damaged, or a layer is of a kind that is not known; the message names it.
    """
    config, weights = _read(path)
    builder = _Builder(weights)
    layers = config["config"]["layers"]
    try:
        for layer in layers:
            inbound = [entry[0] for entry in (layer["inbound_nodes"] or [[]])[0]]
            builder.add(layer["class_name"], layer["name"], layer["config"], inbound)
    except KeyError as error:
        raise ValueError(f"{path}: {error.args[0]!r} is missing") from None
    return Graph(name, "pixels", builder.last, builder.shape, builder.nodes)


class _Builder:
    """Adds Keras layers one after another; ``tensors`` maps their names to the graph's."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Node] = []
        self.tensors: dict[str, str] = {}
        self.shape = (0, 0, 0)
        self.last = "pixels"

    def add(self, kind: str, name: str, config: dict[str, Any], inbound: list[str]) -> None:
        sources = [self.tensors[source] for source in inbound]
        if kind == "InputLayer":
            height, width, channels = config["batch_input_shape"][1:]
            self.shape = (channels, height, width)
            self.last = "pixels"
        elif kind in ("Conv2D", "DepthwiseConv2D"):
            self.last = self._conv(kind, name, config, sources[0])
        elif kind == "Dense":
            kernel, bias = self.weights[name]["kernel"], self.weights[name]["bias"]
            weight = kernel.T.contiguous()[..., None, None]
            self.nodes.append(ConvNode(name, sources[0], name, weight, bias, relu=False))
            self.last = name  # its softmax is left to whoever reads the scores
        elif kind == "BatchNormalization":
            self.last = self._batch_norm(name, config, sources[0])
        elif kind in ("Activation", "ReLU") and config.get("activation", "relu") == "relu":
            self.last = self._relu(sources[0])
        elif kind == "Add":
            self.nodes.append(AddNode(name, (sources[0], sources[1]), name))
            self.last = name
        elif kind == "AveragePooling2D":
            self.last = self._average(name, config, sources[0])
        elif kind in ("Flatten", "Dropout"):
            self.last = sources[0]
        else:
            raise ValueError(f"layer {name!r} is of a kind that is not known: {kind}")
        self.tensors[name] = self.last

    def _size(self, tensor: str) -> Pair:
        shape = Graph("part", "pixels", tensor, self.shape, self.nodes).shapes()[tensor]
        return shape[1], shape[2]

    def _conv(self, kind: str, name: str, config: dict[str, Any], source: str) -> str:
        own = self.weights[name]
        groups = 1
        if kind == "Conv2D":
            weight = own["kernel"].permute(3, 2, 0, 1).contiguous()
        else:
            kernel = own["depthwise_kernel"]
            groups = kernel.shape[2]
            weight = kernel.permute(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2]).contiguous()
        bias = own["bias"] if "bias" in own else torch.zeros(weight.shape[0])
        stride = (config["strides"][0], config["strides"][1])
        padding: Padding = (0, 0, 0, 0)
        if config["padding"] == "same":
            padding = same_padding(self._size(source), config["kernel_size"], stride)
        relu = config["activation"] == "relu"
        self.nodes.append(
            ConvNode(name, source, name, weight, bias, stride, padding, relu, groups=groups)
        )
        return name

    def _batch_norm(self, name: str, config: dict[str, Any], source: str) -> str:
        index, node = self._own(source)
        if not isinstance(node, ConvNode) or node.relu:
            raise ValueError(f"layer {name!r}: batch norm must follow a convolution")
        own = self.weights[name]
        weight, bias = fold_batch_norm(
            node.weight,
            node.bias,
            gamma=own["gamma"],
            beta=own["beta"],
            mean=own["moving_mean"],
            variance=own["moving_variance"],
            epsilon=config["epsilon"],
        )
        self.nodes[index] = replace(node, weight=weight, bias=bias)
        return source

    def _relu(self, source: str) -> str:
        index, node = self._own(source)
        if not isinstance(node, ConvNode | AddNode):
            raise ValueError(f"ReLU behind {source!r} is not known")
        self.nodes[index] = replace(node, relu=True)
        return source

    def _own(self, tensor: str) -> tuple[int, Node]:
        """Return the node that writes a tensor which nothing has read yet."""
        index = next(i for i, node in enumerate(self.nodes) if node.output == tensor)
        if any(tensor in node.inputs for node in self.nodes):
            raise ValueError(f"{tensor!r} is read before its batch norm or ReLU")
        return index, self.nodes[index]

    def _average(self, name: str, config: dict[str, Any], source: str) -> str:
        kernel = (config["pool_size"][0], config["pool_size"][1])
        stride = (config["strides"][0], config["strides"][1])
        if kernel == self._size(source):
            self.nodes.append(GlobalAverageNode(name, source, name))
        elif config["padding"] == "valid":
            self.nodes.append(AveragePoolNode(name, source, name, kernel, stride))
        else:
            raise ValueError(f"layer {name!r}: averages without their padding are not known")
        return name


def same_padding(size: Pair, kernel: Pair, stride: Pair) -> Padding:
    """Return TensorFlow's SAME padding: outputs of ceil(size / stride), the odd pixel last."""
    spans = [
        max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)
    ]
    return (
        spans[0] // 2, spans[1] // 2, spans[0] - spans[0] // 2, spans[1] - spans[1] // 2,
    )  # fmt: skip


def _read(path: Path) -> tuple[dict[str, Any], Weights]:
    """Return the model's configuration and its weights by layer and name."""
    try:
        import h5py
    except ImportError:
        raise ValueError(f"reading {path.name} needs h5py: pip install h5py") from None
    weights: Weights = {}
    try:
        with h5py.File(path, "r") as file:
            config = json.loads(str(file.attrs["model_config"]))
            groups: Any = file["model_weights"]
            for layer in groups:
                for key in groups[layer].attrs["weight_names"]:
                    short = str(key).rpartition("/")[2].partition(":")[0]
                    values = torch.tensor(groups[layer][key][()])
                    weights.setdefault(layer, {})[short] = values
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a Keras model in HDF5 ({error})") from None
    return config, weights
