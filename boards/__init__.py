"""Boards: their tops, the link between board and host, and the host's end of it."""
