"""What every network of the zoo offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image

from ..codebook import Book, Scale
from ..graph import Graph
from ..network import Network
from ..quantize import calibrate, quantize

CALIBRATION_PICTURES = 48
BATCH = 8


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures whose class is known.

    Attributes
    ----------
    x : Tensor uint8 (B, C, H, W)
        Stored input values.
    classes : tuple of tuple[int, ...]
        The classes accepted for each picture.
    """

    x: torch.Tensor
    classes: tuple[tuple[int, ...], ...]

    def right(self, scores: torch.Tensor, top: int = 1) -> int:
        """Return how many pictures have an accepted class among the ``top`` best of (B, N)."""
        best = scores.sort(dim=1, descending=True, stable=True).indices[:, :top].tolist()
        return sum(
            not set(wanted).isdisjoint(got) for got, wanted in zip(best, self.classes, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Loader:
    """One network of the zoo, with its real weights and real pictures.

    Attributes
    ----------
    name : str
        Key in ``MODELS``.
    title : str
        What to call it in a table.
    load_float : callable
        Returns the float network as a graph; fetches the weights.
    demo : callable
        Returns the demonstration's picture.
    calibration : callable
        Of a number of pictures; returns so many or fewer as stored inputs, none of them labelled.
    labelled : callable, optional
        Of a largest number of pictures or None; returns labelled ones. None: there are none.
    pictures : int
        Number of calibration pictures by default.
    crops : callable, optional
        Of a number and whether they are held out; returns so many random crops of pictures
        without labels to round with, or of others to judge on. None: it has none.
    crop_sources : callable, optional
        Of the same; returns the number of the picture that each crop is of. Where there are crops.
    """

    name: str
    title: str
    load_float: Callable[[], Graph]
    demo: Callable[[], Image.Image]
    calibration: Callable[[int], torch.Tensor]
    labelled: Callable[[int | None], Labelled] | None = None
    pictures: int = CALIBRATION_PICTURES
    crops: Callable[[int, bool], torch.Tensor] | None = None
    crop_sources: Callable[[int, bool], torch.Tensor] | None = None

    def load_quantized(
        self,
        terms: int = 2,
        bits: int = 4,
        *,
        scale: Scale = "channel",
        act_bits: int = 8,
        pictures: int | None = None,
        book: Book | None = None,
    ) -> Network:
        """Return the integer network, calibrated and quantised without retraining.

        Parameters
        ----------
        terms, bits : int
            N and B of the weights' codebooks.
        scale : "layer" | "channel"
            One weight scale per layer or per output channel.
        act_bits : int
            A, bits of a stored activation, 2..8.
        pictures : int, optional
            Number of calibration pictures.
        book : Book, optional
            Codebook in place of that of ``terms`` and ``bits``.

        Raises
        ------
        MissingDataError
            If weights or pictures cannot be fetched.
        ValueError
            If N, B or A is out of range.
        """
        graph = self.load_float()
        batches = self.calibration(pictures or self.pictures).split(BATCH)
        frac_bits = calibrate(graph, batches, act_bits)
        return quantize(
            graph, frac_bits, terms=terms, bits=bits, scale=scale, act_bits=act_bits, book=book
        )  # fmt: skip

    def input(self) -> torch.Tensor:
        """Return the demonstration's picture as stored input values, uint8 (1, C, H, W)."""
        preprocess = self.load_float().preprocess
        assert preprocess is not None
        return preprocess(self.demo())[None]


def spread(count: int, limit: int | None) -> list[int]:
    """Return at most ``limit`` indices below ``count``, evenly spread."""
    if limit is None or limit >= count:
        return list(range(count))
    return [i * count // limit for i in range(limit)]
