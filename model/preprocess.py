"""From a picture to a network's input tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, crop and order of channels; stored in the network it belongs to.

    Stored input values are pixels as they are, 0..255: mean and scale of the network are in its
    first convolution and in the zero point and scale of its input tensor.

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
    """

    size: int
    short_side: int
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    fit: Literal["crop", "stretch"] = "crop"
    resample: Literal["bicubic", "bilinear"] = "bicubic"

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

    def __call__(self, picture: Image.Image | str | Path) -> torch.Tensor:
        """Return the stored input values of one picture, uint8 (3 or 1, size, size).

        Raises
        ------
        ValueError
            If the file is not a readable picture, or the picture is one pixel thin.
        """
        if not isinstance(picture, Image.Image):
            picture = read_picture(picture)
        image = picture.convert("L" if self.channels == "gray" else "RGB")
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
            return torch.from_numpy(pixels[None].copy())
        if self.channels == "bgr":
            pixels = pixels[..., ::-1]
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


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
