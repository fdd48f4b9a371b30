"""The register map: plain data from which the slave, the JSON description and the docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .config import EngineConfig
from .descriptor import VERSION

IDENTITY = 0x53484654  # "SHFT"
MAP_VERSION = 3
ADDR_BITS = 12  # of the AXI4-Lite port: a window of 4 KiB
COUNTERS = (
    ("busy", "cycles in which the engine runs"),
    ("compute", "cycles in which a beat is computed"),
    ("wait_weights", "cycles without a beat for want of weights"),
    ("wait_load", "cycles without a beat for want of a loaded band"),
    ("wait_drain", "cycles without a beat for want of a free accumulator bank"),
    ("read", "bus beats read"),
    ("written", "bus beats written"),
    ("wait_other", "cycles without a beat for any other reason"),
)


class Access(StrEnum):
    """What reads and writes of a field do."""

    RO = "RO"  # writes are ignored
    RW = "RW"
    W1 = "W1"  # writing 1 is an action, reads give 0
    W1C = "W1C"  # writing 1 clears it


@dataclass(frozen=True)
class Field:
    """One field of a register: its lowest bit, width in bits, access and meaning."""

    name: str
    lsb: int
    bits: int
    access: Access
    doc: str
    reset: int = 0  # value of an RW field after reset


@dataclass(frozen=True)
class Register:
    """One 32-bit register: its byte offset and fields."""

    name: str
    offset: int
    fields: tuple[Field, ...]
    doc: str

    def field(self, name: str) -> Field:
        """Return a field by name; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


def _registers() -> tuple[Register, ...]:
    ro, rw, w1, w1c = Access.RO, Access.RW, Access.W1, Access.W1C
    single = [
        Register("ID", 0x00, (Field("id", 0, 32, ro, "0x53484654, SHFT"),), "who this is"),
        Register("VERSION", 0x04, (
            Field("descriptor", 0, 8, ro, "version of the descriptors it takes"),
            Field("map", 8, 8, ro, "version of this register map"),
        ), "what it understands"),
        Register("CONFIG", 0x08, (
            Field("rows", 0, 8, ro, "input channels per beat"),
            Field("cols", 8, 8, ro, "output channels in parallel"),
            Field("code_bits", 16, 4, ro, "bits of a weight code"),
            Field("max_terms", 20, 4, ro, "most terms per weight"),
            Field("act_bits", 24, 4, ro, "bits of an activation"),
            Field("word_bytes_log2", 28, 4, ro, "log2 of the bytes of a pixel word"),
        ), "what it was built for"),
        Register("CONTROL", 0x0C, (
            Field("start", 0, 1, w1, "run the program; ignored while STATUS shows busy or blocked"),
            Field("soft_reset", 1, 1, w1,
                  "end bursts under way, then reset all but registers; STATUS.busy is 1 meanwhile, "
                  "for ever if the memory answers no more"),
            Field("irq_enable", 8, 1, rw, "irq is high while done or error is set"),
        ), "actions; every write sets irq_enable too"),
        Register("STATUS", 0x10, (
            Field("busy", 0, 1, ro, "a program runs, or a soft reset is under way"),
            Field("done", 1, 1, w1c,
                  "the program has ended; cleared by soft reset and by the next start"),
            Field("error", 2, 1, w1c,
                  "the engine has stopped with an error; cleared by soft reset; writing 1 lowers "
                  "irq, but leaves blocked and ERROR"),
            Field("blocked", 3, 1, ro, "the engine has stopped with an error and ignores start "
                  "until a soft reset"),
        ), "state"),
        Register("ERROR", 0x14, (
            Field("code", 0, 8, ro, "why it stopped, 0 for no error"),
            Field("layer", 16, 16, ro, "layer at fault"),
        ), "the error that stopped the engine; cleared by soft reset"),
        Register("PROGRAM", 0x18, (
            Field("address", 0, 32, rw,
                  "byte address of the first descriptor, not to be changed while busy; "
                  "bits below a bus beat are ignored"),
        ), "what to run"),
        Register("LAYER", 0x1C, (Field("layer", 0, 16, rw, "layer that COUNTERn shows"),),
                 "selects the recorded counters"),
    ]  # fmt: skip
    recorded = [
        Register(f"COUNTER{i}", 0x20 + 4 * i, (Field("count", 0, 32, ro, doc),),
                 f"{name}: from start to the end of layer LAYER; without meaning before that "
                 "layer has ended; 0 beyond the layers kept")
        for i, (name, doc) in enumerate(COUNTERS)
    ]  # fmt: skip
    live = [
        Register(f"TOTAL{i}", 0x40 + 4 * i, (Field("count", 0, 32, ro, doc),),
                 f"{name}: from start until now")
        for i, (name, doc) in enumerate(COUNTERS)
    ]  # fmt: skip
    window = [
        Register("BASE", 0x60, (Field("address", 0, 32, rw, "first byte it may touch"),),
                 "start of the memory window; not to be changed while busy"),
        Register("LIMIT", 0x64, (
            Field("address", 0, 32, rw, "last byte it may touch", 0xFFFF_FFFF),
        ), "end of the window: a burst with a byte outside is not issued, and stops the engine"),
        Register("FINGERPRINT", 0x68, (
            Field("crc32", 0, 32, ro, "of the parameters that a program depends on"),
        ), "must equal the word at byte 12 of program.bin, else that was made for another engine"),
    ]  # fmt: skip
    return (*single, *recorded, *live, *window)


REGISTERS: tuple[Register, ...] = _registers()
REGISTER: dict[str, Register] = {register.name: register for register in REGISTERS}


def constants(config: EngineConfig) -> dict[tuple[str, str], int]:
    """Return the values of the fields that never change, by register and field name."""
    return {
        ("ID", "id"): IDENTITY,
        ("VERSION", "descriptor"): VERSION,
        ("VERSION", "map"): MAP_VERSION,
        ("CONFIG", "rows"): config.rows,
        ("CONFIG", "cols"): config.cols,
        ("CONFIG", "code_bits"): config.code_bits,
        ("CONFIG", "max_terms"): config.max_terms,
        ("CONFIG", "act_bits"): config.act_bits,
        ("CONFIG", "word_bytes_log2"): config.word_bytes.bit_length() - 1,
        ("FINGERPRINT", "crc32"): config.fingerprint,
    }


def register_map(config: EngineConfig | None = None) -> list[dict[str, Any]]:
    """Return the register map as plain JSON data, with the constants of an engine if given."""
    fixed = constants(config) if config is not None else {}
    return [
        {
            "name": register.name,
            "offset": register.offset,
            "doc": register.doc,
            "fields": [
                {"name": f.name, "lsb": f.lsb, "bits": f.bits, "access": f.access.value,
                 "reset": fixed.get((register.name, f.name), f.reset), "doc": f.doc}
                for f in register.fields
            ],
        }
        for register in REGISTERS
    ]  # fmt: skip
