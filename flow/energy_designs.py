"""Engines whose energy per picture is compared, and what may be changed of their memories."""

from __future__ import annotations

from dataclasses import dataclass

from ..hw.config import Arithmetic, EngineConfig

INT8 = ("int8_booth", "int8_magnitude")  # the one that takes less is the baseline
KEPT = 32 << 10  # bytes of weights on chip that no engine has yet
Weights = tuple[Arithmetic, int | str, int]  # arithmetic, N or who says it by layer, bits


@dataclass(frozen=True)
class Design:
    """An engine: its arithmetic and lanes, and the weights of the networks it runs.

    Attributes
    ----------
    title : str
    circuits : tuple of str
        Circuits of the array; the one of least energy is taken.
    bits : int
        Bits per code, or per integer.
    terms : int or None
        N; None: as many as the layer has terms in ``variant``.
    variant : str
        Row of ``accuracy.json`` whose accuracy stands beside it, "" for none.
    rounded : bool
        Whether only weights rounded for accuracy tell its energy: greedily rounded ones have far
        fewer terms.
    arithmetic : "shift", "int8" or "int4"
    lane_terms : int
        Terms that a lane takes at once; where it is 2, no layer has more.
    """

    title: str
    circuits: tuple[str, ...]
    bits: int
    terms: int | None
    variant: str
    rounded: bool = False
    arithmetic: Arithmetic = "shift"
    lane_terms: int = 1

    @property
    def weights(self) -> Weights:
        """What its networks' weights are: arithmetic, N or the variant that mixes it, and bits."""
        return self.arithmetic, self.variant if self.terms is None else self.terms, self.bits

    def engine(self, config: EngineConfig) -> EngineConfig:
        """Return the engine that its programs are compiled for, all else as in ``config``."""
        if self.arithmetic != "shift":
            return config.replace(arithmetic=self.arithmetic)
        most = config.max_terms if self.lane_terms == 1 else self.lane_terms
        return config.replace(code_bits=self.bits, lane_terms=self.lane_terms, max_terms=most)


_B3 = "N=2, B=3, compensated"
DESIGNS = (
    Design("int8", INT8, 8, 1, "int8, nearest", arithmetic="int8"),
    Design("int4", ("int4_magnitude", "int4_booth"), 4, 1, "int4, compensated", arithmetic="int4"),
    Design("N=1", ("n1",), 4, 1, "N=1, B=4, compensated"),
    Design("mixed 1.25", ("n1",), 4, None, "mixed 1.25, B=4, compensated"),
    Design("mixed 1.5", ("n1",), 4, None, "mixed 1.5, B=4, compensated"),
    Design("N=2, one-term", ("n1",), 4, 2, "N=2, B=4, compensated"),
    Design("N=2, two-term", ("n2",), 4, 2, "N=2, B=4, compensated", lane_terms=2),
    Design("mixed by cycles", ("n1",), 4, None, "mixed, 1.1 x the cycles, B=4, compensated"),
    Design("N=2, B=3, two-term", ("n2_b3",), 3, 2, _B3, True, lane_terms=2),
    Design(
        "N=2, B=3, few terms", ("n2_b3_priced",), 3, 2, f"{_B3}, price 0.02", True, lane_terms=2
    ),
)
LEVERED = ("int8", "int4", "N=1", "mixed by cycles", "N=2, B=3, few terms")


@dataclass(frozen=True)
class Lever:
    """What is changed of an engine's memories, for every arithmetic alike.

    Attributes
    ----------
    title : str
    halved : bool
        Half the accumulators and half the activation buffer.
    zeros : bool
        Feature maps without zeros.
    kept : bool
        A memory of ``KEPT`` bytes for weights, which no engine has yet.
    """

    title: str
    halved: bool = False
    zeros: bool = False
    kept: bool = False

    def engine(self, config: EngineConfig) -> EngineConfig:
        """Return the engine with it."""
        if self.halved:
            config = config.replace(hold=config.hold // 2, buffer_words=config.buffer_words // 2)
        return config.replace(zero_maps=True) if self.zeros else config


LEVERS = (
    Lever("as it is"),
    Lever("maps without zeros", zeros=True),
    Lever("half the memories", halved=True),
    Lever("both", halved=True, zeros=True),
    Lever("both, weights kept", halved=True, zeros=True, kept=True),
)
