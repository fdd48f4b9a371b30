"""Which tensors share memory: lifetimes of the layers' order, and outputs in their input's place.

Why sharing is safe. The engine does, for every descriptor in turn: wait until ``wait`` descriptors
are stored, load the whole band, and only then hand it over to be computed and stored
(`hw.control`: LOAD, LOADING, HAND). So

1. loads are done in the order of descriptors, and all loads up to that of descriptor k have
   arrived before anything of k is stored: a store never overtakes a load of the same or an
   earlier descriptor, which is all that write-after-read asks for;
2. stores are done in the order of descriptors (`hw.storer`: the next one's bursts begin once all
   write responses of the last are there), so the last writer in that order is the last in time;
3. ``wait`` is one more than the latest descriptor before k that writes any byte that k loads
   (`model.writers`): every load comes after all earlier stores to its bytes.

So each load finds what it would find if every descriptor were stored before the next is loaded.
It is enough that the memory is right for that order: a tensor's bytes are its own from the first
descriptor that writes it to the last that loads it, where that last one may itself write them.
`model.writers` checks it for every program, load by load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .allocate import Hold, allocate
from .bands import Band
from .layout import Blocks
from .lowered import Lowered
from .network import Layer, Network
from .schedule import Step


@dataclass(frozen=True)
class Sharing:
    """Where the wholes lie, see `layout.Blocks`.

    Attributes
    ----------
    offsets : dict[str, int]
        Bytes from the first of all feature maps.
    strides : dict[str, int]
        Bytes from plane to plane, where not the least possible.
    size : int
        Bytes of all feature maps.
    over : dict[str, str]
        Tensors that are written over an input of their layer, and that input.
    """

    offsets: dict[str, int]
    strides: dict[str, int]
    size: int
    over: dict[str, str]


def kept_tensors(network: Network, layers: Sequence[Layer], blocks: Blocks) -> tuple[str, ...]:
    """Return the tensors that must be whole after the last of ``layers``.

    They are the network's outputs, what later layers of the network read, what the last of
    ``layers`` writes, and whatever lies in one block with these.
    """
    later = network.layers[len(layers) :]
    wanted = {*network.outputs, *(name for layer in later for name in layer.inputs)}
    wanted |= {layer.output for layer in layers[-1:]}
    kept = {blocks.whole(name) for name in wanted if name in blocks.slots}
    return tuple(name for name in blocks.slots if blocks.whole(name) in kept)


def lifetimes(
    network: Network,
    blocks: Blocks,
    lowered: Sequence[Lowered],
    steps: Sequence[Step],
    kept: Sequence[str],
) -> dict[str, tuple[int, int]]:
    """Return the first and the last step of every whole, its parts included.

    The network's input is there from before the first step; what is kept is held until after the
    last one.
    """
    lives: dict[str, list[int]] = {blocks.whole(network.input): [-1]}
    for number, step in enumerate(steps):
        layer = lowered[step.layer]
        for name in (*layer.inputs, layer.output):
            lives.setdefault(blocks.whole(name), []).append(number)
    for name in kept:
        lives[blocks.whole(name)].append(len(steps))
    return {name: (min(every), max(every)) for name, every in lives.items()}


def share_memory(
    network: Network,
    blocks: Blocks,
    lowered: Sequence[Lowered],
    steps: Sequence[Step],
    kept: Sequence[str],
) -> Sharing:
    """Place the wholes so that few bytes are needed, outputs over inputs where that helps."""
    lives = lifetimes(network, blocks, lowered, steps, kept)
    over = _overwriting(network, blocks, lowered, steps, lives)
    added = {blocks.whole(n) for each in lowered if each.window.tensors > 1 for n in each.inputs}
    plain = {
        name: source
        for name, source in over.items()
        if blocks.plane_bytes[name] == blocks.plane_bytes[source]
    }
    best = _arranged(blocks, lives, {}, added)
    assert best is not None
    trial = _arranged(blocks, lives, plain, added)
    if trial is not None and trial.size <= best.size:
        best = trial
    # With another stride an output takes more memory than of its own, which the rest may need.
    for name, source in over.items():
        if name not in plain:
            trial = _arranged(blocks, lives, best.over | {name: source}, added)
            if trial is not None and trial.size < best.size:
                best = trial
    return best


def _arranged(
    blocks: Blocks, lives: dict[str, tuple[int, int]], over: dict[str, str], added: set[str]
) -> Sharing | None:
    """Return where the wholes lie with some of them over others.

    None if two addends would differ in stride: the loader has one for both.
    """
    strides: dict[str, int] = {}
    chains: dict[str, list[str]] = {}  # the first one's name, and all in its place
    head: dict[str, str] = {}
    for name in blocks.wholes:
        head[name] = head[over[name]] if name in over else name
        chains.setdefault(head[name], []).append(name)
        stride = blocks.plane_bytes[head[name]]
        if stride != blocks.plane_bytes[name]:
            strides[name] = stride
            if name in added:
                return None
    held = [
        [
            Hold(*lives[name], blocks.planes[name] * strides.get(name, blocks.plane_bytes[name]))
            for name in chain
        ]
        for chain in chains.values()
    ]
    offsets, size = allocate(held)
    where = dict(zip(chains, offsets, strict=True))
    return Sharing({name: where[head[name]] for name in head}, strides, size, over)


def _overwriting(
    network: Network,
    blocks: Blocks,
    lowered: Sequence[Lowered],
    steps: Sequence[Step],
    lives: dict[str, tuple[int, int]],
) -> dict[str, str]:
    """Return the tensors that may be written over an input of their layer, and that input.

    The input is a whole that nobody reads after the layer's first band but the layer itself, and
    no band writes what it or a later one still loads, see `overwrites`.
    """
    numbers: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        numbers.setdefault(step.layer, []).append(number)
    over: dict[str, str] = {}
    for index, layer in enumerate(lowered):
        first, last = numbers[index][0], numbers[index][-1]
        name = layer.output
        segment = blocks.segments[name]
        if name in blocks.parts or (segment and layer.window.size != layer.window.out):
            continue  # masks lie behind the room for all words
        if not overwrites([steps[n].band for n in numbers[index]], segment):
            continue
        words = layer.window.out[0] * layer.window.out[1]
        for source in layer.inputs:
            room = layer.window.size[0] * layer.window.size[1]
            others = [
                numbers[n][-1]
                for n, each in enumerate(lowered)
                if n != index and source in map(blocks.whole, each.inputs)
            ]
            if (
                source not in blocks.parts
                and blocks.words[source] == blocks.words[name]
                and blocks.segments[source] == blocks.segments[name]
                and lives[source][1] == last
                and max(others, default=-1) < first
                and words <= room
            ):
                over[name] = source
                break
    return over


def overwrites(bands: Sequence[Band], segment: int = 0) -> bool:
    """Whether each band may write its output where its input lay, pixel on pixel, plane on plane.

    Band k writes words [out_first, out_first + pixels) of the planes it loads, and maybe of
    further ones that no band loads. The layer before must have written that far, so band k has to
    load as far; and no later band may load those words. With a ``segment`` it loads from the
    start of one on.
    """
    later: dict[int, int] = {}  # of each plane the first word that any later band loads
    for band in reversed(bands):
        end = band.out_first + band.pixels
        planes = range(band.first_plane, band.first_plane + band.planes)
        if end > band.load_first + band.load_words:
            return False
        if any(end > later.get(plane, end) for plane in planes):
            return False
        first = band.load_first - (band.load_first % segment if segment else 0)
        later |= {plane: min(first, later.get(plane, first)) for plane in planes}
    return True
