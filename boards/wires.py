"""Ports that the parts of a board's link to its host share."""

from __future__ import annotations

from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

#: A stream of bytes from a host, which does not wait, and one to it, which does.
HOST_BYTES = {
    "i": In(stream.Signature(8, always_ready=True)),
    "o": Out(stream.Signature(8)),
}
