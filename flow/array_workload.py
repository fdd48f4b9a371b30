"""What array circuits are shown: three layers of SqueezeNet and a real picture's activations."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..hw.arrays.circuits import Circuit
from ..hw.arrays.lanes import ShiftLane
from ..model.accuracy import BATCH, CALIBRATION_PICTURES, CROPS, digest_sources
from ..model.calibrate import observe
from ..model.codebook import Codebook, ShiftWeights
from ..model.golden import accumulate, run
from ..model.graph import ConvNode
from ..model.network import Conv
from ..model.rounding import round_graph
from ..model.zoo import MODELS, imagenet
from .asic.stimulus import Workload
from .files import content_key, write_atomic
from .inputs import open_network, open_picture

NETWORK = "squeezenet1_1"
LAYERS = ("fire2_expand3x3", "fire5_expand3x3", "conv10")
MODES = ("held", "changing")
CACHE = Path("build/cache/arrays")


class Recipe(NamedTuple):
    """N and B of weights, and the price of a term."""

    terms: int
    bits: int
    price: float = 0.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A convolution, its float weights and the activations it reads.

    Attributes
    ----------
    layer : Conv
    weights : ndarray float64 (Cout, Cin, kh, kw)
    acts : ndarray uint8 (Cin, H, W)
        Stored activations of the network of two terms, from the golden model.
    rounded : mapping of Recipe to ShiftWeights
        The weights rounded for accuracy; greedily where there are none.
    """

    layer: Conv
    weights: np.ndarray
    acts: np.ndarray
    rounded: Mapping[Recipe, ShiftWeights] = field(default_factory=dict)


def recipe_of(circuit: Circuit) -> Recipe | None:
    """Return how a circuit's weights are rounded, None where they are integers."""
    lane = circuit.lane
    if not isinstance(lane, ShiftLane):
        return None
    return Recipe(lane.terms, lane.code_bits, circuit.price)


def scenes(picture: str | None, recipes: Iterable[Recipe] = ()) -> tuple[list[Scene], str]:
    """Return the layers with what a picture makes them read, and the picture's name.

    The activations are those of SqueezeNet with N = 2 and B = 4 (greedy, as published) whatever
    the circuit: all circuits see the same.

    Parameters
    ----------
    picture : str, optional
        As for `open_picture`.
    recipes : iterable of Recipe
        How weights are rounded for accuracy.
    """
    from ..model.zoo import squeezenet

    network = open_network(NETWORK)
    values, name = open_picture(picture, network)
    tensors = run(network, values[None], until=LAYERS[-1])
    floats = {
        node.name: node.weight
        for node in squeezenet.to_graph(squeezenet.load_float(), names=False).nodes
        if isinstance(node, ConvNode)
    }
    found = []
    for layer in network.layers:
        if layer.name in LAYERS:
            assert isinstance(layer, Conv)
            weights = floats[layer.name].double().numpy()
            found.append(Scene(layer, weights, tensors[layer.input][0].numpy()))
    for recipe in dict.fromkeys(recipes):
        rounded = rounded_weights(recipe)
        found = [replace(s, rounded={**s.rounded, recipe: rounded[s.layer.name]}) for s in found]
    return found, name


def rounded_weights(recipe: Recipe, cache: Path = CACHE) -> dict[str, ShiftWeights]:
    """Return the layers' weights rounded as in the accuracy table; a second call is instant."""
    terms, bits, price = recipe
    method = "compensated"
    key = content_key(NETWORK, LAYERS, method, recipe, CROPS, digest_sources())
    path = Path(cache) / f"weights-{terms}-{bits}-{key}.npz"
    if not path.exists():
        loader = MODELS[NETWORK]
        graph = loader.load_float()
        assert graph.preprocess is not None
        seen = observe(graph, loader.calibration(CALIBRATION_PICTURES).split(BATCH))
        crops = imagenet.rounding_crops(graph.preprocess, CROPS, 0).split(BATCH)
        done = round_graph(
            graph, seen.frac_bits, crops, method=method, terms=terms, bits=bits, price=price
        )  # fmt: skip
        codes: dict[str, Any] = {name: done[name].weights.codes.numpy() for name in LAYERS}
        file = io.BytesIO()
        np.savez(file, **codes)
        write_atomic(path, file.getvalue())
    # Scales are not needed: what the array adds are integers.
    with np.load(path) as data:
        return {
            name: ShiftWeights(
                torch.from_numpy(data[name]), torch.tensor(1.0, dtype=torch.float64),
                Codebook(terms, bits),
            )
            for name in LAYERS
        }  # fmt: skip


def codes_of(circuit: Circuit, scene: Scene, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of ``cols`` channels: codes (N, \\*shape) int64, and their integers.

    Powers of two are those of the scene or rounded greedily, integers to the nearest; each output
    channel has its own scale, by its largest weight.
    """
    lane, weights = circuit.lane, scene.weights[:cols]
    recipe = recipe_of(circuit)
    if recipe is not None:
        greedy = Codebook(recipe.terms, recipe.bits)
        rounded = scene.rounded.get(recipe) or greedy.quantize(scene.weights, "channel")
        codes, integers = rounded.codes[:, :cols], rounded.integers()[:cols]
        return codes.numpy().astype(np.int64), integers.numpy()
    top = (1 << (getattr(lane, "weight_bits") - 1)) - 1  # noqa: B009
    peak = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    integers = np.rint(weights / np.where(peak == 0, 1, peak) * top).astype(np.int64)
    return integers[None], integers


def _patches(
    scene: Scene, acts: np.ndarray, pixels: list[tuple[int, int]], rows: int
) -> np.ndarray:
    """Return what each pixel reads, (pixels, blocks, rows): kernel y, kernel x, channels."""
    layer = scene.layer
    top, left, bottom, right = layer.padding
    padded = np.pad(acts, ((0, 0), (top, bottom), (left, right)))
    blocks = []
    for y, x in pixels:
        at = padded[:, y * layer.stride[0] :, x * layer.stride[1] :]
        window = at[:, : layer.kernel[0], : layer.kernel[1]]
        blocks.append(window.transpose(1, 2, 0).reshape(-1, rows))
    return np.stack(blocks).astype(np.int64)


def workload(
    circuit: Circuit, found: list[Scene], mode: str, beats: int, rows: int, cols: int
) -> Workload:
    """Return ``beats`` beats of each layer for a circuit.

    ``held``: the weights of the layer's middle block stay, and pixels pass by from the middle row
    of the map on, each with its sum so far. ``changing``: pixel after pixel, and for each the
    blocks one after the other.

    Raises
    ------
    ValueError
        If a layer has fewer pixels than beats from there on, or the blocks of its pixels do not
        add up to the golden model's sums.
    """
    parts = [_layer(circuit, scene, mode, beats, rows, cols) for scene in found]
    return Workload(*(np.concatenate([p[i] for p in parts]) for i in range(6)))


def _layer(
    circuit: Circuit, scene: Scene, mode: str, beats: int, rows: int, cols: int
) -> tuple[np.ndarray, ...]:
    layer, lane = scene.layer, circuit.lane
    acts = scene.acts
    if circuit.act_bits < 8:  # round half up, as a requantiser would
        drop = 8 - circuit.act_bits
        rounded = (acts.astype(np.int64) + (1 << (drop - 1))) >> drop
        acts = np.minimum(rounded, (1 << circuit.act_bits) - 1).astype(np.uint8)
    codes, integers = codes_of(circuit, scene, cols)
    golden = accumulate(
        torch.from_numpy(acts)[None], torch.from_numpy(integers), stride=layer.stride,
        padding=layer.padding,
    )[0].numpy()  # fmt: skip
    y, width = golden.shape[1] // 2, golden.shape[2]

    def blocked(
        w: np.ndarray,
    ) -> np.ndarray:  # (..., cols, Cin, kh, kw) to (..., blocks, cols, rows)
        turned = np.moveaxis(w, -3, -1)
        flat = turned.reshape(*w.shape[:-3], -1, rows)
        return np.moveaxis(flat, -2, -3)

    words, blocks = blocked(integers), blocked(codes)  # (blocks, cols, rows), (N, blocks, ...)
    constants = lane.constant(blocks).sum(axis=2)  # (blocks, cols)
    count = len(words)
    wanted = beats if mode == "held" else -(-beats // count)
    pixels = [divmod(y * width + i, width) for i in range(wanted)]
    if pixels[-1][0] >= golden.shape[1]:
        raise ValueError(f"{layer.name} has too few pixels for {beats} beats; ask for fewer")
    patches = _patches(scene, acts, pixels, rows)
    products = np.einsum("pbr,bcr->pbc", patches, words)
    if not np.array_equal(
        products.sum(axis=1), golden[:, [y for y, _ in pixels], [x for _, x in pixels]].T
    ):
        raise ValueError(f"{layer.name}: the blocks do not add up to the golden model's sums")
    before = np.cumsum(products, axis=1) - products
    gathered = np.cumsum(constants, axis=0) - constants
    if mode == "held":
        b = count // 2
        load = np.arange(beats) == 0
        return (
            patches[:, b], blocks[:, b][None], load, before[:, b], products[:, b],
            np.broadcast_to(gathered[b], (beats, cols)),
        )  # fmt: skip
    order = [divmod(i, count) for i in range(beats)]
    p, b = np.array(order).T
    return (
        patches[p, b], np.moveaxis(blocks, 1, 0)[b], np.ones(beats, bool), before[p, b],
        products[p, b], gathered[b],
    )  # fmt: skip
