"""Engine parameters: plain data, imported by the gateware and by the compiler alike."""

from __future__ import annotations

import re
import zlib
from dataclasses import asdict, dataclass, replace
from math import gcd
from typing import Any, Literal

from .digits import reach

Arithmetic = Literal["shift", "int8", "int4"]
Pipeline = Literal["deep", "shallow"]
Select = Literal["shifter", "mux"]
INTEGER_BITS = {"int8": 8, "int4": 4}  # of a weight, by arithmetic
MULTIPLIER_TERMS = 4  # signed powers of two per requantiser multiplier (design contract)
MULTIPLIER_SHIFT_MAX = 10  # largest left shift of one multiplier term, in bits
RIGHT_SHIFT_MAX = 47  # largest right shift of the requantiser, in bits
BIAS_BITS = 48  # two's-complement width of a requantiser bias, in bits
PARAMETER_BYTES = 16  # one output channel's requantiser record in the program, in bytes

NOT_IN_FINGERPRINT = {
    "name": "only a name",
    "select": "two circuits for the same selection",
    "requantise_lanes": "outputs per cycle; records and outputs keep their order",
    "burst_beats": "how requests are cut into bursts; which bytes move stays the same",
    "weight_fifo": "how far weights are fetched ahead",
    "max_layers": "layers whose counters are kept; the others run like them",
    "watchdog_bits": "when the engine gives up; a program that ends is not touched",
    "pipeline": "registers on a beat's way",
}
"""Parameters that change nothing of what a program means or computes, and why each does not."""
SEGMENTS = 16  # of a token at most, see `EngineConfig.zero_maps`


def _pow2_ceil(n: int) -> int:
    return 1 << (n - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Every parameter of one engine. Widths that follow from them are properties.

    Parameters
    ----------
    name : str
        Preset or user name, a letter, then letters, digits and underscores; becomes part of the
        Verilog module's name.
    rows : int
        Input channels taken per beat, 1..64.
    cols : int
        Output channels produced in parallel, 1..64.
    act_bits : int
        Bits of one stored activation, 2..8.
    code_bits : int
        Bits of one weight code (B), 2..5. A layer with fewer bits runs unchanged. With integer
        arithmetic 8 or 4, whatever is given, so that `replace` makes integers of any engine; the
        command line refuses another value that is given there.
    max_terms : int
        Largest number of terms per weight (N) a layer may use, 1..4. With integer arithmetic 1,
        whatever is given: a weight is one number, and a layer one pass.
    lane_terms : int
        Terms of a weight that a lane takes at once, 1 or 2, at most ``max_terms``: a layer of N
        terms is ceil(N / lane_terms) passes. With integer arithmetic 1, whatever is given.
    max_fan_in : int
        Largest kernel height x kernel width x input channels of one output; sizes the accumulator.
    hold : int
        Output pixels for which one block of weight codes is held (accumulator depth), 4..4096.
    buffer_words : int
        Depth of the activation buffer in words of ``rows`` activations, a power of two.
    requantise_lanes : int
        Outputs requantised per cycle; must divide rows and cols.
    bus_bits : int
        AXI4 data width, 64 or 128 bits.
    burst_beats : int
        Longest AXI4 burst, in beats, 1..256.
    weight_fifo : int
        Depth of the weight FIFO in bus beats, at least ``burst_beats``.
    max_layers : int
        Layers for which counters are kept.
    window : int
        Neighbouring words read from the activation buffer at once: 1, 2 or 4; more than one makes
        depthwise layers, pooling and layers of few channels faster.
    leaky : bool
        Whether the requantiser can bend its result at the zero point (leaky ReLU).
    watchdog_bits : int
        The engine stops with an error after 2^watchdog_bits cycles in which nothing moves, 6..32.
    pipeline : "deep" | "shallow"
        Registers on a beat's way. "deep" is for a placed FPGA's clock: in the array within each
        column's tree, before its accumulator, and with more than 64 lanes copies of the
        activations for every column and one behind every lane; between a window's memories and
        the array; 7 in the requantiser, 12 with leaky ReLU. "shallow" has one of these in the
        window and 2 in the requantiser, for standard cells at a moderate clock, where clocking
        them takes more than most of what they stand between (decision 019).
    select : "shifter" | "mux"
        Circuit that picks a term: logarithmic shifter per lane, or wide bus and multiplexer.
    arithmetic : "shift" | "int8" | "int4"
        What a weight is: a sum of powers of two, or an integer of 8 or 4 bits. The integer engines
        are what shifts are compared with: the circuit is the same but for the lanes, and what
        follows from their codes and sums: the width of a block and its beats, the widths of adder
        trees and accumulators, and no shifter from term to term, since a layer is one pass.
    codec_bits : int
        Most bits a coded feature map takes per value in memory, 1..7 and fewer than ``act_bits``;
        0 builds no codec. With one, ``cols`` must be a multiple of ``rows``.
    codec_planes : int
        Planes of ``rows`` channels whose tables the codec holds, each way, a power of two.
    zero_maps : bool
        Whether feature maps may be stored without their zeros (zero-value compression). Then
        ``cols`` must be a multiple of ``rows``.
    """

    name: str = "custom"
    rows: int = 8
    cols: int = 8
    act_bits: int = 8
    code_bits: int = 4
    max_terms: int = 3
    lane_terms: int = 1
    max_fan_in: int = 4608
    hold: int = 256
    buffer_words: int = 8192
    requantise_lanes: int = 1
    bus_bits: int = 64
    burst_beats: int = 32
    weight_fifo: int = 64
    max_layers: int = 128
    window: int = 1
    leaky: bool = False
    watchdog_bits: int = 16
    pipeline: Pipeline = "deep"
    select: Select = "shifter"
    arithmetic: Arithmetic = "shift"
    codec_bits: int = 0
    codec_planes: int = 64
    zero_maps: bool = False

    def __post_init__(self) -> None:
        if self.arithmetic != "shift":
            self._follow_arithmetic()
        limits = {
            "rows": (1, 64), "cols": (1, 64), "act_bits": (2, 8),
            "code_bits": (2, 5) if self.arithmetic == "shift" else (4, 8),
            "max_terms": (1, 4), "lane_terms": (1, 2), "max_fan_in": (1, 1 << 20),
            "hold": (4, 4096), "buffer_words": (16, 1 << 16), "requantise_lanes": (1, 16),
            "bus_bits": (64, 128), "burst_beats": (1, 256), "weight_fifo": (2, 1024),
            "max_layers": (1, 1024), "window": (1, 4), "watchdog_bits": (6, 32),
            "codec_bits": (0, 7), "codec_planes": (1, 256),
        }  # fmt: skip
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise ValueError(
                f"name must be a letter, then letters, digits or underscores, not {self.name!r}"
            )
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{field} must be an integer in {low}..{high}, not {value!r}")
        if self.lane_terms > self.max_terms:
            raise ValueError(
                f"lane_terms must be at most max_terms ({self.max_terms}), not {self.lane_terms}"
            )
        if self.bus_bits not in (64, 128):
            raise ValueError(f"bus_bits must be 64 or 128, not {self.bus_bits}")
        if self.window not in (1, 2, 4) or self.rows % self.window:
            raise ValueError(
                f"window must be 1, 2 or 4 and divide rows ({self.rows}), not {self.window}"
            )
        if self.buffer_words & (self.buffer_words - 1):
            raise ValueError(f"buffer_words must be a power of two, not {self.buffer_words}")
        if gcd(self.rows, self.cols) % self.requantise_lanes:
            raise ValueError(
                f"requantise_lanes must divide rows and cols ({self.rows}, {self.cols}), "
                f"not {self.requantise_lanes}"
            )
        if self.weight_fifo < self.burst_beats:
            raise ValueError(
                f"weight_fifo must hold a burst of {self.burst_beats} beats, not {self.weight_fifo}"
            )
        if self.codec_planes & (self.codec_planes - 1):
            raise ValueError(f"codec_planes must be a power of two, not {self.codec_planes}")
        if self.codec_bits >= self.act_bits:
            raise ValueError(
                f"codec_bits must be below act_bits ({self.act_bits}), not {self.codec_bits}"
            )
        if not isinstance(self.zero_maps, bool):
            raise ValueError(f"zero_maps must be true or false, not {self.zero_maps!r}")
        if (self.codec_bits or self.zero_maps) and self.cols % self.rows:
            what = "codec_bits" if self.codec_bits else "zero_maps"
            raise ValueError(
                f"with {what}, cols must be a multiple of rows ({self.rows}), not {self.cols}"
            )
        if self.select not in ("shifter", "mux"):
            raise ValueError(f"select must be 'shifter' or 'mux', not {self.select!r}")
        if self.pipeline not in ("deep", "shallow"):
            raise ValueError(f"pipeline must be 'deep' or 'shallow', not {self.pipeline!r}")

    def _follow_arithmetic(self) -> None:
        """Set what follows from integer arithmetic."""
        bits = INTEGER_BITS.get(self.arithmetic) if isinstance(self.arithmetic, str) else None
        if bits is None:
            known = ", ".join(map(repr, ("shift", *INTEGER_BITS)))
            raise ValueError(f"arithmetic must be one of {known}, not {self.arithmetic!r}")
        if self.select != "shifter":
            raise ValueError(
                f"select {self.select!r} picks powers of two: leave it out with {self.arithmetic}"
            )
        object.__setattr__(self, "code_bits", bits)
        object.__setattr__(self, "max_terms", 1)
        object.__setattr__(self, "lane_terms", 1)

    @property
    def lanes(self) -> int:
        """Weights multiplied per cycle, each by ``lane_terms`` of its terms."""
        return self.rows * self.cols

    @property
    def weight_bits(self) -> int:
        """Bits of one weight in a block: the codes of the terms taken at once."""
        return self.lane_terms * self.code_bits

    def passes(self, terms: int) -> int:
        """Return how often the array goes through a layer of so many terms per weight."""
        return -(-terms // self.lane_terms)

    @property
    def max_passes(self) -> int:
        """Most passes of a layer."""
        return self.passes(self.max_terms)

    @property
    def magnitudes(self) -> int:
        """M, the magnitudes of one codebook; of integers, those of either sign."""
        return (1 << (self.code_bits - 1)) - 1

    @property
    def shift_max(self) -> int:
        """Largest left shift that one code can stand for, in bits."""
        return (self.magnitudes if self.arithmetic == "shift" else self.code_bits - 1) - 1

    def shift_code(self, shift: int) -> int:
        """Return the code that stands for a left shift by 0..``shift_max``; its term is exact."""
        return self.magnitudes - shift if self.arithmetic == "shift" else 1 << shift

    @property
    def term_max(self) -> int:
        """Largest term: what one lane adds at most for one code."""
        factor = 1 << self.shift_max if self.arithmetic == "shift" else reach(self.code_bits)
        return ((1 << self.act_bits) - 1) * factor

    @property
    def term_bits(self) -> int:
        """Width of one unsigned term, in bits."""
        return self.term_max.bit_length()

    @property
    def sum_max(self) -> int:
        """Largest sum of one column's terms in one beat."""
        return self.rows * self.term_max * ((1 << self.lane_terms) - 1)

    @property
    def acc_max(self) -> int:
        """Largest accumulator value any admitted layer can reach."""
        return self.max_fan_in * self.term_max * ((1 << self.max_terms) - 1)

    @property
    def acc_bits(self) -> int:
        """Accumulator width, in bits: unsigned and exact, nothing wraps."""
        return self.acc_max.bit_length()

    @property
    def bus_bytes(self) -> int:
        """Bytes of one bus beat."""
        return self.bus_bits // 8

    @property
    def word_bytes(self) -> int:
        """Bytes one pixel word of ``rows`` activations takes in memory: a power of two."""
        return _pow2_ceil(self.rows)

    @property
    def block_beats(self) -> int:
        """Bus beats of one weight block (rows x cols weights, padded to a whole beat)."""
        return -(-self.lanes * self.weight_bits // self.bus_bits)

    @property
    def parameter_beats(self) -> int:
        """Bus beats of one requantiser record."""
        return PARAMETER_BYTES // self.bus_bytes

    @property
    def fingerprint(self) -> int:
        """32 bits that differ between engines that cannot share a program.

        Of every parameter but those of `NOT_IN_FINGERPRINT`, so that a new one counts until it is
        shown not to matter. What came later counts where it is on: ``zero_maps``, arithmetic other
        than shifts, and lanes of more than one term.
        """
        kept = {n: v for n, v in sorted(asdict(self).items()) if n not in NOT_IN_FINGERPRINT}
        if self.arithmetic == "shift":
            del kept["arithmetic"]
        if self.lane_terms == 1:
            del kept["lane_terms"]
        if not self.zero_maps:
            del kept["zero_maps"]
        return zlib.crc32(repr(kept).encode())

    @property
    def module_name(self) -> str:
        """Name of the emitted Verilog module and file."""
        return f"shiftwork_{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain JSON data."""
        return asdict(self)

    def replace(self, **changes: Any) -> EngineConfig:
        """Return a copy with some parameters changed; checked like a new one."""
        return replace(self, **changes)


PRESETS: dict[str, EngineConfig] = {
    "tiny": EngineConfig(
        name="tiny", rows=4, cols=4, max_fan_in=1152, hold=64, buffer_words=4096, burst_beats=16,
        weight_fifo=16, max_terms=2, max_layers=32,
    ),
    "small": EngineConfig(name="small", rows=8, cols=8, requantise_lanes=2, max_layers=64),
    "base": EngineConfig(
        name="base", rows=16, cols=16, buffer_words=16384, requantise_lanes=8, weight_fifo=128,
        window=4, leaky=True,
    ),
    "asic": EngineConfig(
        name="asic", rows=16, cols=16, buffer_words=16384, requantise_lanes=8, weight_fifo=128,
        window=4, leaky=True, pipeline="shallow",
    ),
    "large": EngineConfig(
        name="large", rows=32, cols=32, buffer_words=16384, requantise_lanes=8, bus_bits=128,
        weight_fifo=256, burst_beats=64, window=4, leaky=True,
    ),
}  # fmt: skip


def preset(name: str) -> EngineConfig:
    """Return a named preset.

    Raises
    ------
    ValueError
        If there is no such preset; the message lists those there are.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"unknown preset {name!r}; choose from {', '.join(PRESETS)}") from None
