"""A board's top: the system between its serial line and its LEDs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import io, wiring

from ..hw.config import EngineConfig
from ..hw.serial.engine import check_config
from .link.uart import Receive, Transmit, divisor_for
from .memory import BUS_BITS
from .system import System

LEDS = ("alive", "running", "finished", "serving", "receiving", "sending", "damaged")
BLINK_S = 0.05  # how long a LED shows a byte


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a top needs to know of a board.

    Attributes
    ----------
    name : str
        As on the command line.
    mark : int
        32 bits the link tells the host: four letters.
    config : EngineConfig
        The engine it gets by default.
    memory_bytes : int
        What programs have, a multiple of 8 KiB of block RAM; for a serial engine, see `serial`.
    clock_hz : float
        What its PLL makes.
    baud : int
        Bits per second on the serial line.
    serial : bool
        The serial engine, which has a memory of its own: programs have what its buffer leaves.
    leds : int
        LEDs that there are, of `LEDS` from the first on.
    """

    name: str
    mark: int
    config: EngineConfig
    memory_bytes: int
    clock_hz: float
    baud: int = 3_000_000
    serial: bool = False
    leds: int = len(LEDS)

    def __post_init__(self) -> None:
        if self.serial:
            check_config(self.config)
        if self.config.bus_bits != BUS_BITS:
            raise ValueError(
                f"a board's engine needs bus_bits {BUS_BITS}, not {self.config.bus_bits}"
            )

    @property
    def divisor(self) -> int:
        """Clock cycles per bit of the serial line."""
        return divisor_for(self.clock_hz, self.baud)


class Top(Elaboratable):
    """The system on a board's resources: ``uart``, and as many of ``led`` as there are.

    LEDs, from 0 on: blinking while there is a clock; the engine runs; it is done or has failed;
    a request is being carried out; bytes come; bytes go; the last frame was damaged.

    Parameters
    ----------
    board : Board
    divisor : int, optional
        Clock cycles per bit of the serial line instead of the board's.
    """

    def __init__(self, board: Board, divisor: int | None = None) -> None:
        self.board = board
        self.divisor = divisor or board.divisor

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        m.submodules.system = system = System(
            board.config, board.memory_bytes, round(board.clock_hz), board.mark,
            serial=board.serial,
        )  # fmt: skip
        m.submodules.receive = receive = Receive(self.divisor)
        m.submodules.transmit = transmit = Transmit(self.divisor)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        wiring.connect(m, receive.o, system.i)
        wiring.connect(m, system.o, transmit.i)
        m.d.comb += [receive.line.eq(rx.i), tx.o.eq(transmit.line)]

        count = Signal(range(round(board.clock_hz)))
        m.d.sync += count.eq(count + 1)
        shown = [
            count[-1], system.running, system.finished, system.serving,
            self._blink(m, receive.o.valid), self._blink(m, transmit.i.valid), system.damaged,
        ]  # fmt: skip
        for number, state in enumerate(shown[: board.leds]):
            led = io.Buffer(io.Direction.Output, platform.request("led", number, dir="-"))
            m.submodules[f"led{number}"] = led
            m.d.comb += led.o.eq(state)
        return m

    def _blink(self, m: Module, event: Any) -> Any:
        """Return a signal that stays high for a while after each event."""
        left = Signal(range(round(self.board.clock_hz * BLINK_S)))
        with m.If(event):
            m.d.sync += left.eq(~0)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return left != 0
