"""Mean average precision of NanoDet on composed scenes, its backbone's maps in fewer bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from ..calibrate import calibrate
from ..graph import Graph, UpsampleNode
from ..network import Network
from ..quantize import quantize
from ..zoo import imagenet, nanodet
from ..zoo.detect import Detection, decode, mean_average_precision
from ..zoo.scenes import scene
from .choose import Choice, pick_at_most
from .detector import CodedDetector
from .levels import best_tables
from .maps import values_of
from .options import Option, profiles
from .parts import joined, parts_of, whole_maps, with_parts
from .place import groups_of
from .plain import companded, linear
from .table import TableCode

SCENES = 150
CROPS = 72
BATCH = 6
BITS = (6, 5, 4, 3)
COMPARED = (4, 3)
MOST = (4.0, 3.0)
THRESHOLD = 0.05  # of a detection that counts for the mean average precision

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DetectorRow:
    """One code on the backbone's maps, over all scenes.

    Attributes
    ----------
    code : str
    bits : float
        Per value of the backbone's maps, the same for every picture.
    precision : float
        Mean average precision at half overlap, 0..1.
    scenes, objects : int
    table_bytes : int
        Of the code's own tables.
    """

    code: str
    bits: float
    precision: float
    scenes: int
    objects: int
    table_bytes: int = 0


def backbone_groups(graph: Graph, network: Network) -> list[list[str]]:
    """Return the maps before the first doubled one, in groups that need as many bits.

    What is added to a later map is not among them, nor are parts of other maps.
    """
    order = [node.output for node in graph.nodes]
    first = next(node for node in graph.nodes if isinstance(node, UpsampleNode))
    before = set(order[: order.index(first.output)])
    return [group for group in groups_of(network, whole_maps(graph)) if before.issuperset(group)]


class DetectorBench:
    """NanoDet with its scenes and what its codes are fitted to.

    Parameters
    ----------
    scenes : int
        Scenes to measure on, of the seeds 0, 1 ...
    crops : int
        Unlabelled crops that codes are fitted to.
    seed : int
        Of the crops and of what is drawn for the gradients.
    tell : callable, optional
        Called with what is done, how much of it, and how much there is.

    Attributes
    ----------
    integer : Network
        Of N = 2, B = 4 without codes.
    """

    def __init__(
        self, *, scenes: int = SCENES, crops: int = CROPS, seed: int = 0, tell: Tell | None = None
    ) -> None:
        self.tell = tell or (lambda what, done, total: None)
        self.tell("weights and scenes", 0, 1)
        self.graph = graph = nanodet.load_float()
        frac_bits = calibrate(graph, nanodet.calibration(nanodet.LOADER.pictures).split(BATCH))
        self.network = CodedDetector(graph, frac_bits)
        self.integer = quantize(graph, frac_bits, terms=2, bits=4)
        self.scenes = [scene(number) for number in range(scenes)]
        self.x = torch.stack([nanodet.PREPROCESS(each.picture) for each in self.scenes])
        fit = imagenet.rounding_crops(nanodet.PREPROCESS, crops, seed)
        self.tell("weights and scenes", 1, 1)

        self.groups = backbone_groups(graph, self.integer)
        self.names = names = [name for group in self.groups for name in group]
        self.parts = {n: part for n, part in parts_of(graph).items() if part.whole in names}
        self.tell("histograms and gradients", 0, 1)
        self.known = joined(profiles(self.network, fit, [*names, *self.parts], seed), self.parts)
        self.tell("histograms and gradients", 1, 1)
        self.fitted: dict[str, dict[int, TableCode]] = {}
        for number, name in enumerate(names, start=1):
            self.fitted[name] = best_tables(self.known[name].weights, BITS)
            self.tell("fit tables", number, len(names))

    def rows(self) -> Iterator[DetectorRow]:
        """Yield every row."""
        found: list[list[Detection]] = []
        for part in self.x.split(BATCH):
            values = self.graph.run(part)
            found += _objects([values[name] for name in self.graph.outputs])
            self.tell("float", len(found), len(self.x))
        yield self._row("float, no code", 32, found)
        yield self._coded("8-bit activations, no code", 8, {})
        for k in COMPARED:
            for code, make in (("linear", linear), ("companded", companded)):
                counts = {name: self.known[name].counts for name in self.names}
                made = {n: make(c, k, self.network.zero[n]) for n, c in counts.items()}
                yield self._coded(code, k, made)
            yield self._coded("table", k, self._tables(k))
        for most in MOST:
            choice = self._choice(most)
            yield self._coded("chosen per map", choice.bits, choice.codes)

    def choices(self) -> dict[str, dict[str, TableCode]]:
        """Return the codes whose traffic is of interest, by what to call them."""
        choice = self._choice(4)
        return {
            "tables of 4 bits": self._tables(4),
            f"chosen per map, {choice.bits:.3g} bits": choice.codes,
        }

    def _tables(self, k: int) -> dict[str, TableCode]:
        return {name: codes[k] for name, codes in self.fitted.items()}

    def _choice(self, most: float) -> Choice:
        options = {
            name: [
                Option(code, False, self.known[name].loss(code), float(k))
                for k, code in codes.items()
            ]
            for name, codes in self.fitted.items()
        }
        return pick_at_most(options, values_of(self.graph, self.names), most, self.groups)

    def _coded(self, code: str, bits: float, codes: Mapping[str, TableCode]) -> DetectorRow:
        every = with_parts(codes, self.parts)
        found: list[list[Detection]] = []
        for part in self.x.split(BATCH):
            found += _objects(self.network.heads(self.network.scores(part, every)))
            self.tell(f"{code}, {bits:.3g} bits", len(found), len(self.x))
        size = sum(each.table_bits for each in codes.values()) // 8
        return self._row(code, bits, found, size)

    def _row(
        self, code: str, bits: float, found: list[list[Detection]], size: int = 0
    ) -> DetectorRow:
        wanted = [each.objects for each in self.scenes]
        precision = mean_average_precision(found, wanted)
        return DetectorRow(code, bits, precision, len(wanted), sum(map(len, wanted)), size)


def _objects(heads: list[torch.Tensor]) -> list[list[Detection]]:
    pictures = zip(*heads, strict=True)
    return [decode(list(parts), nanodet.LABELS, threshold=THRESHOLD) for parts in pictures]
