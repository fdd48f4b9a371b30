"""What an array is shown: beats of activations, blocks of weights, sums before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...hw.arrays.circuits import Circuit

LEAD = 2  # beats repeated at the beginning, until every register has a value


@dataclass(frozen=True, eq=False)
class Workload:
    """Beats for one circuit.

    Attributes
    ----------
    acts : ndarray int64 (beats, rows)
        Activations.
    codes : ndarray int64 (loads, N, cols, rows)
        Blocks of weights: codes, or one integer each.
    load : ndarray bool (beats,)
        Whether a beat is the first with the next block; the first one is.
    sums : ndarray int64 (beats, cols)
        Sums before each beat without the constant parts of the lanes, thus those of the golden
        model.
    products : ndarray int64 (beats, cols)
        What each beat adds to them.
    constants : ndarray int64 (beats, cols)
        Constant parts that the beats before have added to the sums.
    """

    acts: np.ndarray
    codes: np.ndarray
    load: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    constants: np.ndarray

    @property
    def beats(self) -> int:
        """Beats that are measured."""
        return len(self.acts)


def _hex(fields: np.ndarray, bits: int) -> str:
    """Return one line of hexadecimal digits per row, the first field lowest."""
    lines = []
    mask = (1 << bits) - 1
    for row in fields:
        total = 0
        for field in row[::-1].tolist():
            total = total << bits | (field & mask)
        lines.append(f"{total:x}")
    return "\n".join(lines) + "\n"


def write_memories(circuit: Circuit, workload: Workload, folder: Path) -> int:
    """Write the files a bench reads: acts, held, load, sum_in, sum_out (.hex); return the beats."""
    lane = circuit.lane
    lead = [0] * LEAD + list(range(workload.beats))
    load = workload.load.copy()
    load[0] = True
    block = np.cumsum(load) - 1
    constant = lane.constant(np.moveaxis(workload.codes, 1, 0)).sum(axis=2)[block]
    before = workload.sums + workload.constants
    after = before + workload.products + constant
    if not circuit.plain and (before.min() < 0 or after.max() >> circuit.acc_bits):
        raise ValueError(f"{circuit.name}: a sum does not fit {circuit.acc_bits} bits")
    held = lane.hold(np.moveaxis(workload.codes, 1, 0))
    loads = [True] * LEAD + load.tolist()  # the first block again: a load that is measured
    blocks = [held[0]] * LEAD + list(held)
    files = {
        "acts": _hex(workload.acts[lead], circuit.act_bits),
        "held": _hex(np.stack(blocks).reshape(len(blocks), -1), circuit.held_bits),
        "load": _hex(np.array(loads, np.int64)[:, None], 1),
        "sum_in": _hex(before[lead], circuit.acc_bits),
        "sum_out": _hex(after[lead], circuit.acc_bits),
    }
    for name, text in files.items():
        (folder / f"{name}.hex").write_text(text)
    return len(lead)
