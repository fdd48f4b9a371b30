"""A small network for Fashion-MNIST, trained on the spot from Debian's ``dataset-fashion-mnist``.

The first use trains for about a minute and keeps the weights beside the packages.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..graph import ConvNode, GlobalAverageNode, Graph, Node
from ..preprocess import Preprocess
from .loader import Labelled, Loader, spread
from .packages import data_root, fetch

PREPROCESS = Preprocess(size=28, short_side=28, channels="gray")
FOLDER = "usr/share/datasets/fashion-mnist"
CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip
# convolutions: (name, input channels, output channels, kernel, stride)
LAYERS = (
    ("conv1", 1, 16, 3, 2),
    ("conv2", 16, 32, 3, 2),
    ("conv3", 32, 48, 3, 1),
    ("scores", 48, 10, 1, 1),
)
EPOCHS, BATCH, RATE, SEED = 6, 128, 0.008, 1
FRAC_BITS = 8  # pixels stand for pixel / 256


def load_float() -> Graph:
    """Return the network with its weights as a graph; trains it if that was not done before.

    Raises
    ------
    MissingDataError
        If the data set cannot be fetched.
    ValueError
        If the kept weights are damaged.
    """
    path = data_root() / "fashion_mnist-trained.safetensors"
    if not path.exists():
        print("training the Fashion-MNIST network once, about a minute", file=sys.stderr)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the layers are too small to share
        try:
            weights = train()
        finally:
            torch.set_num_threads(threads)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fashion.") as work:
            save_file(weights, Path(work) / path.name)
            (Path(work) / path.name).replace(path)
    try:
        return to_graph(load_file(path))
    except (SafetensorError, KeyError, OSError) as error:
        raise ValueError(f"{path}: not the trained weights ({error}); remove it") from None


def to_graph(weights: dict[str, torch.Tensor]) -> Graph:
    """Return the graph of weights "LAYER.weight" and "LAYER.bias"."""
    nodes: list[Node] = []
    at = "pixels"
    for name, _, _, kernel, stride in LAYERS:
        if name == "scores":
            nodes.append(GlobalAverageNode("mean", at, "mean"))
            at = "mean"
        weight, bias, b = weights[f"{name}.weight"], weights[f"{name}.bias"], kernel // 2
        nodes.append(
            ConvNode(
                name, at, name, weight, bias, (stride, stride), (b, b, b, b), name != "scores"
            )
        )  # fmt: skip
        at = name
    return Graph(
        name="fashion_mnist",
        input="pixels",
        output="scores",
        shape=(1, 28, 28),
        nodes=nodes,
        preprocess=PREPROCESS,
        classes=CLASSES,
        frac_bits=FRAC_BITS,
    )


def train(
    epochs: int = EPOCHS, limit: int | None = None, report: Callable[[float], None] | None = None
) -> dict[str, torch.Tensor]:
    """Train from a fixed seed and return the weights.

    Parameters
    ----------
    epochs : int
        Passes over the 60 000 pictures.
    limit : int, optional
        Use only so many pictures.
    report : callable, optional
        Called with the mean loss of every epoch.
    """
    x, y = read("train")
    x, y = x[:limit], y[:limit]
    rng = torch.Generator().manual_seed(SEED)
    weights: dict[str, torch.Tensor] = {}
    for name, cin, cout, k, _ in LAYERS:
        spread_of = (2.0 / (cin * k * k)) ** 0.5
        weights[f"{name}.weight"] = torch.randn(cout, cin, k, k, generator=rng) * spread_of
        weights[f"{name}.bias"] = torch.zeros(cout)
    for value in weights.values():
        value.requires_grad_(True)
    optimiser = torch.optim.Adam(weights.values(), lr=RATE)
    steps = epochs * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(epochs):
        total = 0.0
        for index in torch.randperm(len(y), generator=rng).split(BATCH):
            loss = F.cross_entropy(_forward(weights, x[index].float() * 2.0**-FRAC_BITS), y[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(index)
        if report:
            report(total / len(y))
    return {name: value.detach() for name, value in weights.items()}


def _forward(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for name, _, _, _, stride in LAYERS[:-1]:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        x = F.conv2d(x, weight, bias, stride, 1).relu()
    mean = x.mean((2, 3), keepdim=True)
    return F.conv2d(mean, weights["scores.weight"], weights["scores.bias"]).flatten(1)


def read(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures uint8 (B, 1, 28, 28) and classes int64 (B,) of part "train" or "t10k".

    Raises
    ------
    ValueError
        If a file is damaged.
    """
    folder = fetch("dataset-fashion-mnist") / FOLDER
    arrays: list[np.ndarray] = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        path = folder / f"{part}-{kind}-ubyte.gz"
        try:
            data = gzip.decompress(path.read_bytes())
        except (OSError, EOFError) as error:
            raise ValueError(f"{path}: cannot read it ({error})") from None
        arrays.append(np.frombuffer(data, np.uint8, offset=head))
    if arrays[0].size != 784 * arrays[1].size:
        raise ValueError(f"{folder}: {part} pictures and labels do not fit together")
    pictures = torch.from_numpy(arrays[0].copy()).view(-1, 1, 28, 28)
    return pictures, torch.from_numpy(arrays[1].astype(np.int64))


def demo() -> Image.Image:
    """Return the first test picture."""
    return Image.fromarray(read("t10k")[0][0, 0].numpy())


def calibration(limit: int) -> torch.Tensor:
    """Return training pictures."""
    x, _ = read("train")
    return x[spread(len(x), limit)]


def labelled(limit: int | None = None) -> Labelled:
    """Return the 10 000 test pictures, or some of them."""
    x, y = read("t10k")
    chosen = spread(len(y), limit)
    return Labelled(x[chosen], tuple((int(c),) for c in y[chosen]))


LOADER = Loader(
    name="fashion_mnist",
    title="Fashion-MNIST CNN",
    load_float=load_float,
    demo=demo,
    calibration=calibration,
    labelled=labelled,
    pictures=256,
)
load_quantized = LOADER.load_quantized
