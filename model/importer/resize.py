"""ONNX's Resize: which pixels nearest interpolation picks."""

from __future__ import annotations

from typing import Any

import numpy as np


def repeats(size: int, factor: int, marks: dict[str, Any]) -> bool:
    """Return whether every pixel is repeated; formulas of ONNX's Resize."""
    mode = marks.get("coordinate_transformation_mode", "half_pixel")
    at = np.arange(size * factor)
    if mode in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        source = (at + 0.5) / factor - 0.5
    elif mode == "align_corners":
        source = at * (size - 1) / max(size * factor - 1, 1)
    elif mode == "asymmetric":
        source = at / factor
    else:
        return False
    rounding = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }[marks.get("nearest_mode", "round_prefer_floor")]
    return bool((np.clip(rounding(source), 0, size - 1) == at // factor).all())
