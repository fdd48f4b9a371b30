"""Gateware of the Shiftwork engine (Amaranth). Plain-data modules here import no Amaranth."""
