"""What rounding makes of one convolution: see :mod:`..rounded`."""

from ..rounded import Rounded

__all__ = ["Rounded"]
