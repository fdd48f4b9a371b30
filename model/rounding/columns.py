"""What output pixels of a convolution see of its input."""

from __future__ import annotations

import torch

from ..graph import ConvNode
from ..graph import pad as pad_map


class Columns:
    """Some output pixels of a convolution, drawn once and the same ones in every picture.

    Parameters
    ----------
    node : ConvNode
    size : (int, int)
        Height and width of the input, without padding.
    positions : int
        Output pixels; all where there are no more.
    generator : torch.Generator
        Draws them, with no repetition.
    """

    def __init__(
        self, node: ConvNode, size: tuple[int, int], positions: int, generator: torch.Generator
    ) -> None:
        self.node = node
        top, left, bottom, right = node.padding
        high, wide = size[0] + top + bottom, size[1] + left + right
        (down, across), (tall, broad) = node.stride, node.dilation
        rows, cols = torch.arange(node.weight.shape[2]), torch.arange(node.weight.shape[3])
        height = (high - tall * (len(rows) - 1) - 1) // down + 1
        width = (wide - broad * (len(cols) - 1) - 1) // across + 1
        at = torch.randperm(height * width, generator=generator)[:positions]
        corner = at // width * down * wide + at % width * across
        inner = (rows[:, None] * (tall * wide) + cols * broad).flatten()
        self.count = len(at)
        self._where = (corner[:, None] + inner).flatten()  # in a padded map, row after row

    def __call__(self, x: torch.Tensor, padding: int = 0) -> torch.Tensor:
        """Return the input columns of the pixels.

        Parameters
        ----------
        x : Tensor (B, Cin, H, W)
        padding : int
            Value around x.

        Returns
        -------
        Tensor of the type of x, (groups, B x count, Cin / groups x kh x kw)
        """
        groups = self.node.groups
        x = pad_map(x, self.node.padding, padding).flatten(2)
        batch, channels = x.shape[:2]
        # gather: several times as fast here as an index, which copies element by element
        picked = x.gather(2, self._where.expand(batch, channels, -1))
        picked = picked.view(batch, groups, channels // groups, self.count, -1)
        return picked.permute(1, 0, 3, 2, 4).reshape(groups, batch * self.count, -1)
