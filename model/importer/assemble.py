"""The last step of every import: a program becomes a graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..graph import Graph
from ..preprocess import Preprocess
from . import ops
from .normalise import lower_with_input
from .quantisers import grid

Choose = Preprocess | Callable[[tuple[int, int, int], bool], Preprocess]


def to_graph(
    program: ops.Program,
    preprocess: Choose | None,
    *,
    frac_bits: int = 0,
    zero_point: int = 0,
    classes: tuple[str, ...] = (),
) -> Graph:
    """Return a program as the graph the quantiser reads.

    Parameters
    ----------
    program : Program
    preprocess : Preprocess, callable or None
        How pictures become the model's input, or a function that says so, given its shape and
        whether it is of bytes; None: the input is (a - zero_point) 2^-frac_bits of stored values a.
    frac_bits, zero_point : int
        Of an input without preprocessing.
    classes : tuple[str, ...]
        Names of the results' channels, or none.

    Raises
    ------
    UnsupportedError
        If something in the program is not supported.
    """
    for op in program.ops:
        _check_finite(op)
    if callable(preprocess) and not isinstance(preprocess, Preprocess):
        preprocess = preprocess(program.shape, program.pixels)
    if program.pixels and preprocess is not None and preprocess.mean:
        raise ValueError(
            f"network {program.name!r} reads bytes, pixels as they are: leave mean and std out"
        )
    lowered, entry = lower_with_input(program, preprocess, frac_bits, zero_point)
    known: dict[str, int] = {}
    notes = list(lowered.notes)
    for tensor, quantiser in lowered.steps.items():
        known[tensor], note = grid(quantiser)
        if note:
            notes.append(f"{tensor}: {note}")
    return Graph(
        name=program.name,
        input=program.input,
        output=lowered.outputs[0],
        shape=program.shape,
        nodes=lowered.nodes,
        preprocess=entry.preprocess,
        classes=classes,
        frac_bits=entry.frac_bits,
        zero_point=entry.zero_point,
        extra_outputs=lowered.outputs[1:],
        known_frac_bits=known,
        notes=tuple(notes),
    )


def _check_finite(op: ops.Op) -> None:
    for label in ("weight", "bias", "scale", "shift"):
        values = getattr(op, label, None)
        if isinstance(values, torch.Tensor):
            bad = values.numel() - int(torch.isfinite(values).sum())
            if bad:
                raise op.site.refuse(
                    f"has {bad} values of {values.numel()} in its {label} that are NaN or infinite",
                    "train or export the network again",
                )
