"""The order of bands, and where each one lies in the activation buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.config import EngineConfig
from .bands import Band
from .lowered import Lowered

LAG = 2  # bands of the producer after the last one needed, so that its output is stored in time


@dataclass(frozen=True)
class Step:
    """One descriptor: a band of a layer."""

    layer: int
    band: Band
    last_of_layer: bool


def order_bands(layers: Sequence[Lowered], bands: Sequence[list[Band]]) -> list[Step]:
    """Return all bands, layer after layer, but pooling and copying as soon as the input is there.

    They hardly compute, they load; between the bands of the layer before, which hardly load,
    they cost little.
    """
    steps: list[Step] = []
    index = 0
    while index < len(layers):
        following = index + 1
        pooled = following < len(layers) and _follows(layers[index], layers[following])
        late = list(bands[following]) if pooled else []
        window = layers[following].window if pooled else None
        for number, band in enumerate(bands[index]):
            steps.append(Step(index, band, number + 1 == len(bands[index])))
            if window is None or number < LAG or number + 1 == len(bands[index]):
                continue
            done = bands[index][number - LAG]
            rows = (done.out_first + done.pixels) // layers[index].window.out[1]
            while late and late[0].load_first + late[0].load_words <= rows * window.size[1]:
                pool = late.pop(0)
                steps.append(Step(following, pool, not late))
        for number, band in enumerate(late):
            steps.append(Step(following, band, number + 1 == len(late)))
        index += 2 if pooled else 1
    return steps


def _follows(layer: Lowered, following: Lowered) -> bool:
    """Whether a layer only pools or copies, and may run between the bands of the one before."""
    return (
        following.kind in ("max_pool", "average_pool", "copy")
        and following.window.separate
        and len(following.inputs) == 1
        and not layer.window.separate
        and layer.window.out == following.window.size
    )


@dataclass(frozen=True)
class Slot:
    """A band's place in the buffer, and how many descriptors must be computed before it loads."""

    base: int
    free: int


def allocate_buffer(steps: Sequence[Step], config: EngineConfig) -> list[Slot]:
    """Place bands one after another around the buffer, each where the oldest ones lay."""
    slots: list[Slot] = []
    held: list[tuple[int, int, int]] = []  # first word, last word + 1, descriptor
    at = 0
    for number, step in enumerate(steps):
        words = max(step.band.words, 1)
        if at + words > config.buffer_words:
            at = 0
        end = at + words
        over = [n for first, last, n in held if first < end and at < last]
        slots.append(Slot(at, max(over, default=-1) + 1))
        held = [place for place in held if not (place[0] < end and at < place[1])]
        held.append((at, end, number))
        at = end
    return slots
