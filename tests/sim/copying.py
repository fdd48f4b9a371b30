"""A program for copy_engine.v with the compiler's interface: one layer that flips bits."""

import atexit
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from shiftwork.hw.config import EngineConfig
from shiftwork.sim.host import identity, offset

_ENGINE = Path(__file__).parent / "verilog" / "copy_engine.v"
CONFIG = EngineConfig(name="copy", rows=8, cols=8)
WIDE = CONFIG.replace(bus_bits=128)
MODULE = "copy_engine"
WORD = 8  # bytes of a pixel word
SOURCE = 256


@cache
def stand_in(config: EngineConfig) -> tuple[Path, Path]:
    """Return the sources of copy_engine.v with the identity of an engine."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    lines = [
        f"`define REG_{name} 12'h{offset(name):x}\n`define IDENTITY_{name} 32'h{value:x}\n"
        for name, value in identity(config).items()
    ]
    header = Path(folder.name) / "identity.v"
    header.write_text("".join(lines))
    return header, _ENGINE


@dataclass
class Layer:
    name: str = "copy1"
    macs: int = 0
    passes: int = 1
    ideal_cycles: int = 0
    index: int = 0
    output: str = "y"


class CopyProgram:
    """y = x xor 5A for x of `channels` <= 8 channels: one plane of pixel words."""

    def __init__(self, channels=8, height=8, width=16, flaw=0, beat=0, bus_bytes=8, tail=64):
        self.base = 0
        self.shape = (channels, height, width)
        self.bytes = height * width * WORD
        self.target = SOURCE + self.bytes + 256  # bursts must not cross 4 KiB
        self.size = self.target + self.bytes + tail
        self.first_descriptor = 64
        beats = self.bytes // bus_bytes
        words = np.array([SOURCE, self.target, beats, flaw, beat, 0, 0, 0], "<u4")
        self.image = bytes(64) + words.tobytes()
        self.places = {"x": SOURCE, "y": self.target}
        self.layers = [Layer(ideal_cycles=beats)]

    def _pixels(self, memory, name):
        channels, height, width = self.shape
        view = memory[self.places[name] :][: self.bytes].reshape(height, width, WORD)
        return view[:, :, : channels if name == "x" else WORD]

    def write_tensor(self, memory, name, x):
        self._pixels(memory, name)[:] = x.transpose(1, 2, 0)

    def read_tensor(self, memory, name):
        return self._pixels(memory, name).transpose(2, 0, 1).copy()

    def mask_tensor(self, mask, name, x=None):
        self._pixels(mask, name)[:] = 0xFF

    def locate(self, address):
        offset = address - self.target
        if not 0 <= offset < self.bytes:
            return None
        pixel, channel = divmod(offset, WORD)
        return ("copy1", "y", channel, *divmod(pixel, self.shape[2]))

    def example(self, seed=0):
        """Return inputs and expected tensors."""
        x = np.random.default_rng(seed).integers(0, 256, self.shape, dtype=np.uint8)
        return {"x": x}, {"y": x ^ 0x5A}
