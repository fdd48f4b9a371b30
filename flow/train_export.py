"""Networks of the zoo, trained a little, beside what is exported from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..model.train.convert import convert_graph
from ..model.train.distill import Distillation
from ..model.train.export import agreement
from ..model.train.fit import Recipe, fit
from ..model.train.graph_module import GraphModule
from ..model.train.method import Method
from ..model.zoo import MODELS

SEED = 1
PICTURES = 48  # unlabelled ones to learn from


@dataclass(frozen=True)
class Exported:
    """How far a network of the zoo, trained a little, and its export agree.

    Attributes
    ----------
    network : str
    method, terms, bits
        How it was trained: by distillation from the float network, without labels.
    pictures : int
        Compared: the labelled ones and those it was trained on.
    differs : float
        Percent of them on which module and integer network name different classes.
    values_differ : float
        Percent of the scores that differ at all.
    max_steps : int
        Largest difference, in steps of the stored output.
    exact_differs : float
        Percent of the scores that differ when the module computes with the requantisers' own
        numbers.
    """

    network: str
    method: str
    terms: int
    bits: int
    pictures: int
    differs: float
    values_differ: float
    max_steps: int
    exact_differs: float


WAYS: tuple[tuple[Method, int, int], ...] = (
    ("shiftcnn", 2, 4), ("deepshift_q", 1, 4), ("deepshift_ps", 1, 4),
)  # fmt: skip


def export_zoo(names: tuple[str, ...]) -> list[Exported]:
    """Train networks of the zoo for a few steps and compare them with their exports.

    Raises
    ------
    MissingDataError
        If weights or pictures cannot be fetched.
    """
    rows = []
    for name in names:
        loader = MODELS[name]
        graph = loader.load_float()
        seen = loader.calibration(PICTURES)
        assert loader.labelled is not None  # both have labelled pictures
        pictures = torch.cat([loader.labelled(None).x, seen])
        for method, terms, bits in WAYS:
            torch.manual_seed(SEED)
            module = convert_graph(graph, method=method, terms=terms, bits=bits, scale="channel")
            module.calibrate(seen.split(16))
            recipe = Recipe(epochs=4, batch=16, rate=3e-4, optimiser="radam", weight_decay=0.0)
            loss = Distillation(GraphModule(graph), 2.0)
            fit(module, seen, torch.zeros(len(seen)), recipe, loss=loss)
            same = agreement(module, pictures)
            rows.append(
                Exported(
                    name, method, terms, bits, len(pictures), 100 * same.top1_differs,
                    100 * same.values_differ, same.max_steps, 100 * same.exact_values_differ,
                )
            )  # fmt: skip
    return rows
