"""What a fuzzer's networks and memories have in them, by name, so that gaps are seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..hw.config import EngineConfig
from ..model.integers import IntegerBook
from ..model.network import (
    Add,
    AveragePool,
    Concat,
    Conv,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    TensorInfo,
    Upsample,
)
from ..model.program import Program
from .scoreboard import Latency

INTEGERS = "integer weights"
Sees = Callable[[Layer, Network], bool]


def _source(layer: Layer, network: Network) -> TensorInfo:
    return network.tensors[layer.inputs[0]]


def _target(layer: Layer, network: Network) -> TensorInfo:
    return network.tensors[layer.output]


def _of_conv(test: Callable[[Conv], bool]) -> Sees:
    return lambda layer, _: isinstance(layer, Conv) and test(layer)


def _depthwise(conv: Conv) -> bool:
    return conv.groups > 1 and conv.weights.shape[1] == 1 == conv.weights.shape[0] // conv.groups


def _later_padding(padding: tuple[int, int, int, int]) -> bool:
    """Whether more is padded at the bottom or on the right: ceil mode."""
    top, left, bottom, right = padding
    return bottom > top or right > left


def _clamped(layer: Layer, network: Network) -> bool:
    rq = getattr(layer, "requantiser", None)
    return rq is not None and (rq.lo > 0 or rq.hi < _target(layer, network).top)


LAYERS: dict[str, Sees] = {
    "convolution": _of_conv(lambda conv: conv.groups == 1),
    "depthwise": _of_conv(_depthwise),
    "groups": _of_conv(lambda conv: conv.groups > 1 and not _depthwise(conv)),
    "fully connected": lambda layer, network: (
        isinstance(layer, Conv) and _source(layer, network).shape[1:] == (1, 1)
    ),
    "max pool": lambda layer, _: isinstance(layer, MaxPool),
    "average pool": lambda layer, _: isinstance(layer, AveragePool),
    "global average pool": lambda layer, _: isinstance(layer, GlobalAveragePool),
    "pool, ceil mode": lambda layer, _: (
        isinstance(layer, MaxPool | AveragePool) and _later_padding(layer.padding)
    ),
    "add": lambda layer, _: isinstance(layer, Add),
    "add of two scales": lambda layer, _: isinstance(layer, Add) and any(layer.shifts),
    "concatenation": lambda layer, _: isinstance(layer, Concat),
    "upsample x2": lambda layer, _: isinstance(layer, Upsample),
    "kernel not square": _of_conv(lambda conv: conv.kernel[0] != conv.kernel[1]),
    "kernel 5, 6": _of_conv(lambda conv: max(conv.kernel) in (5, 6)),
    "kernel 7": _of_conv(lambda conv: max(conv.kernel) == 7),
    "stride 2": _of_conv(lambda conv: max(conv.stride) == 2),
    "stride 3": _of_conv(lambda conv: max(conv.stride) == 3),
    "stride 4": _of_conv(lambda conv: max(conv.stride) == 4),
    "strides differ": _of_conv(lambda conv: conv.stride[0] != conv.stride[1]),
    "padding not symmetric": _of_conv(lambda conv: conv.padding[:2] != conv.padding[2:]),
    "dilation 2": _of_conv(lambda conv: max(conv.dilation) == 2),
    "N = 1": _of_conv(lambda conv: conv.weights.codebook.terms == 1),
    "N = 2": _of_conv(lambda conv: conv.weights.codebook.terms == 2),
    "N = 3": _of_conv(lambda conv: conv.weights.codebook.terms == 3),
    "N = 4": _of_conv(lambda conv: conv.weights.codebook.terms == 4),
    "B = 2": _of_conv(lambda conv: conv.weights.codebook.bits == 2),
    "B = 3": _of_conv(lambda conv: conv.weights.codebook.bits == 3),
    "B = 4": _of_conv(lambda conv: conv.weights.codebook.bits == 4),
    "B = 5": _of_conv(lambda conv: conv.weights.codebook.bits == 5),
    INTEGERS: _of_conv(lambda conv: isinstance(conv.weights.codebook, IntegerBook)),
    "leaky ReLU": _of_conv(lambda conv: bool(conv.requantiser.slope)),
    "clamped (ReLU6)": _clamped,
    "signed input": lambda layer, network: _source(layer, network).zero_point > 0,
    "unsigned input": lambda layer, network: _source(layer, network).zero_point == 0,
    "signed output": lambda layer, network: _target(layer, network).zero_point > 0,
    "unsigned output": lambda layer, network: _target(layer, network).zero_point == 0,
}  # fmt: skip
NETWORK = "branch"
MEMORY: dict[str, Callable[[Latency], bool]] = {
    "memory as fast as can be": lambda latency: latency == Latency(),
    "random latency": lambda latency: latency.random > 0,
    "back-pressure": lambda latency: latency.stall > 0,
}
NARROW, CODED, ZEROS = "bits differ", "coded maps", "maps without zeros"
FEATURES = (*LAYERS, NETWORK, NARROW, CODED, ZEROS, *MEMORY)
BANDS, LARGE, EMPTY = "several bands", "input beyond the buffer", "band without input"
PROGRAM = (BANDS, LARGE, EMPTY)


def features(network: Network, latency: Latency) -> frozenset[str]:
    """Return the names of `FEATURES` that a network and its memory have."""
    readers = Counter(name for layer in network.layers for name in layer.inputs)
    found = {
        name for name, sees in LAYERS.items()
        if any(sees(layer, network) for layer in network.layers)
    }  # fmt: skip
    if max(readers.values()) > 1:
        found.add(NETWORK)
    if len({info.bits for info in network.tensors.values()}) > 1:
        found.add(NARROW)
    if network.codes:
        found.add(CODED)
    if network.zeros:
        found.add(ZEROS)
    return frozenset(found | {name for name, sees in MEMORY.items() if sees(latency)})


def program_features(program: Program, config: EngineConfig) -> frozenset[str]:
    """Return the names of `PROGRAM` that a program has on its engine."""
    found: set[str] = set()
    words: Counter[int] = Counter()
    loads = False
    for fields in program.descriptors():
        load = fields["load_words"] * fields["load_planes"] * fields["load_groups"]
        words[fields["layer"]] += load
        loads = loads or not load
    if any(plan.descriptors > 1 for plan in program.layers):
        found.add(BANDS)
    if max(words.values()) > config.buffer_words:
        found.add(LARGE)
    return frozenset(found | ({EMPTY} if loads else set()))


def impossible(config: EngineConfig) -> frozenset[str]:
    """Return the names of `FEATURES` that an engine cannot have."""
    found = {f"N = {terms}" for terms in (2, 3, 4) if terms > config.max_terms}
    found |= {f"B = {bits}" for bits in (3, 4, 5) if bits > config.code_bits}
    if config.arithmetic == "shift":
        found.add(INTEGERS)
    if not config.leaky:
        found.add("leaky ReLU")
    if not config.codec_bits:
        found.add(CODED)
    if not config.zero_maps:
        found.add(ZEROS)
    return frozenset(found)


def coverage(seen: Iterable[frozenset[str]], *engines: EngineConfig) -> dict[str, int]:
    """Return how many networks had each feature that one of the engines can have, in order."""
    counts = Counter(name for some in seen for name in some)
    never = frozenset.intersection(*map(impossible, engines))
    return {name: counts[name] for name in (*FEATURES, *PROGRAM) if name not in never}
