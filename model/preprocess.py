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

    Attributes
    ----------
    size : int
        Height and width of the input, in pixels.
    short_side : int
        The picture is resized (bicubic) so that its shorter side has this many pixels, then
        the centre is cropped.
    channels : "rgb" | "bgr"
        Order of the input channels.
    """

    size: int
    short_side: int
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.short_side:
            raise ValueError(
                f"picture size must be in 1..short_side ({self.short_side}), not {self.size}"
            )
        if self.channels not in ("rgb", "bgr"):
            raise ValueError(f"channels must be 'rgb' or 'bgr', not {self.channels!r}")

    def __call__(self, picture: Image.Image | str | Path) -> torch.Tensor:
        """Return the stored input values of one picture, uint8 (3, size, size).

        Raises
        ------
        ValueError
            If the file is not a readable picture, or the picture is one pixel thin.
        """
        if not isinstance(picture, Image.Image):
            picture = read_picture(picture)
        image = picture.convert("RGB")
        width, height = image.size
        ratio = self.short_side / min(width, height)
        wide = max(self.short_side, round(width * ratio))
        high = max(self.short_side, round(height * ratio))
        if max(wide, high) > 64 * self.short_side:
            raise ValueError(f"picture of {width} x {height} pixels is too thin to crop")
        left, top = (wide - self.size) // 2, (high - self.size) // 2
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)))
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
