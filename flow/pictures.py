"""Folders of pictures, and how the command line says what becomes of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image

from ..model.preprocess import Preprocess

SIDE_MAX = 4096  # pixels of a picture's shorter side: more takes gigabytes and no network reads it


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Preprocessing as the user gave it; None is what was left open.

    Attributes
    ----------
    mean, std : str or None
        One number, or one per channel separated by commas, in units of ``white``.
    white : float or None
        What the network sees for a white pixel before mean and std: 1 by default; always 255
        for a network that reads bytes.
    channels : "rgb" | "bgr" | "gray" or None
        "gray" by default for one channel, else "rgb".
    size : int or None
        Rows and columns; those the network says by default.
    short_side : int or None
        Pixels of the shorter side before cropping; ``size`` by default.
    fit, resample : str or None
        As in :class:`..model.preprocess.Preprocess`; "crop" and "bilinear" by default.
    """

    mean: str | None = None
    std: str | None = None
    white: float | None = None
    channels: str | None = None
    size: int | None = None
    short_side: int | None = None
    fit: str | None = None
    resample: str | None = None

    def given(self) -> dict[str, object]:
        """Return the options by their names on the command line."""
        return {f"--{f.name.replace('_', '-')}": getattr(self, f.name) for f in fields(self)}

    def shape(self) -> tuple[int, int, int] | None:
        """Return channels, rows and columns where the size was given.

        Raises
        ------
        ValueError
            If the size is not positive.
        """
        if self.size is None:
            return None
        if self.size < 1:
            raise ValueError(f"--size must be at least 1, not {self.size}")
        return (1 if self.channels == "gray" else 3), self.size, self.size

    def preprocess(self, shape: tuple[int, int, int], pixels: bool = False) -> Preprocess:
        """Return the preprocessing of a network that reads (channels, rows, columns).

        Parameters
        ----------
        shape : tuple[int, int, int]
        pixels : bool
            It reads bytes: pixels as they are, without mean and standard deviation.

        Raises
        ------
        ValueError
            If the network cannot read pictures, or an option does not fit it.
        """
        channels, rows, columns = shape
        if rows != columns:
            raise ValueError(
                f"the network reads {rows} x {columns} pixels; only square pictures are made: "
                "export it for a square size"
            )
        if channels not in (1, 3):
            raise ValueError(f"the network reads {channels} channels; pictures have 1 or 3")
        if self.size is not None and self.size != rows:
            raise ValueError(f"--size {self.size} does not fit: the network reads {rows} x {rows}")
        order = ("gray" if channels == 1 else "rgb") if self.channels is None else self.channels
        if order not in ("rgb", "bgr", "gray"):
            raise ValueError(f"channels must be one of rgb, bgr, gray, not {order!r}")
        planes = 1 if order == "gray" else 3
        if planes != channels:
            raise ValueError(
                f"--channels {order} gives {planes}, but the network reads {channels} channels"
            )
        short = rows if self.short_side is None else self.short_side
        if not rows <= short <= SIDE_MAX:
            raise ValueError(f"--short-side must be in {rows}..{SIDE_MAX}, not {short}")
        white = 1.0 if self.white is None else self.white
        if not (math.isfinite(white) and white > 0):
            raise ValueError(f"--white must be positive, not {white}")
        mean = _numbers("--mean", self.mean, planes, 0.0)
        std = _numbers("--std", self.std, planes, 1.0)
        if not all(value > 0 for value in std):
            raise ValueError(f"--std must be positive, not {self.std}: leave it out for 1")
        for name in ("mean", "std", "white") if pixels else ():
            if getattr(self, name) is not None:
                raise ValueError(
                    f"--{name} {getattr(self, name)} cannot be: the network reads bytes, pixels "
                    "as they are; leave it out"
                )
        for name, values in (("mean", mean), ("std", std)):
            if getattr(self, name) is not None and max(values) > white:
                raise ValueError(
                    f"--{name} {getattr(self, name)} is more than white, which is {white:g}: "
                    "give --white 255 where mean and std are of pixels 0..255, or divide both by it"
                )
        return Preprocess(
            size=rows,
            short_side=short,
            channels=order,  # type: ignore[arg-type]
            fit="crop" if self.fit is None else self.fit,  # type: ignore[arg-type]
            resample="bilinear" if self.resample is None else self.resample,  # type: ignore[arg-type]
            mean=() if pixels else tuple(value / white for value in mean),
            std=() if pixels else tuple(value / white for value in std),
        )


def _numbers(option: str, text: str | None, count: int, default: float) -> tuple[float, ...]:
    """Return numbers separated by commas; one stands for all channels."""
    if text is None:
        return (default,) * count
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} wants numbers separated by commas, not {text!r}") from None
    if len(values) not in (1, count):
        raise ValueError(f"{option} wants 1 or {count} numbers, not {text!r}")
    return values * count if len(values) == 1 else values


def open_folder(folder: Path, limit: int | None = None) -> list[Path]:
    """Return the picture files in a folder and below, in order, at most ``limit`` spread evenly.

    Files whose names do not end like a picture's are passed over.

    Raises
    ------
    ValueError
        If there is no such folder or no picture in it.
    """
    if not folder.exists():
        raise ValueError(f"no such folder of pictures: {folder}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder of pictures")
    endings = Image.registered_extensions()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    paths = [path for path in files if path.suffix.lower() in endings]
    if not paths:
        held = f"only {len(files)} other files" if files else "it is empty"
        raise ValueError(f"{folder} has no pictures in it, {held}: give a folder of JPEG or PNG")
    if limit is None or limit >= len(paths):
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]
