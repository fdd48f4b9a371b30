"""From a picture to a network's input tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, crop, order of channels and normalising; stored in the network it belongs to.

    Where ``gain`` is empty, stored input values are pixels p as they are, 0..255: mean and
    standard deviation are in the first convolution and in the zero point and scale of the input
    tensor. Else the stored value is ``gain p + offset``, rounded half up and cut to 0..255.

    Attributes
    ----------
    size : int
        Height and width of the input, in pixels.
    short_side : int
        The picture is resized so that its shorter side has this many pixels, then the centre is
        cropped.
    channels : "rgb" | "bgr" | "gray"
        Order of the input channels; one channel for "gray".
    fit : "crop" | "stretch"
        "stretch" resizes both sides to ``size`` instead and crops nothing.
    resample : "bicubic" | "bilinear"
        How it is resized.
    mean, std : tuple[float, ...]
        What the network was trained on: ``(p / 255 - mean) / std``, so pixels of 0..1 as in
        torchvision; one of each per channel. Both empty: pixels as they are.
    gain, offset : tuple[float, ...]
        From a pixel to its stored value, one of each per channel; both empty: as it is.

    Raises
    ------
    ValueError
        If a field is out of range or the number of values does not fit the channels.
    """

    size: int
    short_side: int
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    fit: Literal["crop", "stretch"] = "crop"
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    gain: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.short_side:
            raise ValueError(
                f"picture size must be in 1..short_side ({self.short_side}), not {self.size}"
            )
        for name, value, known in (
            ("channels", self.channels, ("rgb", "bgr", "gray")),
            ("fit", self.fit, ("crop", "stretch")),
            ("resample", self.resample, ("bicubic", "bilinear")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        planes = 1 if self.channels == "gray" else 3
        for first, second in (("mean", "std"), ("gain", "offset")):
            counts = {len(getattr(self, first)), len(getattr(self, second))}
            if counts not in ({0}, {planes}):
                raise ValueError(
                    f"{first} and {second} must have {planes} values for {self.channels} pictures, "
                    f"or none, not {getattr(self, first)} and {getattr(self, second)}"
                )
        for name in ("mean", "std", "gain", "offset"):
            values = getattr(self, name)
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} must be finite, not {values}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be positive, not {self.std}")

    def slope_and_offset(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return alpha and beta, float64 (channels,): the network sees alpha p + beta of p."""
        if not self.mean:
            planes = 1 if self.channels == "gray" else 3
            return torch.ones(planes).double(), torch.zeros(planes).double()
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (self.mean, self.std))
        return 1 / (255 * std), -mean / std

    def __call__(self, picture: Image.Image | str | Path) -> torch.Tensor:
        """Return the stored input values of one picture, uint8 (3 or 1, size, size).

        Raises
        ------
        ValueError
            If the file is not a readable picture, has 32-bit pixels, or the picture is one pixel
            thin.
        """
        name = "the picture" if isinstance(picture, Image.Image) else str(picture)
        if not isinstance(picture, Image.Image):
            picture = read_picture(picture)
        image = _eight_bits(picture, name).convert("L" if self.channels == "gray" else "RGB")
        resample = Image.Resampling[self.resample.upper()]
        if self.fit == "stretch":
            return self._stored(image.resize((self.size, self.size), resample))
        width, height = image.size
        ratio = self.short_side / min(width, height)
        wide = max(self.short_side, round(width * ratio))
        high = max(self.short_side, round(height * ratio))
        if max(wide, high) > 64 * self.short_side:
            raise ValueError(f"picture of {width} x {height} pixels is too thin to crop")
        left, top = (wide - self.size) // 2, (high - self.size) // 2
        image = image.resize((wide, high), resample)
        return self._stored(image.crop((left, top, left + self.size, top + self.size)))

    def _stored(self, image: Image.Image) -> torch.Tensor:
        pixels = np.asarray(image)
        if self.channels == "gray":
            pixels = pixels[None]
        else:
            pixels = pixels[..., :: -1 if self.channels == "bgr" else 1].transpose(2, 0, 1)
        if self.gain:
            gain, offset = (np.array(v).reshape(-1, 1, 1) for v in (self.gain, self.offset))
            pixels = np.floor(gain * pixels + (offset + 0.5)).clip(0, 255).astype(np.uint8)
        return torch.from_numpy(np.array(pixels, order="C"))


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return a picture of 16-bit gray in 8 bits: Pillow would cut it off at 255."""
    if image.mode in ("I", "F"):
        raise ValueError(f"{name} has 32-bit pixels ({image.mode}); save it with 8 or 16 bits")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))


def read_picture(path: str | Path) -> Image.Image:
    """Open a picture file and decode it fully.

    Raises
    ------
    ValueError
        If there is no such file or it is not a picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except FileNotFoundError:
        raise ValueError(f"no picture at {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not a readable picture ({error})") from None
