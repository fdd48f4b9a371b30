"""The serial engine in Verilator: programs in, memories out."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shiftwork.flow.emit import emit_component
from shiftwork.flow.verilate import verilate
from shiftwork.hw.config import EngineConfig
from shiftwork.hw.serial.engine import SerialEngine
from shiftwork.model.program import Program

MEMORY_BYTES = 128 << 10
MODULE = "shiftwork_serial"
MAIN = Path(__file__).parent / "bench.cpp"
BUSY, DONE, ERROR, BLOCKED = 1, 2, 4, 8
Bytes = Any


@dataclass(frozen=True)
class Run:
    """What became of a program."""

    memory: Bytes
    ended: bool
    status: int
    error: int
    layer: int
    total: int  # cycles by the engine's counter
    cycles: int
    writes: int
    after: int  # STATUS in the end


class SerialBench:
    """An engine that programs are run on, one after the other; of a simulation, if given."""

    def __init__(self, config: EngineConfig, program: Path | None = None) -> None:
        self._program = program or self._build(config)
        self.program_bytes = MEMORY_BYTES - 4 * config.buffer_words

    @staticmethod
    def _build(config: EngineConfig) -> Path:
        with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder:
            emitted = emit_component(SerialEngine(config), MODULE, Path(folder))
            return verilate(emitted.verilog, MODULE, MAIN, "serial")

    def __enter__(self) -> SerialBench:
        self._process: Any = subprocess.Popen(
            [str(self._program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._folder = tempfile.TemporaryDirectory(prefix="shiftwork-")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self, memory: Bytes, first: int, *, base: int = 0, limit: int | None = None,
        most: int = 20_000_000, reset: int = 0,
    ) -> Run:  # fmt: skip
        """Run a program in a memory, uint8 (bytes,), from its first descriptor on."""
        image, result = (Path(self._folder.name) / name for name in ("image", "result"))
        full = np.zeros(MEMORY_BYTES, np.uint8)
        full[: len(memory)] = memory
        image.write_bytes(full.tobytes())
        limit = self.program_bytes - 1 if limit is None else limit
        self._process.stdin.write(f"run {image} {result} {first} {base} {limit} {most} {reset}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the bench has stopped"
        told = json.loads(line)
        told["layer"], told["error"] = told["error"] >> 16, told["error"] & 0xFF
        return Run(np.frombuffer(result.read_bytes(), np.uint8), **told)

    def run_program(self, program: Program, tensors: dict[str, Any], **more: Any) -> Run:
        """Run a compiled program on stored inputs, uint8 (C, H, W)."""
        memory = np.full(program.base + program.size, 0xA5, np.uint8)
        memory[program.base : program.base + len(program.image)] = np.frombuffer(
            program.image, np.uint8
        )
        for name, value in tensors.items():
            program.write_tensor(memory[program.base :], name, value)
        return self.run(memory, program.first_descriptor, **more)
