"""Energy of memories, in pJ per bit, and of one picture, in uJ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from ..hw.config import EngineConfig
from .energy_count import Accesses

SOURCE = "M. Horowitz, Computing's energy problem, ISSCC 2014, table of energies at 45 nm, 0.9 V"
#: Bytes of a memory, and pJ of an access of 64 bits, from that table.
CACHES = ((8 << 10, 10.0), (32 << 10, 20.0), (1 << 20, 100.0))
DRAM = 1300.0 / 64  # pJ per bit: the lower end of the table's 1.3 to 2.6 nJ for 64 bits
#: What 45 nm at 0.9 V becomes at 0.18 um and 1.8 V: by the capacitance and the voltage squared.
SCALE_180 = (180 / 45) * (1.8 / 0.9) ** 2
NODES = {180: SCALE_180, 45: 1.0}
BANKS = 2  # of accumulators
BUFFER_GROUPS = 4  # memories side by side in a bank of the activation buffer, of lanes each
MEASURED_LOADS = 1 / 8  # beats with new weights among those of a circuit's "held" figure
PARTS = ("array", "control", "sums", "buffer", "queue", "weights", "maps")


@dataclass(frozen=True)
class Control:
    """All of an engine but its array, in pJ: by cycle, and of some blocks by what they do.

    Attributes
    ----------
    cycle : float
        Per cycle.
    beat : float
        Of the window, per beat.
    output : float
        Of what outputs go through, from the drain to the storer, per output.
    """

    cycle: float = 0.0
    beat: float = 0.0
    output: float = 0.0

    def scaled(self, factor: float) -> Control:
        """Return it times ``factor``."""
        return Control(self.cycle * factor, self.beat * factor, self.output * factor)


@dataclass(frozen=True)
class Costs:
    """Energies of memories in pJ per bit, of control, and of the array as parts of what it took.

    Attributes
    ----------
    buffer, sums, queue : float
        The activation buffer, the accumulators, the queue of weights.
    external : float
        Of codes of weights, and of maps with what describes layers.
    array : float
        What the measured energy of the array is multiplied by.
    control : Control
        All else of the engine.
    """

    buffer: float
    sums: float
    queue: float
    external: float
    array: float = 1.0
    control: Control = Control()


def sram(size: float) -> float:
    """Return pJ per bit at 45 nm of a memory of ``size`` bytes.

    Between the sizes of the table by its power law; below, by the square root of the size, which
    is the law between the first two.
    """
    (low, first), (middle, second), (high, third) = CACHES
    if size <= middle:
        return first * sqrt(size / low) / 64
    return second * (size / middle) ** (log(third / second) / log(high / middle)) / 64


def check_node(node: int) -> None:
    """Raise ValueError if there is no such node."""
    if node not in NODES:
        raise ValueError(f"--node must be {' or '.join(map(str, NODES))} (nm), not {node}")


def default_costs(
    config: EngineConfig, acc_bits: int, node: int = 180, control: Control = Control()
) -> Costs:
    """Return the costs of an engine's memories.

    Parameters
    ----------
    config : EngineConfig
    acc_bits : int
        Bits of an accumulator.
    node : int
        180 or 45, in nm. External memory is another chip's and stays the same.
    control : Control
        Measured at 180 nm.

    Raises
    ------
    ValueError
        If there is no such node.
    """
    check_node(node)
    scale = NODES[node]
    word = config.rows * config.act_bits
    groups = min(BUFFER_GROUPS, config.rows)
    buffer = config.buffer_words / config.window * word / groups / 8
    return Costs(
        buffer=scale * sram(buffer),
        sums=scale * sram(config.hold * acc_bits / 8),  # one memory per column and bank
        queue=scale * sram(config.weight_fifo * config.bus_bytes),
        external=DRAM,
        array=scale / SCALE_180,
        control=control.scaled(scale / SCALE_180),
    )


def picture_energy(
    found: Accesses, circuit: Mapping[str, Any], config: EngineConfig, costs: Costs
) -> dict[str, float]:  # fmt: skip
    """Return the energy of one picture by part, in uJ.

    Parameters
    ----------
    found : Accesses
    circuit : mapping
        A circuit's row of ``arrays.json``; measured on an array of any size, per product.
    config : EngineConfig
    costs : Costs
    """
    held, changing = (circuit["modes"][mode]["energy_total"] for mode in ("held", "changing"))
    # Between the two measured shares of beats with new weights; never below the first.
    share = max(0.0, (found.blocks / found.beats - MEASURED_LOADS) / (1 - MEASURED_LOADS))
    product = held + share * (changing - held)
    sums = found.sums * config.cols * circuit["acc_bits"]
    parts = {
        "array": found.beats * config.lanes * product * costs.array,
        "control": found.cycles * costs.control.cycle
        + found.beats * costs.control.beat
        + found.outputs * costs.control.output,
        "sums": sums * costs.sums,
        "buffer": (found.buffer_read + found.buffer_written) * costs.buffer,
        "queue": 2 * found.fifo * costs.queue,
        "weights": found.weight_bits * costs.external,
        "maps": found.map_bits * costs.external,
    }
    return {name: parts[name] / 1e6 for name in PARTS}


def keep_weights(found: Accesses, costs: Costs, node: int, size: int) -> dict[str, float]:
    """Return the parts of a picture that a memory of weights on chip would change, in uJ.

    Layers whose codes fit are read from external memory once, and as often from this memory as
    now from the queue; the others go on as they do. No engine has such a memory yet.

    Parameters
    ----------
    found : Accesses
    costs : Costs
    node : int
    size : int
        Bytes of the memory.
    """
    fit = [(once, read) for once, read in found.streams if once <= 8 * size]
    once, read = (sum(bits) for bits in zip(*fit, strict=True)) if fit else (0, 0)
    inside = (once + read) * NODES[node] * sram(size)
    parts = {
        "queue": 2 * (found.fifo - read) * costs.queue + inside,
        "weights": (found.weight_bits - read + once) * costs.external,
    }
    return {name: value / 1e6 for name, value in parts.items()}
