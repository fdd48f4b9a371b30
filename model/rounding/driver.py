"""Rounds a whole network, layer by layer, on what the rounded layers before really give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from ..codebook import Book, Codebook, Scale
from ..golden import apply_layer
from ..graph import ConvNode, Graph, Node, apply_node
from ..network import Layer, Network
from ..quantize import conv_layer, quantize
from ..rounded import Rounded
from .columns import Columns
from .methods import Method, open_method
from .problem import Moments, MomentSum, Problem, Samples

POSITIONS = 300  # output pixels per picture that the second moments are taken from, at most
ENOUGH = 1000  # columns for each of a layer's inputs are enough, where that is fewer pixels
PIECE = 1 << 22  # values in the columns taken at once: larger arrays cost more than they save
FLOOR = 0.1  # of the pictures' mean power: no picture counts as if it had less
SAMPLES = 6144  # columns kept for the rounders that want them, at most
SAMPLE_VALUES = 1 << 25  # values in these columns, at most

Progress = Callable[[str, int], None]


@dataclass(frozen=True, eq=False)
class Step:
    """One convolution in the course of rounding.

    Attributes
    ----------
    problem : Problem
        Its weights and what is known of its inputs, given how the layers before were rounded.
    rounded : Rounded
        What it became.
    """

    problem: Problem
    rounded: Rounded


def round_graph(
    graph: Graph,
    frac_bits: dict[str, int],
    batches: Iterable[torch.Tensor],
    *,
    method: str = "compensated",
    terms: int | Mapping[str, int] = 1,
    bits: int = 4,
    scale: Scale = "channel",
    act_bits: int = 8,
    price: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
    book: Book | None = None,
) -> dict[str, Rounded]:
    """Round the weights of every convolution, without labels and without retraining.

    Parameters
    ----------
    graph : Graph
    frac_bits : dict[str, int]
        From :func:`..calibrate.calibrate`.
    batches : iterable of Tensor uint8 (B, C, H, W)
        Pictures, best some hundred crops and mirror images; kept in memory, as are the
        activations that layers still to come read.
    method : str
        A name in ``METHODS``, or steps of it joined by ``+``: "scale+bias".
    terms : int or mapping of str to int
        N, or N by name of convolution.
    bits : int
        B.
    scale : "layer" | "channel"
        One weight scale per layer or per output channel.
    act_bits : int
        A, bits of a stored activation.
    price : float
        Of a non-zero term, see :class:`.problem.Problem`; for the compensated method.
    seed : int
        Decides which pixels are looked at; the result depends on nothing else but the arguments.
    progress : callable, optional
        Called with a convolution's name and its number, from 1, after it is rounded.
    book : Book, optional
        Codebook of every convolution, in place of that of ``terms`` and ``bits``.

    Returns
    -------
    dict[str, Rounded]
        By name of convolution, in order; :func:`..quantize.quantize` takes it as ``rounded``.

    Raises
    ------
    ValueError
        If there are no pictures, the method is unknown, N or B is out of range, or ``terms``
        lacks a convolution or names one there is not.
    """
    steps = round_steps(
        graph, frac_bits, batches, method=method, terms=terms, bits=bits, scale=scale,
        act_bits=act_bits, price=price, seed=seed, book=book,
    )  # fmt: skip
    rounded: dict[str, Rounded] = {}
    for number, step in enumerate(steps, start=1):
        name = step.problem.node.name
        rounded[name] = step.rounded
        if progress:
            progress(name, number)
    return rounded


def round_steps(
    graph: Graph,
    frac_bits: dict[str, int],
    batches: Iterable[torch.Tensor],
    *,
    method: str,
    terms: int | Mapping[str, int],
    bits: int,
    scale: Scale = "channel",
    act_bits: int = 8,
    price: float = 0.0,
    seed: int = 0,
    book: Book | None = None,
) -> Iterator[Step]:
    """Do what :func:`round_graph` does, one convolution at a time, with what was known."""
    chosen = open_method(method)
    books = _books(graph, terms, bits, book)
    pictures = [batch for batch in batches if len(batch)]
    if not pictures:
        raise ValueError("rounding needs at least one calibration picture")
    skeleton = quantize(graph, frac_bits, terms=1, bits=2, act_bits=act_bits)
    return _steps(graph, skeleton, pictures, chosen, books, scale, price, seed)


def _steps(
    graph: Graph,
    skeleton: Network,
    pictures: list[torch.Tensor],
    method: Method,
    books: dict[str, Book],
    scale: Scale,
    price: float,
    seed: int,
) -> Iterator[Step]:
    generator = torch.Generator().manual_seed(seed)
    layers = {layer.name: layer for layer in skeleton.layers}
    last_use = {name: node.name for node in graph.nodes for name in node.inputs}
    flow = _Flow(graph, skeleton, pictures)
    for node in graph.nodes:
        layer = layers[node.name]
        if isinstance(node, ConvNode):
            moments, samples = flow.look(node, method.samples, generator)
            problem = Problem(
                node, books[node.name], scale, moments, price, seed, samples
            )  # fmt: skip
            rounded = method(problem)
            layer = conv_layer(node, skeleton.tensors, rounded)
            yield Step(problem, rounded)
        flow.advance(node, layer)
        for name in node.inputs:
            if last_use[name] == node.name:
                flow.drop(name)


class _Flow:
    """Activations of all pictures, of the float network and of the one that is being rounded."""

    def __init__(self, graph: Graph, skeleton: Network, pictures: list[torch.Tensor]) -> None:
        self.skeleton = skeleton
        self.stored = [{graph.input: x} for x in pictures]
        zero, step = graph.zero_point, 2.0**-graph.frac_bits
        self.floats = [{graph.input: (x.float() - zero) * step} for x in pictures]

    def look(
        self, node: ConvNode, want_samples: bool, generator: torch.Generator
    ) -> tuple[Moments, Samples | None]:
        """Return the moments of a convolution's input columns, and some columns."""
        size = node.weight[0].numel()
        total = MomentSum(node.groups, size)
        info = self.skeleton.tensors[node.input]
        weights = self._weights(node.input)
        pictures = sum(map(len, weights))
        positions = min(POSITIONS, -(-ENOUGH * size // pictures))
        keep = min(SAMPLES, SAMPLE_VALUES // (node.groups * size)) // pictures
        kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        for stored, floats, weight in zip(self.stored, self.floats, weights, strict=True):
            columns = Columns(node, (info.height, info.width), positions, generator)
            few = max(1, PIECE // (node.groups * size * columns.count))
            parts = (part.split(few) for part in (stored[node.input], floats[node.input], weight))
            for part, exact, heavy in zip(*parts, strict=True):
                x = columns(part, info.zero_point).float()
                x = x.sub_(info.zero_point).mul_(2.0**-info.frac_bits)
                x_float = columns(exact)
                total.add(x_float, x, heavy.repeat_interleave(columns.count))
                if want_samples:
                    first = torch.arange(x.shape[1]).view(len(part), -1)[:, : max(1, keep)]
                    some = first.flatten()
                    kept.append((x[:, some], self._target(node, x_float[:, some])))
        samples = None
        if want_samples:
            samples = Samples(*(torch.cat(part, 1) for part in zip(*kept, strict=True)))
        return total.moments(), samples

    def _weights(self, name: str) -> list[torch.Tensor]:
        """Return a weight for every picture, by batch, 1 on average: bright ones count no more.

        Without it the pictures with the largest activations, those with much white, decide.
        """
        power = [batch[name].square().flatten(1).mean(1) for batch in self.floats]
        mean = torch.cat(power).mean()
        if not bool(mean > 0):
            return [torch.ones_like(part) for part in power]
        weights = [1 / (part + FLOOR * mean) for part in power]
        return [part / torch.cat(weights).mean() for part in weights]

    def _target(self, node: ConvNode, x_float: torch.Tensor) -> torch.Tensor:
        weight = node.weight.reshape(node.groups, -1, x_float.shape[2])
        return x_float @ weight.transpose(1, 2) + node.bias.reshape(node.groups, 1, -1)

    def advance(self, node: Node, layer: Layer) -> None:
        """Compute a node's output in all pictures."""
        for stored, floats in zip(self.stored, self.floats, strict=True):
            parts = [stored[name] for name in node.inputs]
            stored[node.output] = apply_layer(self.skeleton, layer, parts)
            floats[node.output] = apply_node(node, [floats[name] for name in node.inputs])

    def drop(self, name: str) -> None:
        """Forget a tensor that nobody reads any more."""
        for tensors in (*self.stored, *self.floats):
            tensors.pop(name, None)


def _books(
    graph: Graph, terms: int | Mapping[str, int], bits: int, book: Book | None
) -> dict[str, Book]:
    names = [node.name for node in graph.nodes if isinstance(node, ConvNode)]
    if book is not None:
        return dict.fromkeys(names, book)
    if isinstance(terms, int):
        return dict.fromkeys(names, Codebook(terms, bits))
    for name in names:
        if name not in terms:
            raise ValueError(f"terms lacks convolution {name!r}: give an N for each")
    unknown = terms.keys() - set(names)
    if unknown:
        raise ValueError(f"the graph has no convolution {min(unknown)!r}, which terms names")
    return {name: Codebook(terms[name], bits) for name in names}
