"""The serial engine: one processor, four lanes, one memory; the programs of the pipelined one."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ..axilite import axilite_members
from ..config import EngineConfig
from ..wires import join
from .core import SerialCore, core_members
from .ports import memory_members
from .slave import Slave

__all__ = ["SerialEngine", "check_config"]


def check_config(config: EngineConfig) -> None:
    """Check that the serial engine can be built for a config.

    Raises
    ------
    ValueError
        Naming the parameter, its value and what it must be.
    """
    wanted = {
        "rows": 4, "cols": 4, "act_bits": 8, "code_bits": 4, "bus_bits": 64, "window": 1,
        "leaky": False, "codec_bits": 0, "zero_maps": False, "select": "shifter",
        "arithmetic": "shift", "lane_terms": 1, "pipeline": "deep",
    }  # fmt: skip
    for name, value in wanted.items():
        found = getattr(config, name)
        if found != value:
            raise ValueError(f"{name} of a serial engine must be {value!r}, not {found!r}")
    if config.hold > 64:
        raise ValueError(f"hold of a serial engine must be at most 64, not {config.hold}")
    if config.buffer_words > 4096:
        raise ValueError(
            f"buffer_words of a serial engine must be at most 4096, not {config.buffer_words}"
        )


class SerialEngine(wiring.Component):
    """Run compiled programs one step after the other, from a memory of 128 KiB.

    The last ``buffer_words`` words of the memory are the activation buffer, so a program has the
    rest. A band is copied there, then four lanes compute its tiles, column after column, and a
    serial requantiser writes what they summed. Registers, programs, results and error codes are
    those of `hw.engine`; of its counters only the cycles are counted, and TOTAL0 shows them from
    the end of a program on. Latency, and how the parts follow each other: `microcode`.

    Parameters
    ----------
    config : EngineConfig
        As `check_config` wants it.

    Members
    -------
    s_axil_*                AXI4-Lite slave with the registers of `hw.registers`
    irq : Out(1)            done or failed, where enabled
    mem_*                   `ports.memory_members`
    """

    irq: Signal

    def __init__(self, config: EngineConfig) -> None:
        check_config(config)
        self.config = config
        super().__init__({**axilite_members(), "irq": Out(1), **memory_members()})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.slave = slave = Slave(self.config)
        core: Any = SerialCore(self.config)
        m.submodules.core = ResetInserter(slave.soft_reset)(core)
        join(m, axilite_members(), slave, self)
        join(m, memory_members(), core, self)
        join(m, core_members(), core, slave)
        m.d.comb += self.irq.eq(slave.irq)
        return m
