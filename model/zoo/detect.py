"""From a NanoDet head's numbers to boxes: decoding and non-maximum suppression, on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

Box = tuple[float, float, float, float]
BINS = 11  # a side's distance is the mean of the bins 0..10, in steps of the map's stride


@dataclass(frozen=True)
class Detection:
    """One object: its class, how sure, and left, top, right, bottom as fractions of the picture."""

    label: str
    score: float
    box: Box


def decode(
    heads: list[torch.Tensor],
    labels: tuple[str, ...],
    *,
    threshold: float = 0.35,
    overlap: float = 0.5,
) -> list[Detection]:
    """Return the objects of one picture, surest first.

    Parameters
    ----------
    heads : list of Tensor (classes + 4 BINS, side, side)
        Real values of each head: class scores before the sigmoid, then for the left, top, right
        and bottom side the weights of the distance bins before the softmax.
    labels : tuple of str
        Class names.
    threshold : float
        Least score.
    overlap : float
        Of two boxes of one class that overlap more (intersection over union), the surer stays.
    """
    boxes, scores, classes = [], [], []
    for head in heads:
        side = head.shape[-1]
        flat = head.double().flatten(1).T
        sure = flat[:, : len(labels)].sigmoid()
        weights = flat[:, len(labels) :].reshape(-1, 4, BINS).softmax(-1)
        away = (weights * torch.arange(BINS, dtype=torch.float64)).sum(-1) / side
        y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * 2, indexing="ij")
        middle = torch.stack([x.flatten(), y.flatten()], 1).double()
        corners = torch.cat([middle - away[:, :2], middle + away[:, 2:]], 1).clamp(0, 1)
        place, kind = (sure > threshold).nonzero(as_tuple=True)
        boxes.append(corners[place])
        scores.append(sure[place, kind])
        classes.append(kind)
    box, score, kind = torch.cat(boxes), torch.cat(scores), torch.cat(classes)
    found = []
    for index in suppress(box, score, kind, overlap):
        left, top, right, bottom = box[index].tolist()
        label = labels[int(kind[index])]
        found.append(Detection(label, float(score[index]), (left, top, right, bottom)))
    return found


def suppress(
    box: torch.Tensor, score: torch.Tensor, kind: torch.Tensor, overlap: float
) -> list[int]:
    """Return the indices of the boxes (N, 4) to keep, surest first."""
    kept: list[int] = []
    for index in score.argsort(descending=True, stable=True).tolist():
        same = [other for other in kept if kind[other] == kind[index]]
        if not same or float(intersection_over_union(box[index], box[same]).max()) <= overlap:
            kept.append(index)
    return kept


def intersection_over_union(one: torch.Tensor, many: torch.Tensor) -> torch.Tensor:
    """Return how much box ``one`` (4,) overlaps each of ``many`` (N, 4): (N,)."""
    low, high = torch.maximum(one[:2], many[:, :2]), torch.minimum(one[2:], many[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    areas = (many[:, 2:] - many[:, :2]).prod(1) + (one[2:] - one[:2]).prod()
    return common / (areas - common).clamp(min=1e-12)


def mean_average_precision(
    found: Sequence[Sequence[Detection]],
    wanted: Sequence[Sequence[tuple[str, Box]]],
    overlap: float = 0.5,
) -> float:
    """Return the mean over classes of the average precision, 0..1.

    Over all pictures, surest first, a detection is right if it overlaps an object of its class,
    the one that it overlaps most of those not found yet, by at least ``overlap``. Average
    precision is the mean over the recalls 0, 0.01 .. 1 of the best precision at that recall or a
    higher one; 0 at recalls never reached.

    Parameters
    ----------
    found : sequence of sequence of Detection
        By picture.
    wanted : sequence of sequence of (str, box)
        Label and box of what is in each.
    overlap : float
        Intersection over union.

    Raises
    ------
    ValueError
        If there is no object in any picture.
    """
    labels = sorted({label for objects in wanted for label, _ in objects})
    if not labels:
        raise ValueError("mean average precision needs at least one object in the pictures")
    return float(np.mean([_average_precision(found, wanted, label, overlap) for label in labels]))


def _average_precision(
    found: Sequence[Sequence[Detection]],
    wanted: Sequence[Sequence[tuple[str, Box]]],
    label: str,
    overlap: float,
) -> float:
    left = [[box for name, box in objects if name == label] for objects in wanted]
    count = sum(map(len, left))
    every = [(d, i) for i, several in enumerate(found) for d in several if d.label == label]
    right = []
    for detection, picture in sorted(every, key=lambda pair: -pair[0].score):
        boxes = torch.tensor(left[picture], dtype=torch.float64).view(-1, 4)
        shares = intersection_over_union(torch.tensor(detection.box).double(), boxes)
        right.append(bool((shares >= overlap).any()))
        if right[-1]:
            del left[picture][int(shares.argmax())]
    hits = np.cumsum(np.array(right, np.int64))
    recall, precision = hits / count, hits / np.arange(1, len(hits) + 1)
    best = [precision[recall >= r].max(initial=0.0) for r in np.linspace(0, 1, 101)]
    return float(np.mean(best))
