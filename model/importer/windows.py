"""Sliding windows: limits of the engine, automatic padding, ceil mode."""

from __future__ import annotations

from ..network import Padding, Pair, window_size
from .ops import AutoPad, Site

KERNEL_MAX = 7  # rows and columns of a window
STRIDE_MAX = 4
DILATION_MAX = 2


def check_limits(site: Site, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> None:
    """Refuse windows that no engine runs."""
    for label, pair, limit in (
        ("kernel", kernel, KERNEL_MAX),
        ("stride", stride, STRIDE_MAX),
        ("dilation", dilation, DILATION_MAX),
    ):
        if not 1 <= min(pair) <= max(pair) <= limit:
            raise site.refuse(
                f"has {label} {pair[0]} x {pair[1]}, engines run 1..{limit}",
                f"use a {label} of at most {limit}, or several such layers in sequence",
            )


def resolve_padding(
    padding: Padding | AutoPad, size: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """Return (top, left, bottom, right); automatic padding gives ceil(size / stride) windows."""
    if isinstance(padding, tuple):
        return padding
    before, after = [], []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        before.append(small if padding == "same_upper" else large)
        after.append(large if padding == "same_upper" else small)
    return before[0], before[1], after[0], after[1]


def ceil_padding(padding: Padding, size: Pair, kernel: Pair, stride: Pair) -> Padding:
    """Return the padding with which floor mode gives what ceil mode gives without.

    A last window that would start in the padding beyond the map is left out, as in torch.
    """
    spare = []
    for axis, (n, k, s) in enumerate(zip(size, kernel, stride, strict=True)):
        span = n + padding[axis] + padding[axis + 2]
        count = -(-(span - k) // s) + 1
        if (count - 1) * s >= n + padding[axis]:
            count -= 1
        spare.append(max((count - 1) * s + k - span, 0))
    return padding[0], padding[1], padding[2] + spare[0], padding[3] + spare[1]


def output_size(
    site: Site, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Pair:
    """Return (height, width) of the result and refuse an empty one."""
    out = window_size(size, kernel, stride, padding, dilation)
    if min(out) < 1:
        raise site.refuse(
            f"has a {kernel[0]} x {kernel[1]} window that does not fit a {size[0]} x {size[1]} map",
            "give the network larger pictures (--size)",
        )
    return out


def add_padding(a: Padding, b: Padding) -> Padding:
    """Return the padding that is one inside the other."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]
