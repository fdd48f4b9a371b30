"""What block RAMs have in common."""

from __future__ import annotations

from typing import Any

#: Attributes of a memory (``Memory(..., attrs=NO_COLLISIONS)``) of which no address is ever read
#: in the cycle it is written, or where what is read then does not matter. Without it Yosys adds
#: a register and a multiplexer for every data bit, to give the old value as the language says.
NO_COLLISIONS: Any = {"no_rw_check": 1}
