"""Fashion-MNIST for the training bench: to learn from, to choose by, to report."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..model.zoo import fashion_mnist

HELD_OUT = 5000  # training pictures that recipes are chosen by and nothing learns from
CALIBRATION = 1024  # pictures learnt from that choose the activation scales
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures uint8 (B, 1, 28, 28) and their classes int64 (B,)."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """The three parts: learnt from, held out of the training pictures, test."""

    train: Part
    held_out: Part
    test: Part


def read_data(limit: int | None = None) -> Data:
    """Return the parts; of training and test pictures at most ``limit`` each.

    A twelfth of the training pictures is held out, drawn from a fixed seed.

    Raises
    ------
    MissingDataError
        If the pictures cannot be fetched.
    """
    x, y = (part[:limit] for part in fashion_mnist.read("train"))
    test_x, test_y = (part[:limit] for part in fashion_mnist.read("t10k"))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    count = min(HELD_OUT, len(x) // 12)
    held, learnt = order[:count], order[count:]
    return Data(Part(x[learnt], y[learnt]), Part(x[held], y[held]), Part(test_x, test_y))


def real(stored: torch.Tensor) -> torch.Tensor:
    """Return what stored pixels stand for."""
    return stored.float() * 2.0**-fashion_mnist.FRAC_BITS


def flip(stored: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Return the pictures, about half of them mirrored."""
    mirrored = torch.rand(len(stored), generator=rng) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), stored.flip(3), stored)
