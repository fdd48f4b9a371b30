"""Array circuits to compare: one interface, one tree, one accumulator; only lanes differ."""
