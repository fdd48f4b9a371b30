"""What a network's results do not need is taken off a program before it is lowered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .ops import Head, Program, Reshape


def trim(program: Program) -> tuple[Program, list[str]]:
    """Return the program without final softmax and the like and without unread operations.

    Returns
    -------
    Program
    list of str
        What was left out.
    """
    made = {op.output: op for op in program.ops}
    readers = Counter(name for op in program.ops for name in op.inputs)
    outputs, notes = [], []
    for name in program.outputs:
        op = made.get(name)
        while isinstance(op, Head | Reshape) and not readers[name]:
            if isinstance(op, Head):
                notes.append(
                    f"{op.site.op} at the end ({op.site.where}) is left out: the order of the "
                    "scores does not change"
                )
            name = op.inputs[0]
            readers[name] -= 1
            op = made.get(name)
        outputs.append(name)
    needed, todo = set(outputs), list(outputs)
    while todo:
        op = made.get(todo.pop())
        fresh = set(op.inputs if op else ()) - needed
        needed |= fresh
        todo += fresh
    kept = [op for op in program.ops if op.output in needed]
    return replace(program, ops=kept, outputs=tuple(outputs)), [*program.notes, *notes]
