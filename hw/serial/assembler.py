"""An assembler for the serial engine's processor: methods that append instructions."""

from __future__ import annotations

from .isa import BRANCH, INDEXED, OP_LSB, RAM_BITS, TARGET_BITS, WORD_BITS, Input, Op, Output


class Assembler:
    """Collect instructions, labels and the words of the processor's memory.

    Operands are addresses of the memory, names of variables (made at their first use) or, by
    `const`, numbers, which get a word each.

    Parameters
    ----------
    variables : int
        First address of variables and constants; everything below is the program's to lay out.
    """

    def __init__(self, variables: int) -> None:
        self.words: list[int] = []
        self.memory: dict[int, int] = {}
        self._labels: dict[str, int] = {}
        self._targets: list[tuple[int, str]] = []
        self._names: dict[str, int] = {}
        self._next = variables

    def variable(self, name: str) -> int:
        """Return the address of a variable."""
        if name not in self._names:
            if self._next >= 1 << RAM_BITS:
                raise ValueError(f"no room for variable {name!r}: {1 << RAM_BITS} words are used")
            self._names[name] = self._next
            self._next += 1
        return self._names[name]

    def const(self, value: int) -> int:
        """Return the address of a word that holds a number, modulo 2^16."""
        value &= (1 << WORD_BITS) - 1
        at = self.variable(f"={value}")
        self.memory[at] = value
        return at

    def label(self, name: str) -> None:
        """Give the next instruction a name to branch to."""
        if name in self._labels:
            raise ValueError(f"label {name!r} is there twice")
        self._labels[name] = len(self.words)

    def _put(self, op: Op, low: int = 0) -> None:
        self.words.append(op << OP_LSB | low)

    def op(self, op: Op, operand: int | str, *, indexed: bool = False) -> None:
        """Append an instruction on a word of the memory."""
        at = self.variable(operand) if isinstance(operand, str) else operand
        self._put(op, at | (INDEXED if indexed else 0))

    def ld(self, operand: int | str) -> None:
        """Load a word."""
        self.op(Op.LD, operand)

    def st(self, operand: int | str) -> None:
        """Store A in a word."""
        self.op(Op.ST, operand)

    def ldi(self, value: int) -> None:
        """Load a number of 8 bits."""
        if not 0 <= value < 1 << RAM_BITS:
            raise ValueError(f"an immediate must be in 0..{(1 << RAM_BITS) - 1}, not {value}")
        self._put(Op.LDI, value)

    def alone(self, *ops: Op) -> None:
        """Append instructions without an operand."""
        for op in ops:
            self._put(op)

    def read(self, port: Input) -> None:
        """Load what a port gives."""
        self._put(Op.IN, port)

    def out(self, port: Output, operand: int | str | None = None) -> None:
        """Write A to a port, or a word by way of A."""
        if operand is not None:
            self.ld(operand)
        self._put(Op.OUT, port)

    def branch(self, op: Op, label: str) -> None:
        """Append a branch."""
        if op & BRANCH != BRANCH:
            raise ValueError(f"{op.name} is no branch")
        self._targets.append((len(self.words), label))
        self._put(op)

    def jump(self, label: str) -> None:
        """Go on elsewhere."""
        self.branch(Op.JMP, label)

    def call(self, label: str) -> None:
        """Go elsewhere until `ret`; from there no further."""
        self.branch(Op.CALL, label)

    def ret(self) -> None:
        """Return from where it was called."""
        self.alone(Op.RET)

    # What is made of several instructions.

    def copy(self, target: int | str, source: int | str) -> None:
        """Set a word to another."""
        self.ld(source)
        self.st(target)

    def clear(self, *targets: int | str) -> None:
        """Set words to 0."""
        self.ldi(0)
        for target in targets:
            self.st(target)

    def add_to(self, target: int | str, operand: int | str) -> None:
        """Add a word to another."""
        self.ld(target)
        self.op(Op.ADD, operand)
        self.st(target)

    def count_down(self, counter: int | str, label: str) -> None:
        """Take 1 from a word, and go to a label where that is not 0."""
        self.ld(counter)
        self.op(Op.SUB, self.const(1))
        self.st(counter)
        self.branch(Op.JNZ, label)

    def finish(self) -> list[int]:
        """Return the instructions.

        Raises
        ------
        ValueError
            If a label is missing, or there are too many instructions.
        """
        if len(self.words) > 1 << TARGET_BITS:
            raise ValueError(f"{len(self.words)} instructions, at most {1 << TARGET_BITS}")
        for at, label in self._targets:
            if label not in self._labels:
                raise ValueError(f"no label {label!r}")
            self.words[at] |= self._labels[label]
        return self.words
