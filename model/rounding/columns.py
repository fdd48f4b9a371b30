"""What output pixels of a convolution see of its input."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..golden import windows
from ..graph import ConvNode


def sample_columns(
    node: ConvNode, x: torch.Tensor, positions: int, generator: torch.Generator
) -> torch.Tensor:
    """Return the input columns of some output pixels, the same ones in every picture.

    Parameters
    ----------
    node : ConvNode
    x : Tensor float32 (B, Cin, H, W)
        Real input values, without padding.
    positions : int
        Output pixels per picture; all where there are no more.
    generator : torch.Generator
        Draws them, with no repetition.

    Returns
    -------
    Tensor float32 (groups, B x positions, Cin / groups x kh x kw)
    """
    top, left, bottom, right = node.padding
    x = F.pad(x, (left, right, top, bottom))
    kernel = (node.weight.shape[2], node.weight.shape[3])
    view = windows(x, kernel, node.stride, node.dilation)
    batch, channels, height, width, *_ = view.shape
    at = torch.randperm(height * width, generator=generator)[:positions]
    picked = view[:, :, at // width, at % width]  # (B, Cin, P, kh, kw)
    picked = picked.reshape(batch, node.groups, channels // node.groups, len(at), -1)
    return picked.permute(1, 0, 3, 2, 4).reshape(node.groups, batch * len(at), -1)
