"""Emission, synthesis, reports and the command line. Imported by nobody but boards."""
