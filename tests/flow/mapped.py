"""Mapped ECP5 netlists, evaluated by the definition of their cells (Yosys' cells_sim_ecp5.v)."""

from __future__ import annotations

from typing import Any

import numpy as np

Bits = dict[int | str, np.ndarray]
LOGIC = ("LUT4", "CCU2C", "PFUMX", "L6MUX21")


def lut(init: str, pins: list[np.ndarray]) -> np.ndarray:
    """Return a table's output: INIT at the pins, A lowest."""
    table = np.array([int(bit) for bit in reversed(init)], bool)
    index = sum((pin.astype(np.int64) << i for i, pin in enumerate(pins)), np.int64(0))
    return table[index]


def half(init: str, pins: list[np.ndarray], carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sum and carry of a half of a CCU2C whose INJECT1 is NO."""
    chosen, generate = lut(init, pins), lut(init[-4:], pins[:2])
    return chosen ^ carry, np.where(chosen, carry, generate)


def evaluate(module: dict[str, Any], given: Bits) -> Bits:
    """Return the value of every net, from those of inputs and of flip-flops' outputs."""
    some = next(iter(given.values()))
    known: Bits = {"0": np.zeros_like(some), "1": np.ones_like(some), **given}
    waiting = [c for c in module["cells"].values() if c["type"] in LOGIC]
    while waiting:
        left = [cell for cell in waiting if not _settle(cell, known)]
        assert len(left) < len(waiting), "a loop, or a net without a driver"
        waiting = left
    return known


def _settle(cell: dict[str, Any], known: Bits) -> bool:
    wires = {port: nets[0] for port, nets in cell["connections"].items() if nets}
    inputs = {p: n for p, n in wires.items() if cell["port_directions"][p] == "input"}
    if not all(net in known for net in inputs.values()):
        return False
    values = {port: known[net] for port, net in inputs.items()}
    if cell["type"] == "LUT4":
        found = {"Z": lut(cell["parameters"]["INIT"], [values[pin] for pin in "ABCD"])}
    elif cell["type"] == "PFUMX":
        found = {"Z": np.where(values["C0"], values["ALUT"], values["BLUT"])}
    elif cell["type"] == "L6MUX21":
        found = {"Z": np.where(values["SD"], values["D1"], values["D0"])}
    else:
        carry, found = values["CIN"], {}
        for i in "01":
            pins = [values[f"{pin}{i}"] for pin in "ABCD"]
            found[f"S{i}"], carry = half(cell["parameters"][f"INIT{i}"], pins, carry)
        found["COUT"] = carry
    for port, value in found.items():
        if port in wires:
            known[wires[port]] = value
    return True
