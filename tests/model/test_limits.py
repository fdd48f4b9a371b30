"""Networks that an engine cannot run: one line with the layer, the value, the limit, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from shiftwork.hw.config import BIAS_BITS, EngineConfig, preset
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from tests.networks import NetworkBuilder

Shape = tuple[int, int, int]
SMALL: Shape = (4, 6, 6)
BIG = {"buffer_words": 1 << 16, "max_fan_in": 1 << 20}
SMALLER = "use a smaller picture or a lower base"


def conv(
    shape: Shape = SMALL, channels: int = 4, integers: int | None = None, **options: Any
) -> Network:
    """A single convolution named conv0."""
    builder = NetworkBuilder(1, *shape, integers=integers)
    builder.conv(channels, **options)
    return builder.build()


def drawn(draw: Callable[[NetworkBuilder], object], shape: Shape = SMALL) -> Network:
    builder = NetworkBuilder(1, *shape)
    draw(builder)
    return builder.build()


@pytest.mark.parametrize(
    ("network", "changes", "layer", "message"),
    [
        (conv(terms=3), {"max_terms": 2}, "conv0",
         "terms per weight must be at most 2 on {e}, not 3: raise max_terms or use fewer"),
        (conv(bits=4), {"code_bits": 3}, "conv0",
         "code bits must be at most 3 on {e}, not 4: raise code_bits or use fewer"),
        (conv(integers=8), {}, "conv0",
         ("{e} of shift arithmetic cannot multiply by integers of 8 bits: convert the network with "
         "arithmetic 'shift'")),
        (conv(integers=8, kernel=(6, 6)), {"arithmetic": "int4"}, "conv0",
         ("weights must be integers of at most 7 on {e} of int4 arithmetic, in one pass, not 127: "
         "convert the network with arithmetic 'int4'")),
        (conv(terms=2, kernel=(6, 6)), {"arithmetic": "int8"}, "conv0",
         ("weights must be integers of at most 127 on {e} of int8 arithmetic, in one pass, not "
         "192: convert the network with arithmetic 'int8'")),
        (conv(), {"act_bits": 7}, "conv0",
         "activations must have at most 7 bits on {e}, not 8: raise act_bits or use fewer"),
        (conv(kernel=(3, 3)), {"max_fan_in": 35}, "conv0",
         "fan-in must be at most 35 on {e}, not 36: raise max_fan_in or use more groups"),
        (conv(slope=0.1), {}, "conv0", "{e} has no leaky ReLU; set leaky"),
        (conv((1, 300, 3), kernel=(300, 1)), {}, "conv0",
         "kernel rows must be at most 255 on {e}, not 300: split the layer"),
        (conv((1, 2, 260), kernel=(1, 256)), {}, "conv0",
         "kernel columns must be at most 255 on {e}, not 256: split the layer"),
        (conv(stride=(1, 16)), {}, "conv0",
         "stride must be at most 15 on {e}, not 16: use a smaller one, then another layer"),
        (conv(dilation=(16, 1)), {}, "conv0",
         "dilation must be at most 15 on {e}, not 16: use a smaller one"),
        (conv(padding=(0, 256, 0, 0)), {}, "conv0",
         "padding must be at most 255 on {e}, not 256: pad the picture"),
        (conv(channels=70_000), {}, "conv0",
         "output channels must be at most 65535 on {e}, not 70000: split the layer"),
        (conv((20_000, 3, 3), kernel=(3, 3)), {**BIG, "rows": 1, "cols": 1}, "conv0",
         ("weight blocks per column block must be at most 65535 on {e}, not 360000: raise rows or "
         "split the layer")),
        (conv((4, 6, 40), kernel=(3, 3)), {"buffer_words": 64}, "conv0",
         "one output row needs 120 words of activations, but {e} has 64: raise buffer_words"),
        (conv((600, 6, 40)), {"buffer_words": 64}, "conv0",
         "one output pixel needs 75 words of activations, but {e} has 64: raise buffer_words"),
        (conv((1, 3, 70_000), kernel=(3, 3)), BIG, "conv0",
         ("one output row needs 210000 words of activations, but {e} has 65535: no engine has more "
         "than 65535: cut it up")),
        (conv((1, 5000, 5000)), {"hold": 16, "buffer_words": 16}, "conv0",
         ("its output takes 5000000 descriptors, of at most 32767: raise hold and buffer_words, or "
         "cut the picture")),
        (conv((1, 40_000, 3), kernel=(3, 3)), {"hold": 8, "buffer_words": 32}, "conv0",
         ("its output takes 39998 descriptors, of at most 32767: raise hold and buffer_words, or "
         "cut the picture")),
        (conv((1, 30_000, 30_000)), {}, "conv0",
         "program and feature maps from 0x0 on end at 0x1ad274800, of 0x100000000 bytes that "
         "32-bit addresses reach; the largest map is 'input' with 7200000000 bytes: " + SMALLER),
        (drawn(lambda b: b.global_average(), (2, 8, 9)), {"max_fan_in": 71}, "average0",
         "window must be at most 71 on {e}, not 72: raise max_fan_in or pool in two layers"),
        (drawn(lambda b: b.add(b.conv(4, bits=3), b.conv(4, bits=3, source="input"), (0, 6))),
         {"code_bits": 3}, "add2",
         ("shift of an addend must be at most 2 on {e}, not 6: raise code_bits or bring the scales "
         "closer")),
    ],
)  # fmt: skip
def test_a_layer_beyond_the_engine_is_refused(
    network: Network, changes: dict[str, Any], layer: str, message: str
) -> None:
    config = EngineConfig(**{"name": "e", **changes})
    with pytest.raises(ValueError) as caught:
        compile_network(network, config)
    assert str(caught.value) == f"layer {layer!r}: " + message.format(e="engine 'e'")


def test_the_last_byte_of_the_address_space_is_used() -> None:
    """What fits exactly where maps share memory does not where each has its own."""

    def chain(b: NetworkBuilder) -> None:
        for _ in range(5):
            b.conv(8)

    network, config = drawn(chain, (8, 32, 32)), preset("small")
    size = compile_network(network, config).size
    assert size % 4096 == 0
    base = (1 << 32) - size
    program = compile_network(network, config, base=base)
    assert program.base + program.size == 1 << 32
    for at, keep_all in ((base + 4096, False), (base, True)):
        with pytest.raises(ValueError, match=r"^layer 'conv0': program .* end at 0x1\w{8}, of 0x1"):
            compile_network(network, config, base=at, keep_all=keep_all)


def test_an_address_beyond_the_bus_names_the_layer() -> None:
    message = (
        "layer 'conv0': program and feature maps from 0xfffff000 on end at 0x100000100, of "
        "0x100000000 bytes that 32-bit addresses reach; the largest map is 'conv0.out' with 256 "
        "bytes: " + SMALLER
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        compile_network(conv((1, 1, 1)), EngineConfig(rows=1, cols=1), base=0xFFFFF000)


def test_a_network_without_layers_is_refused() -> None:
    message = r"^network 'random' has no layers: there is nothing to run$"
    with pytest.raises(ValueError, match=message):
        compile_network(NetworkBuilder(1, *SMALL).build(), preset("small"))


def test_more_layers_than_descriptors_are_refused() -> None:
    def pools(b: NetworkBuilder) -> None:
        for _ in range(0x8000):
            b.max_pool((1, 1), (1, 1))

    message = (
        r"^layer 'pool0': the program would have 32768 descriptors for 32768 layers, 1 of them for "
        r"this one, of at most 32767: raise hold and buffer_words, or split the network$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(drawn(pools, (1, 1, 1)), preset("small"))


def test_a_bias_that_no_longer_fits_names_layer_and_channel() -> None:
    network = conv(bits=3)
    (layer,) = network.convolutions()
    rq = layer.requantiser
    bias = torch.full_like(rq.bias, (1 << (BIAS_BITS - 1)) - 1)
    bias[:2] = 0
    rq = replace(rq, bias=bias, sign=-rq.sign.abs())  # so that all that is folded in adds up
    network = replace(network, layers=[replace(layer, requantiser=rq)])
    message = r"^layer 'conv0', channel 2: .*not \d+: use fewer code bits or a smaller bias$"
    with pytest.raises(ValueError, match=message):
        compile_network(network, EngineConfig(code_bits=5))


@pytest.mark.parametrize("groups", [3, 8])
def test_groups_that_do_not_divide_the_channels_are_refused(groups: int) -> None:
    message = f"^layer 'conv0': groups must divide 4 input and 9 output channels, not be {groups}$"
    with pytest.raises(ValueError, match=message):
        drawn(lambda b: b.depthwise((2, 2), channels=9, groups=groups))
