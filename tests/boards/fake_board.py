"""A board in plain Python at the other end of a noisy line, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from shiftwork.boards.link.model import Model, Registers
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.registers import REGISTER, constants
from shiftwork.model import golden
from shiftwork.model.network import Network
from shiftwork.model.program import Program

MEMORY_WORDS = 1 << 14


class Line:
    """What `serial.Serial` offers, with a board behind it.

    Parameters
    ----------
    model : Model
    damage : float
        Probability that a byte is damaged, either way.
    byte_s : float
        Seconds a byte takes.
    """

    def __init__(self, model: Model, *, damage: float = 0.0, seed: int = 1, byte_s: float = 4e-6):
        self.model = model
        self.damage = damage
        self.rng = Random(seed)
        self.byte_s = byte_s
        self.timeout: float | None = 0.0
        self.now = 0.0
        self.silent = False
        self._answers = b""

    def clock(self) -> float:
        return self.now

    def _noise(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            kind = self.rng.random() / self.damage if self.damage else 2.0
            if kind >= 1:
                out.append(byte)
            elif kind < 0.6:
                out.append(byte ^ 1 << self.rng.randrange(8))
            elif kind < 0.8:
                out.append(self.rng.randrange(256))
        return bytes(out)

    @property
    def in_waiting(self) -> int:
        return len(self._answers)

    def read(self, size: int = 1) -> bytes:
        found, self._answers = self._answers[:size], self._answers[size:]
        self.now += len(found) * self.byte_s if found else self.timeout or 0.0
        return found

    def write(self, data: bytes) -> int:
        self.now += len(data) * self.byte_s
        # Like the gateware: what comes after a frame's end is dropped until it is answered.
        for byte in self._noise(data):
            if self.silent:
                break
            for reply in self.model.feed([byte]):
                self._answers += self._noise(reply.encode())
        return len(data)


class Engine(Registers):
    """Registers behind which the golden model runs a network at once."""

    def __init__(self, config: EngineConfig, program: Program, network: Network) -> None:
        super().__init__()
        for (register, field), value in constants(config).items():
            at = REGISTER[register]
            self.values[at.offset] = self.values.get(at.offset, 0) | value << at.field(field).lsb
        self.program, self.network = program, network
        self.memory: bytearray | None = None
        self.runs = 0
        self.fault: Callable[[], int] | None = None

    def write(self, address: int, value: int) -> bool:
        if address == REGISTER["CONTROL"].offset:
            if value & 2:
                self.values[REGISTER["STATUS"].offset] = 0
            if value & 1:
                self._run()
            return True
        return super().write(address, value)

    def _run(self) -> None:
        assert self.memory is not None
        self.runs += 1
        if self.fault is not None:
            self.values[REGISTER["ERROR"].offset] = self.fault()
            self.values[REGISTER["STATUS"].offset] = 0b1100
            return
        memory = np.frombuffer(self.memory, np.uint8).copy()
        assert bytes(memory[: len(self.program.image)]) == self.program.image
        import torch

        x = self.program.read_tensor(memory, self.network.input)
        stored = golden.run(self.network, torch.from_numpy(x.copy())[None])
        for name in self.network.outputs:
            self.program.write_tensor(memory, name, stored[name][0].numpy())
        self.memory[:] = memory.tobytes()
        # As on the engine: the input's memory is used again.
        self.values[REGISTER["STATUS"].offset] = 0b0010
        self.values[REGISTER["TOTAL0"].offset] = 1234


def fake_board(config: EngineConfig, program: Program, network: Network) -> tuple[Model, Engine]:
    """Return a board that runs one program, and its engine."""
    engine = Engine(config, program, network)
    model = Model(MEMORY_WORDS, 50_000_000, 0x31323334, engine)
    engine.memory = model.memory
    return model, engine
