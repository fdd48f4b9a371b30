"""What circuits that make windows of maps share: sizes and ports."""

from __future__ import annotations

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .threshold_layer import word_layout

HEIGHT_BITS = 16


def size_layout(max_width: int) -> data.StructLayout:
    """Return the size of a map, 1 x 1 or more."""
    return data.StructLayout({"height": HEIGHT_BITS, "width": range(max_width + 1)})


class Windowed(wiring.Component):
    """A circuit from the pixels of a map to windows of them.

    Parameters
    ----------
    bits : int
        Bits of a pixel.
    max_width : int
        Widest map, in pixels.
    sets : int
    pixels : int
        Of a window.
    kinds : int
        Of windows; a window's ``set`` tells its kind too.

    Members
    -------
    size : In(stream of {height, width})
    i : In(stream of {bits, set})
    o : Out(stream of {bits, set})
    """

    size: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, bits: int, max_width: int, sets: int, pixels: int, kinds: int = 1) -> None:
        if max_width < 1:
            raise ValueError(f"max_width must be 1 pixel or more, not {max_width}")
        self.bits, self.max_width, self.sets = bits, max_width, sets
        super().__init__({
            "size": In(stream.Signature(size_layout(max_width))),
            "i": In(stream.Signature(word_layout(bits, sets))),
            "o": Out(stream.Signature(word_layout(pixels * bits, kinds * sets))),
        })  # fmt: skip
