"""Standard cells: mapping, simulation with delays, timing and power."""
