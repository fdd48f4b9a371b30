"""Instructions of the serial engine's processor: plain data, for gateware and assembler.

An instruction has 16 bits. Bits 15..11 are the operation. Branches have the target in bits 10..0;
all others an address of the memory or a port in bits 7..0, and bit 8 set if the address is to be
joined (OR) with X. A and C are the accumulator, of 16 bits, and its carry.
"""

from __future__ import annotations

from enum import IntEnum

WORD_BITS = 16
RAM_BITS = 8  # address of the processor's memory, and of ports
TARGET_BITS = 11
INDEXED = 1 << RAM_BITS
OP_LSB = 11


class Op(IntEnum):
    """Operation. M is the word of the memory that is addressed."""

    LD = 0  # A = M
    ADD = 1  # C, A = A + M
    ADC = 2  # C, A = A + M + C
    SUB = 3  # C, A = A - M; C is 1 where A was not below M
    SBC = 4  # C, A = A - M - 1 + C
    CMP = 5  # as SUB, but A stays
    AND = 6
    OR = 7
    XOR = 8
    ST = 9  # M = A
    LDI = 10  # A = bits 7..0
    SHR = 11  # A, C = A / 2, bit lost
    ROR = 12  # as SHR, with C coming in above
    SWAP = 13  # A = its bytes, exchanged
    SETX = 14  # X = A
    IN = 16  # A = port
    OUT = 17  # port = A
    JMP = 24
    JZ = 25  # if A = 0
    JNZ = 26
    JC = 27  # if C
    JNC = 28
    JN = 29  # if bit 15 of A
    CALL = 30  # and keep where to return to: one level
    RET = 31


BRANCH = 0b11000  # set in the operation of branches
PORT = 0b10000  # set in that of IN and OUT, too


class Output(IntEnum):
    """Ports that OUT writes: registers of the units, and what starts them (from `GO` on)."""

    MAR = 0  # word of the memory that is read or copied next
    POINTER = 1  # word of the memory where codes are read, or outputs and copies written
    COUNT = 2  # words, or pixels
    TAP_BASE = 3  # what is added to the place of a pixel in the buffer
    TAP_X = 4  # and to its coordinates
    TAP_Y = 5
    IN_WIDTH = 6
    IN_HEIGHT = 7
    PAD = 8  # stored value of padding
    LIMITS = 9  # lower clamp, and upper in the upper byte
    INDEX = 10  # of the table's next entry
    ENTRY = 11  # next entry of the table: per pixel place, x, y and nothing
    RECORD = 12  # next 16 bits of the requantisers' records
    COPY = 16
    BEATS = 17  # bits: first, maximum, load codes, then the left shift
    DRAIN = 18  # bits: enable of each column's byte, then group of columns
    DONE = 19
    FAIL = 20


GO = 16


class Input(IntEnum):
    """Ports that IN reads."""

    LOW = 0  # of the word at MAR
    HIGH = 1  # and MAR + 1
    STATE = 2  # bit 0: the host has started a program
    CYCLES = 4  # lower half of the count of cycles
    CYCLES_HIGH = 5
