"""How pixels are stored: what is exact, what is rounded, and how far off that is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from shiftwork.model.importer import UnsupportedError, from_module
from shiftwork.model.preprocess import Preprocess

from .nets import SqueezeLike, assert_close, make, pictures

SIZE = 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def net(padding: int, before: nn.Module | None = None) -> nn.Module:
    parts = [] if before is None else [before]
    return make(lambda: nn.Sequential(*parts, nn.Conv2d(3, 4, 3, padding=padding)))  # type: ignore[arg-type]


def preprocess(mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Preprocess:
    return Preprocess(size=SIZE, short_side=SIZE, mean=mean, std=std)


def normalised(x: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))
    return (x / 255 - shift) / scale


def stored(preprocess: Preprocess, x: torch.Tensor) -> torch.Tensor:
    """Return what the preprocessing makes of pictures with these pixels."""
    images = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in x]
    return torch.stack([preprocess(image) for image in images])


def test_without_padding_pixels_are_stored_and_nothing_is_lost() -> None:
    module, x = net(0), pictures(2, 3, SIZE)
    graph = from_module(module, (3, SIZE, SIZE), preprocess=preprocess())
    assert graph.preprocess is not None and graph.preprocess == preprocess()  # pixels as they are
    assert (graph.frac_bits, graph.zero_point) == (0, 0)
    assert torch.equal(stored(graph.preprocess, x), x)
    assert_close(graph.run(x)[graph.output], module(normalised(x, MEAN, STD)), 1e-5)
    assert graph.notes == ()


def test_with_padding_and_a_mean_of_128_pixels_are_stored_too() -> None:
    mean, std = (128 / 255,) * 3, (0.5, 0.25, 0.125)
    module, x = net(1), pictures(2, 3, SIZE)
    graph = from_module(module, (3, SIZE, SIZE), preprocess=preprocess(mean, std))
    assert (graph.frac_bits, graph.zero_point) == (7, 128)
    assert graph.preprocess is not None and graph.preprocess.gain == ()
    assert_close(graph.run(x)[graph.output], module(normalised(x, mean, std)), 1e-5)


def test_with_padding_and_no_mean_zero_is_pixel_zero() -> None:
    mean, std = (0.0,) * 3, (0.5, 0.25, 0.125)
    module, x = net(1), pictures(2, 3, SIZE)
    graph = from_module(module, (3, SIZE, SIZE), preprocess=preprocess(mean, std))
    assert (graph.frac_bits, graph.zero_point) == (0, 0)
    assert_close(graph.run(x)[graph.output], module(normalised(x, mean, std)), 1e-5)


def test_with_padding_and_another_mean_the_input_is_rounded_and_nothing_clipped() -> None:
    module, x = net(1), pictures(2, 3, SIZE)
    x[0, :, 0, 0], x[0, :, 0, 1] = 0, 255
    graph = from_module(module, (3, SIZE, SIZE), preprocess=preprocess())
    assert (graph.frac_bits, graph.zero_point) == (7, 128)
    chosen = graph.preprocess
    assert chosen is not None and all(0.8 < gain <= 1 for gain in chosen.gain)
    grid = stored(chosen, x)
    exact = torch.stack([x[:, c] * chosen.gain[c] + chosen.offset[c] for c in range(3)], 1)
    assert float((grid - exact).abs().max()) <= 0.5 + 1e-5  # so nothing was cut off
    assert int(grid.min()) >= 0 and int(grid.max()) <= 255
    # black or white is the end of the grid, but for rounding
    assert all(min(c.min(), 255 - c.max()) <= 1 for c in grid.unbind(1))
    got, want = graph.run(grid)[graph.output], module(normalised(x, MEAN, STD))
    # half a step of 1 / gain pixels at each of 27 inputs, times its weight
    weight = module[0].weight.abs() / torch.tensor(STD).view(1, 3, 1, 1)  # type: ignore[index, operator]
    limit = (weight / torch.tensor(chosen.gain).view(1, 3, 1, 1)).sum((1, 2, 3)) * 0.5 / 255
    assert bool(((got - want).abs() <= limit.view(1, -1, 1, 1) * 1.001).all())
    assert graph.notes[0].startswith("input: pixels less the mean, rounded")


def test_where_no_convolution_comes_first_normalised_values_are_stored() -> None:
    module, x = net(0, nn.MaxPool2d(2)), pictures(2, 3, SIZE)
    graph = from_module(module, (3, SIZE, SIZE), preprocess=preprocess())
    # values reach from -2.12 to 2.64: 47 steps of 1/16 to 127
    assert (graph.frac_bits, graph.zero_point) == (5, 128)
    assert graph.preprocess is not None
    grid = stored(graph.preprocess, x)
    real = (grid.double() - 128) / 32
    assert float((real - normalised(x.double(), MEAN, STD)).abs().max()) <= 1 / 64 + 1e-9
    assert_close(graph.run(grid)["1"], module(real.float()), 1e-5)


def test_arithmetic_in_the_module_is_part_of_the_preprocessing() -> None:
    module, x = make(SqueezeLike), pictures()
    size = x.shape[-1]
    white = Preprocess(size=size, short_side=size, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    for chosen in (white, Preprocess(size=size, short_side=size)):  # both mean 0..255
        graph = from_module(module, (3, size, size), preprocess=chosen)
        assert graph.frac_bits == 0 and graph.preprocess == chosen
        assert_close(graph.run(x)[graph.output], module(x.float()))

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.conv((x - 0.5) / torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1)))

    graph = from_module(
        make(Padded), (3, size, size), preprocess=preprocess((0.0,) * 3, (1.0,) * 3)
    )
    assert graph.preprocess is not None
    assert graph.preprocess.gain == pytest.approx((127 / 127.5,) * 3)
    assert len(graph.nodes) == 1


def test_without_preprocessing_the_input_is_what_is_stored() -> None:
    module, x = net(1), pictures(2, 3, SIZE)
    graph = from_module(module, (3, SIZE, SIZE))
    assert graph.preprocess is None
    assert_close(graph.run(x)[graph.output], module(x.float()), 1e-5)
    graph = from_module(module, (3, SIZE, SIZE), frac_bits=7, zero_point=128)
    assert_close(graph.run(x)[graph.output], module((x.float() - 128) / 128), 1e-5)


def test_wrong_channels_are_refused() -> None:
    gray = Preprocess(size=SIZE, short_side=SIZE, channels="gray")
    with pytest.raises(UnsupportedError, match="reads 3 channels, but a gray picture has 1"):
        from_module(net(0), (3, SIZE, SIZE), preprocess=gray)
