"""Which pictures a conversion rounds with."""

from __future__ import annotations

from dataclasses import replace

import torch

from shiftwork.flow.rounding_pictures import JUDGES, from_zoo
from shiftwork.model.zoo import MODELS


def test_the_zoo_tells_which_crops_are_of_one_picture() -> None:
    sizes: list[tuple[int, bool]] = []

    def some(count: int, held: bool) -> torch.Tensor:
        sizes.append((count, held))
        return torch.zeros(count, 3, 4, 4, dtype=torch.uint8)

    loader = replace(MODELS["squeezenet1_1"], crops=some)
    found = from_zoo(loader, 400)
    assert sizes == [(400, False), (JUDGES, True)] and found.apart
    assert torch.equal(found.source[:282], torch.arange(282))  # 141 photos, 170 cut-outs
    assert found.source[282:286].tolist() == [0, 283, 2, 285]
    assert len(found.source) == 400 and len(found.source.unique()) == 141 + 170
