"""Registers without a reset."""

from functools import partial

from amaranth.hdl import Signal

# For data whose worth a valid bit tells. A reset of thousands of them is one more net all over the
# die: it was the slowest path of a placed engine.
Plain = partial(Signal, reset_less=True)
