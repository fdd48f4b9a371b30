"""Weight blocks: codes arranged as the array takes them, one arrangement per mode.

Each function returns int8 (column blocks, blocks, lane_terms x cols x rows), blocks in the order
kernel row, kernel step, plane, pass. A slot is plane x rows + lane.
"""

from __future__ import annotations

import numpy as np

from ..hw.config import EngineConfig
from ..hw.geometry import Geometry
from .packing import block_codes


def planes_touched(config: EngineConfig) -> int:
    """Return how many planes the channels of one column block lie in at most."""
    return Geometry(config).planes


def dense(codes: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Arrange codes int8 (N, Cout, slots, kh, kw) plane by plane: the order of `packing`."""
    return _joined(block_codes(codes, config.rows, config.cols), config)


def packed(codes: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Arrange codes int8 (N, Cout, lanes, kh, kw), lanes = rows / window, taps beside taps."""
    terms, cout, lanes, kh, kw = codes.shape
    columns, steps = -(-cout // config.cols), -(-kw // config.window)
    padded = np.zeros((terms, columns * config.cols, lanes, kh, steps * config.window), np.int8)
    padded[:, :cout, :, :, :kw] = codes
    split = padded.reshape(terms, columns, config.cols, lanes, kh, steps, config.window)
    ordered = split.transpose(1, 4, 5, 0, 2, 6, 3)
    return _joined(ordered.reshape(columns, kh, steps, 1, terms, config.lanes), config)


def separate(codes: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Arrange depthwise codes int8 (N, slots, kh, kw): a column's first rows are its taps."""
    terms, slots, kh, kw = codes.shape
    columns, steps = -(-slots // config.cols), -(-kw // config.window)
    padded = np.zeros((terms, columns * config.cols, kh, steps * config.window), np.int8)
    padded[:, :slots, :, :kw] = codes
    split = padded.reshape(terms, columns, config.cols, kh, steps, config.window)
    full = np.zeros((columns, kh, steps, 1, terms, config.cols, config.rows), np.int8)
    full[..., : config.window] = split.transpose(1, 3, 4, 0, 2, 5)[:, :, :, None]
    return _joined(full.reshape(columns, kh, steps, 1, terms, config.lanes), config)


def diagonal(codes: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Arrange codes int8 (N, tensors, slots, kh, kw) so that a column reads its own lane.

    The planes of several tensors lie in turn: plane 0 of each, then plane 1 of each.
    """
    terms, tensors, slots, kh, kw = codes.shape
    columns, planes = -(-slots // config.cols), planes_touched(config)
    full = np.zeros(
        (columns, kh, kw, planes, tensors, terms, config.cols, config.rows), np.int8
    )  # fmt: skip
    for slot in range(slots):
        column, col = divmod(slot, config.cols)
        plane = slot // config.rows - column * config.cols // config.rows
        own = codes[:, :, slot].transpose(2, 3, 1, 0)
        full[column, :, :, plane, :, :, col, slot % config.rows] = own
    return _joined(full.reshape(columns, kh, kw, planes * tensors, terms, config.lanes), config)


def _joined(blocks: np.ndarray, config: EngineConfig) -> np.ndarray:
    """Return blocks (columns, kh, steps, planes, terms, codes) with the order of reading joined.

    A lane's terms are side by side. The last pass has no spare ones, so that every term is worth
    as much as on any other engine; in the first those that are missing are code 0.
    """
    spare = -blocks.shape[-2] % config.lane_terms
    filled = np.pad(blocks, [*[(0, 0)] * 4, (spare, 0), (0, 0)])
    return np.ascontiguousarray(filled).reshape(
        len(blocks), -1, config.lane_terms * blocks.shape[-1]
    )
