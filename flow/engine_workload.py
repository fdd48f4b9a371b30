"""What a whole engine's netlist runs for its power: a corner of a real layer of a real picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..hw.config import EngineConfig
from ..model import golden
from ..model.codebook import ShiftWeights
from ..model.compile import compile_network
from ..model.fixed import Requantiser
from ..model.mixed_cycles import network_cycles
from ..model.network import Conv, Network
from ..model.program import Program
from ..model.zoo import fashion_mnist
from .inputs import open_network, open_picture

NETWORK = "fashion_mnist"
LAYER = "conv2"
SIZE, LARGE_SIZE = 5, 8  # pixels a side of the output, and on engines of many lanes
MANY = 64  # lanes; with more the layer's stride is 1


@dataclass(frozen=True, eq=False)
class Scene:
    """A network of one layer and what it reads.

    Attributes
    ----------
    network : Network
    acts : Tensor uint8 (C, H, W)
    program : Program
        Of ``network``.
    macs : int
        Products of a weight and an activation in it.
    picture_cycles : int
        Cycles of the whole network that the layer is from, by the cycle model.
    """

    network: Network
    acts: torch.Tensor
    program: Program
    macs: int
    picture_cycles: int

    @property
    def key(self) -> bytes:
        """What differs where the scene does."""
        return self.program.image + self.acts.numpy().tobytes()


def corner(
    config: EngineConfig, picture: str | None = None, blocks: int = 2, size: int = 0
) -> Scene:
    """Return a corner of the second convolution of the Fashion-MNIST network.

    The layer (3 x 3, stride 2, 16 input channels) has its own weights, those of its first output
    channels that fill ``blocks`` blocks of the engine's columns; the activations are what the
    network computes from ``picture``, the first test picture by default: what ``size`` x ``size``
    pixels of the layer's output, from the middle, depend on; 0: 5. With more than 64 lanes it is 8
    and the stride 1: so many would do 5 x 5 pixels in less time than these take to be loaded.

    With shift arithmetic weights have as many terms as a lane takes at once, rounded greedily;
    integers are rounded to nearest; one scale per channel.
    """
    size = size or (SIZE if config.lanes <= MANY else LARGE_SIZE)
    shifts = config.arithmetic == "shift"
    whole = open_network(
        NETWORK, terms=config.lane_terms if shifts else None,
        bits=config.code_bits if shifts else None, scale="channel", arithmetic=config.arithmetic,
    )  # fmt: skip
    layer = next(each for each in whole.layers if each.name == LAYER)
    assert isinstance(layer, Conv)
    x = open_picture(picture, whole)[0][None] if picture else fashion_mnist.labelled(1).x
    tensors = golden.run(whole, x, until=LAYER)
    acts = tensors[layer.input]
    stride = layer.stride if config.lanes <= MANY else (1, 1)
    edge = (size - 1) * stride[0] + layer.kernel[0]
    top, left = (acts.shape[2] - edge) // 2, (acts.shape[3] - edge) // 2
    shown = acts[:, :, top : top + edge, left : left + edge].contiguous()
    kept = min(blocks * config.cols, layer.weights.codes.shape[1])
    weights, rq = layer.weights, layer.requantiser
    cut = replace(
        layer, stride=stride, padding=(0, 0, 0, 0),
        weights=ShiftWeights(weights.codes[:, :kept], weights.scale[:kept], weights.codebook),
        requantiser=Requantiser(
            rq.sign[:kept], rq.shift[:kept], rq.bias[:kept], rq.right[:kept], rq.lo, rq.hi,
            rq.slope, rq.zero,
        ),
    )  # fmt: skip
    read, written = whole.tensors[layer.input], whole.tensors[layer.output]
    infos = {
        read.name: replace(read, height=edge, width=edge),
        written.name: replace(written, channels=kept, height=size, width=size),
    }
    network = Network(f"{NETWORK} {LAYER}", read.name, written.name, infos, [cut])
    return Scene(
        network, shown[0], compile_network(network, config),
        int(cut.weights.codes[0].numel()) * size * size, network_cycles(whole, config),
    )  # fmt: skip
