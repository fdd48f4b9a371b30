"""A board's top in Verilator, behind a pseudo-terminal."""
