"""The serial engine's memory port: one word of four bytes a cycle, read or written."""

from __future__ import annotations

from typing import Any

from amaranth.lib.wiring import In, Out

WORD_BYTES = 4
ADDRESS_BITS = 15  # words: 128 KiB
MEMORY_WORDS = 1 << ADDRESS_BITS


def memory_members() -> dict[str, Any]:
    """Return the members of a master.

    While `mem_enable` is high, the word at `mem_address` is read, and is at `mem_found` in the
    next cycle; or those bytes of it are written whose bit of `mem_write` is set.
    """
    return {
        "mem_enable": Out(1),
        "mem_write": Out(WORD_BYTES),
        "mem_address": Out(ADDRESS_BITS),
        "mem_value": Out(8 * WORD_BYTES),
        "mem_found": In(8 * WORD_BYTES),
    }
