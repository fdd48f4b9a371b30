"""What an engine's codes stand for, slowly."""

from __future__ import annotations

import numpy as np

from shiftwork.hw.config import EngineConfig


def parts(config: EngineConfig, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of x and of ~x in what lanes add for codes, int64 both."""
    codes = np.asarray(codes, np.int64)
    if config.arithmetic != "shift":
        table = np.array([digit_parts(code, config.code_bits) for code in codes.flatten()])
        plus, minus = table.reshape(-1, 2).T
        return plus.reshape(codes.shape), minus.reshape(codes.shape)
    size = np.where(codes == 0, 0, 1 << config.magnitudes - np.abs(codes))
    return np.where(codes > 0, size, 0), np.where(codes < 0, size, 0)


def lane_sum(config: EngineConfig, codes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return what lanes add for codes (lane_terms, ...), a term worth twice the following one."""
    top = (1 << config.act_bits) - 1
    total = np.int64(0)
    for each in codes:
        plus, minus = parts(config, each)
        total = 2 * total + plus * x + minus * (top - x)
    return np.asarray(total)


def digit_parts(code: int, bits: int) -> tuple[int, int]:
    """Return the sum of the positive and of the negative radix-4 digits of an integer's code."""
    fields = [int(code) >> i & 3 for i in range(0, bits, 2)]
    values = [-1 if field == 3 else field for field in fields]
    if values[-1] == 2 and sum(v * 4**i for i, v in enumerate(values[:-1])) >= 0:
        values[-1] = -2  # 2 would be more than the weight may be
    places = [v * 4**i for i, v in enumerate(values)]
    return sum(p for p in places if p > 0), -sum(p for p in places if p < 0)
