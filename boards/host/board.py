"""Programs on a board: load one, classify with it, read its counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...hw.registers import COUNTERS, IDENTITY, REGISTER
from ...model.network import Network
from ...model.program import Place, Program, round_up
from ..link.protocol import WORD_BYTES
from .line import PATIENCE_S, Info, Link, LinkError

BAUD = 3_000_000
WAIT_UNITS = 16  # of 1024 cycles in one WAIT, so that its answer never takes long
SOFT_RESET = 0b10
FINGERPRINT_AT = 12  # byte of a program's image
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Result:
    """One picture on the board.

    Attributes
    ----------
    outputs : dict of str to ndarray uint8 (C, H, W)
        The network's outputs as they are stored.
    counters : dict of str to int
        The engine's totals by name; ``busy`` are the cycles it ran, and all there is of an
        engine that counts nothing else.
    seconds : float
        From sending the picture to its outputs being here.
    engine_seconds : float
        The engine's cycles at the board's clock.
    """

    outputs: dict[str, np.ndarray]
    counters: dict[str, int]
    seconds: float
    engine_seconds: float

    @property
    def cycles(self) -> int:
        """Cycles the engine ran."""
        return self.counters["busy"]


def _field(register: str, name: str) -> int:
    return 1 << REGISTER[register].field(name).lsb


class Board:
    """A board that runs a network.

    Parameters
    ----------
    link : Link
        On an open port.

    Attributes
    ----------
    info : Info
        Memory, clock and mark of the board.

    Raises
    ------
    LinkError
        If no board answers.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.info: Info = link.hello()
        if self._read("ID") != IDENTITY:
            raise LinkError("there is no Shiftwork engine behind the board's link")
        self._program: Program | None = None
        self._network: Network | None = None

    @classmethod
    def open(cls, port: str, baud: int = BAUD, *, patience_s: float = PATIENCE_S) -> Board:
        """Return the board on a serial port.

        Raises
        ------
        LinkError
            If the port cannot be opened or no board answers.
        """
        import serial

        try:
            line: Any = serial.Serial(port, baud, timeout=0)
        except (serial.SerialException, ValueError, OSError) as error:
            raise LinkError(f"{port}: cannot open it ({error})") from None
        return cls(Link(line, patience_s=patience_s))

    def close(self) -> None:
        """Close the port."""
        close: Any = getattr(self.link.port, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Board:
        """Return the board."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the port."""
        self.close()

    def _read(self, register: str) -> int:
        return self.link.read_register(REGISTER[register].offset)

    def _write(self, register: str, value: int) -> None:
        self.link.write_register(REGISTER[register].offset, value)

    def reset(self) -> None:
        """Stop the engine and wait until it is idle.

        Raises
        ------
        LinkError
            If it stays busy.
        """
        self._write("CONTROL", SOFT_RESET)
        for _ in range(100):
            if not self._read("STATUS") & _field("STATUS", "busy"):
                return
        raise LinkError("the engine stays busy after a soft reset: load the bitstream again")

    def load(self, program: Program, network: Network, report: Report | None = None) -> None:
        """Write a program to the board.

        Parameters
        ----------
        program : Program
            Compiled for the board's engine, from byte 0 on.
        network : Network
            What it was compiled from.
        report : callable, optional
            Called with the bytes written and all there are.

        Raises
        ------
        ValueError
            If it is for another engine, or too large for the memory.
        """
        image = program.image
        wanted = int.from_bytes(image[FINGERPRINT_AT : FINGERPRINT_AT + 4], "little")
        found = self._read("FINGERPRINT")
        if wanted != found:
            raise ValueError(
                f"the program is for another engine: fingerprint {wanted:#010x}, "
                f"the board's has {found:#010x}"
            )
        if program.base or program.size > self.info.memory_bytes:
            raise ValueError(
                f"network {network.name!r} needs {program.base + program.size:,} bytes, the "
                f"board has {self.info.memory_bytes:,}: fewer terms per weight (-N) need less"
            )
        self.reset()
        step = 4096
        padded = image.ljust(round_up(len(image), WORD_BYTES), b"\0")
        for at in range(0, len(padded), step):
            self.link.write(at, padded[at : at + step])
            if report:
                report(min(at + step, len(image)), len(image))
        self._write("BASE", 0)
        self._write("LIMIT", self.info.memory_bytes - 1)
        self._write("PROGRAM", program.first_descriptor)
        self._program, self._network = program, network

    def run(self, x: np.ndarray, *, counters: bool = True) -> Result:
        """Run the loaded network on one input.

        Parameters
        ----------
        x : ndarray uint8 (C, H, W)
            Stored values of the network's input.
        counters : bool
            Read the counters, too: eight more requests; otherwise only the cycles.

        Raises
        ------
        ValueError
            If nothing is loaded, or the shape is not the input's.
        LinkError
            If the engine stops with an error, which it then is reset from.
        """
        if self._program is None or self._network is None:
            raise ValueError("no program is loaded: call load first")
        program, network = self._program, self._network
        place = program.places[network.input]
        shape = (len(place.slots), place.height, place.width)
        if tuple(x.shape) != shape:
            raise ValueError(f"the input must be {shape}, not {tuple(x.shape)}")
        begun = time.monotonic()
        for address, group, data in input_writes(place, np.asarray(x, np.uint8)):
            self.link.write(address, data, group)
        self.link.start()
        while True:
            status = self.link.wait(WAIT_UNITS)
            if status & _field("STATUS", "error"):
                self._fail()
            if status & _field("STATUS", "done"):
                break
        outputs = {
            name: self._tensor(program.places[name])
            for name in network.outputs
            if name in program.kept
        }
        seconds = time.monotonic() - begun
        names = [name for name, _ in COUNTERS][: None if counters else 1]
        totals = {name: self._read(f"TOTAL{i}") for i, name in enumerate(names)}
        if not any(total for name, total in totals.items() if name != "busy"):
            totals = {"busy": totals["busy"]}  # the serial engine's others are not counted: 0
        return Result(outputs, totals, seconds, totals["busy"] / self.info.clock_hz)

    def _fail(self) -> None:
        error = self._read("ERROR")
        code = error & 0xFF
        layer = error >> REGISTER["ERROR"].field("layer").lsb
        self.reset()
        raise LinkError(f"the engine stopped with error {code} in layer {layer}")

    def _tensor(self, place: Place) -> np.ndarray:
        offsets = place.offsets()
        first = int(offsets.min()) // WORD_BYTES * WORD_BYTES
        size = round_up(int(offsets.max()) + 1 - first, WORD_BYTES)
        data = np.frombuffer(self.link.read(first, size), np.uint8)
        return data[offsets - first]


def input_writes(place: Place, x: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """Return the writes that store a tensor: address, bytes per memory word, data.

    Where a pixel is one word of memory only the lanes with channels go over the line.
    """
    channels = x.reshape(len(place.slots), -1)
    for plane in range(place.planes):
        mine = np.flatnonzero(place.slots // place.rows == plane)
        if not len(mine):
            continue
        lanes = place.slots[mine] % place.rows
        packed = place.word_bytes == WORD_BYTES
        width = int(lanes.max()) + 1 if packed else place.word_bytes
        pixels = np.zeros((channels.shape[1], width), np.uint8)
        pixels[:, lanes] = channels[mine].T
        data = pixels.tobytes()
        address = place.address + plane * place.plane_stride
        if packed:
            yield address, width, data
        else:
            yield address, WORD_BYTES, data.ljust(round_up(len(data), WORD_BYTES), b"\0")
