"""Threshold codes: start as truncation, train, and compute what their integers compute."""

import pytest
import torch

from shiftwork.model.codec.threshold import Kind, Mode, PlaneCode, fit


def maps(channels: int, size: tuple[int, int] = (6, 7), seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(6, channels, *size, generator=generator).abs() * 60
    return a.clamp(0, 255).to(torch.uint8)


CASES: list[tuple[Kind, int, Mode, int]] = [
    ("channel", 1, "ternary", 4),
    ("channel", 2, "ternary", 2),
    ("channel", 1, "int8", 2),
    ("spatial", 1, "ternary", 4),
    ("spatial", 2, "int8", 2),
]


@pytest.mark.parametrize(("kind", "depth", "mode", "group"), CASES)
def test_training_and_integers_agree_bit_for_bit(
    kind: Kind, depth: int, mode: Mode, group: int
) -> None:
    code = PlaneCode(4, 5, kind=kind, depth=depth, mode=mode, group=group)
    a = maps(4)
    errors = fit(code, a, steps=12, batch=3, rate=0.02)
    with torch.no_grad():
        read = code(a.float())
    bits = code.encode(a)
    assert set(bits.unique().tolist()) <= {0, 1}
    assert bits.shape == (6, 20, *((3, 4) if kind == "spatial" else (6, 7)))
    back = code.decode(bits, (6, 7))
    assert back.shape == a.shape
    assert torch.equal(back.float(), read)
    found = float((read - a.float()).square().mean())
    assert found == pytest.approx(min(errors))
    assert code.weight_bits > 0


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("mode", ["ternary", "int8"])
def test_a_channel_code_starts_as_truncation(depth: int, mode: Mode) -> None:
    a = maps(4)
    code = PlaneCode(4, 5, depth=depth, mode=mode, group=2)
    assert torch.equal(code.decode(code.encode(a), (6, 7)), a // 8 * 8)
    assert code.bits_per_value == 5.0


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1), (2, 3)])
def test_a_spatial_code_starts_as_every_second_pixel(size: tuple[int, int]) -> None:
    a = maps(2, size)
    code = PlaneCode(2, 6, kind="spatial")
    picked = (a // 4 * 4)[:, :, ::2, ::2]
    want = picked.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, : size[0], : size[1]]
    assert torch.equal(code.decode(code.encode(a), size), want)
    assert code.bits_per_value == 1.5


def test_training_is_never_worse_than_truncation_and_can_be_better() -> None:
    # two channels that are equal: their planes say the same twice
    one = maps(1, seed=3)
    a = torch.cat([one, one], 1)
    code = PlaneCode(2, 4)
    errors = fit(code, a, steps=200, batch=6, rate=0.01)
    kept = float((code.decode(code.encode(a), (6, 7)).float() - a.float()).square().mean())
    assert kept == pytest.approx(min(errors))
    assert kept < 0.9 * errors[0]


def test_bad_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="groups of 3 do not divide 4 channels"):
        PlaneCode(4, 4, group=3)
    with pytest.raises(ValueError, match=r"bits must be 1\.\.8, not 9"):
        PlaneCode(4, 9)
    with pytest.raises(ValueError, match="depth 3"):
        PlaneCode(4, 4, depth=3)
