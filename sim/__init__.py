"""Simulation of emitted Verilog: simulators, bench, memory model and scoreboard."""
