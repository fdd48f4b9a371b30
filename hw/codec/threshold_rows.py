"""How weights and thresholds lie in a threshold unit's memory: plain data.

A row is what one output needs for one word. Its weights lie one behind another, sign and magnitude:
the magnitude's bits, lowest first, then a bit that is 1 where the weight is negative; so a ternary
weight has two. They are cut into parts of a number of bits. The last part is the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RowLayout:
    """Sizes of a row.

    Attributes
    ----------
    inputs : int
        Bits of a word.
    weight_bits : int
        Bits of a weight, its sign included: 2 for -1, 0, 1; 8 for -127..127.
    data_bits : int
        Bits of a part, as they are written.

    Raises
    ------
    ValueError
        If a size is out of range, or a threshold does not fit a part.
    """

    inputs: int
    weight_bits: int = 2
    data_bits: int = 128

    def __post_init__(self) -> None:
        if self.inputs < 1:
            raise ValueError(f"a word has 1 or more inputs, not {self.inputs}")
        if not 2 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits must be 2..8, not {self.weight_bits}")
        if self.data_bits < self.threshold_bits:
            raise ValueError(
                f"data_bits must be {self.threshold_bits} or more for a threshold of "
                f"{self.inputs} inputs, not {self.data_bits}"
            )

    @property
    def most(self) -> int:
        """The largest sum."""
        return self.inputs * ((1 << self.weight_bits - 1) - 1)

    @property
    def threshold_bits(self) -> int:
        """Bits of a threshold: 0, which every sum reaches, to more than the largest sum."""
        return (self.most + 1).bit_length()

    @property
    def part_bits(self) -> list[int]:
        """Bits of each part of a row that are kept."""
        weights = self.inputs * self.weight_bits
        whole, rest = divmod(weights, self.data_bits)
        return [self.data_bits] * whole + [rest] * (rest > 0) + [self.threshold_bits]

    @property
    def parts(self) -> int:
        """Parts of a row."""
        return len(self.part_bits)

    @property
    def bits(self) -> int:
        """Bits of a row that are kept."""
        return sum(self.part_bits)

    def row(self, weights: np.ndarray, threshold: int) -> list[int]:
        """Return a row's parts.

        Parameters
        ----------
        weights : ndarray of int (inputs,)
        threshold : int
            The bit is 1 where the sum of the weights of the inputs that are 1 reaches it.

        Raises
        ------
        ValueError
            If there are more or fewer weights than inputs, or one is out of range.
        """
        top = (1 << self.weight_bits - 1) - 1
        whole = weights.astype(np.int64)
        if whole.shape != (self.inputs,):
            raise ValueError(f"a row has {self.inputs} weights, not {whole.shape}")
        if np.abs(whole).max() > top:
            raise ValueError(f"weights must be {-top}..{top}, not {np.abs(whole).max()}")
        negative = whole < 0
        codes = np.abs(whole) | negative.astype(np.int64) << self.weight_bits - 1
        packed = sum(int(code) << n * self.weight_bits for n, code in enumerate(codes))
        mask = (1 << self.data_bits) - 1
        parts = [packed >> n * self.data_bits & mask for n in range(self.parts - 1)]
        raised = int(threshold) - int(whole[negative].sum())
        return [*parts, min(max(raised, 0), self.most + 1)]


#: Kernel position that an even, an odd output takes the nearer, the further input by, in the
#: transpose of 3 positions in steps of 2.
MIRRORED: tuple[tuple[int | None, int | None], ...] = ((1, None), (2, 0))


def words_of(weights: np.ndarray) -> np.ndarray:
    """Return a layer's weights (1, out, inputs), in the order of the bits of its words.

    A word has the bits of a pixel for each place of the kernel, row by row.

    Parameters
    ----------
    weights : ndarray (out, in / groups, kh, kw)
    """
    return weights.transpose(0, 2, 3, 1).reshape(1, len(weights), -1)


def mirrored_words_of(weights: np.ndarray, groups: int) -> np.ndarray:
    """Return a mirrored layer's weights (4, out, inputs), in the order of the bits of its words.

    There is a set of weights for outputs of each parity, that of the row first: even and even,
    even and odd, odd and even, odd and odd. A word has the bits of 2 x 2 pixels, row by row; where
    a place has no part in an output its weights are 0.

    Parameters
    ----------
    weights : ndarray (in, out / groups, 3, 3)
    groups : int
    """
    inputs, outputs = weights.shape[0] // groups, weights.shape[1]
    own = weights.reshape(groups, inputs, outputs, 3, 3).transpose(0, 2, 1, 3, 4)
    own = own.reshape(groups * outputs, inputs, 3, 3)  # as those of a layer that is not mirrored
    sets = np.zeros((2, 2, groups * outputs, 2, 2, inputs), weights.dtype)
    for odd_y, ys in enumerate(MIRRORED):
        for odd_x, xs in enumerate(MIRRORED):
            for at_y, y in enumerate(ys):
                for at_x, x in enumerate(xs):
                    if y is not None and x is not None:
                        sets[odd_y, odd_x, :, at_y, at_x] = own[:, :, y, x]
    return sets.reshape(4, groups * outputs, -1)
