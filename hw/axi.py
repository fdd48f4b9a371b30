"""Flat AXI4 master ports, named as tools find buses by prefix, and the request they serve.

The ports carry no IDs: everything stays in order. Bursts are incrementing and full width.
"""

from __future__ import annotations

from typing import Any

from amaranth.lib import data
from amaranth.lib.wiring import In, Out

ADDR_BITS = 32
LAST_BYTE = (1 << ADDR_BITS) - 1
LAYER_BITS = 16
BURST_INCREMENT = 0b01
CACHE_BUFFERABLE = 0b0011  # normal, not cacheable, bufferable
PROTECTION = 0b000  # unprivileged, secure, data
OKAY, SLVERR = 0b00, 0b10

#: Read or write `beats` (at least 1) bus beats from the bus-aligned byte address `addr` on.
REQUEST = data.StructLayout({"addr": ADDR_BITS, "beats": 32})
#: One AXI4 burst: `len` is the number of beats less 1, as on the bus.
BURST = data.StructLayout({"addr": ADDR_BITS, "len": 8})


def _address_members(channel: str) -> dict[str, Any]:
    prefix = f"m_axi_a{channel}"
    return {
        f"{prefix}addr": Out(ADDR_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}prot": Out(3),
        f"{prefix}cache": Out(4),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def read_members(bus_bits: int) -> dict[str, Any]:
    """Return the signature members of an AXI4 read master of `bus_bits` bits."""
    return _address_members("r") | {
        "m_axi_rdata": In(bus_bits),
        "m_axi_rresp": In(2),
        "m_axi_rlast": In(1),
        "m_axi_rvalid": In(1),
        "m_axi_rready": Out(1),
    }


def write_members(bus_bits: int) -> dict[str, Any]:
    """Return the signature members of an AXI4 write master of `bus_bits` bits."""
    return _address_members("w") | {
        "m_axi_wdata": Out(bus_bits),
        "m_axi_wstrb": Out(bus_bits // 8),
        "m_axi_wlast": Out(1),
        "m_axi_wvalid": Out(1),
        "m_axi_wready": In(1),
        "m_axi_bresp": In(2),
        "m_axi_bvalid": In(1),
        "m_axi_bready": Out(1),
    }
