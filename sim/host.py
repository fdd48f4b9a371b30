"""What a host must know of the engine's registers, for the bench: offsets, bits, counters."""

from __future__ import annotations

CONTROL = 0x0C
STATUS = 0x10
ERROR = 0x14
PROGRAM = 0x18
LAYER = 0x1C
COUNTERS = 0x20  # eight, of the layer LAYER names
TOTALS = 0x40  # eight, of the whole run

START = 1 << 0
IRQ_ENABLE = 1 << 8
DONE = 1 << 1

COUNTER_NAMES = (
    "cycles",
    "compute_beats",
    "stall_weights",
    "stall_load",
    "stall_drain",
    "read_beats",
    "write_beats",
    "stall_other",
)
