"""The host's end of the link: requests that survive a bad line, and programs run by them."""

from .board import Board, Result
from .line import Link, LinkError, Refused

__all__ = ["Board", "Link", "LinkError", "Refused", "Result"]
