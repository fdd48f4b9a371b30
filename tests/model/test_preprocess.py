from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shiftwork.model.preprocess import Preprocess, read_picture


def test_short_side_centre_crop_and_channel_order() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 15:25] = (10, 20, 30)  # the centre, as wide as the crop
    image = Image.fromarray(pixels)
    got = Preprocess(size=10, short_side=20, channels="bgr")(image)
    assert got.shape == (3, 10, 10) and got.dtype == torch.uint8
    assert [int(plane.unique().item()) for plane in got] == [30, 20, 10]
    rgb = Preprocess(size=10, short_side=20)(image)
    assert torch.equal(rgb, got.flip(0))


def test_stretched_and_gray_pictures() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 200
    image = Image.fromarray(pixels)
    got = Preprocess(size=10, short_side=10, channels="gray", fit="stretch")(image)
    assert got.shape == (1, 10, 10)
    assert got[0, :, 0].tolist() == [0] * 10 and got[0, :, 9].tolist() == [200] * 10
    colour = Preprocess(size=10, short_side=10, fit="stretch", resample="bilinear")(image)
    assert colour.shape == (3, 10, 10)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize("size", [(7, 300), (227, 227), (1, 3)])
def test_any_kind_and_size_of_picture(mode: str, size: tuple[int, int]) -> None:
    got = Preprocess(size=227, short_side=256)(Image.new(mode, size))
    assert got.shape == (3, 227, 227)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    shades = np.array([[0, 128 * 257], [200 * 257 + 100, 65535]], np.uint16)
    Image.fromarray(shades).save(tmp_path / "deep.png")
    for channels in ("gray", "rgb"):
        prep = Preprocess(size=2, short_side=2, channels=channels)  # type: ignore[arg-type]
        for plane in prep(tmp_path / "deep.png"):
            assert plane.tolist() == [[0, 128], [200, 255]]
    for mode in ("I", "F"):
        Image.new(mode, (2, 2)).save(tmp_path / "deep.tiff")
        with pytest.raises(ValueError, match=rf"deep\.tiff has 32-bit pixels \({mode}\); save"):
            Preprocess(size=2, short_side=2)(tmp_path / "deep.tiff")


def test_bad_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture at"):
        read_picture(tmp_path / "none.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"text\.jpg is not a readable picture"):
        read_picture(text)
    whole = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 9.0).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.png is not a readable picture"):
        Preprocess(size=8, short_side=8)(cut)
    with pytest.raises(ValueError, match="too thin"):
        Preprocess(size=227, short_side=256)(Image.new("RGB", (1, 4000)))
    with pytest.raises(ValueError, match="picture size must be in 1"):
        Preprocess(size=300, short_side=256)
    with pytest.raises(ValueError, match="channels must be one of rgb, bgr, gray, not 'grey'"):
        Preprocess(size=3, short_side=4, channels="grey")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fit must be one of crop, stretch, not 'pad'"):
        Preprocess(size=3, short_side=4, fit="pad")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="resample must be one of"):
        Preprocess(size=3, short_side=4, resample="nearest")  # type: ignore[arg-type]


def test_stored_values_are_an_affine_map_of_pixels() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:] = (0, 100, 255)
    image = Image.fromarray(pixels)
    preprocess = Preprocess(
        size=4, short_side=4, channels="bgr", mean=(0.5, 0.4, 0.0), std=(0.5, 0.2, 1.0),
        gain=(0.5, 0.25, 2.0), offset=(0.4, 0.5, -3.0),
    )  # fmt: skip
    got = preprocess(image)
    # 255 / 2 + 0.4 = 127.9, 100 / 4 + 0.5 rounds half up, 0 - 3 is cut
    assert [int(plane.unique().item()) for plane in got] == [128, 26, 0]
    slope, offset = preprocess.slope_and_offset()
    assert torch.allclose(slope * 255 + offset, torch.tensor([1.0, 3.0, 1.0]).double())
    assert offset.tolist() == [-1.0, -2.0, 0.0]
    plain = Preprocess(size=4, short_side=4, channels="gray").slope_and_offset()
    assert [v.tolist() for v in plain] == [[1.0], [0.0]]


@pytest.mark.parametrize(("fields", "message"), [
    ({"mean": (0.5,), "std": (0.5,)}, "mean and std must have 3 values for rgb pictures"),
    ({"mean": (0.5,) * 3}, "mean and std must have 3 values for rgb pictures"),
    ({"gain": (1.0,) * 3, "offset": (1.0,)}, "gain and offset must have 3 values"),
    ({"mean": (0.5,) * 3, "std": (0.5, 0.0, 1.0)}, "std must be positive"),
    ({"mean": (0.5, float("nan"), 0.5), "std": (1.0,) * 3}, "mean must be finite"),
])  # fmt: skip
def test_bad_normalising_is_refused(fields: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(size=4, short_side=4, **fields)  # type: ignore[arg-type]
