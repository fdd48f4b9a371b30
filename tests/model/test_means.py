"""Average pools that leave padding out: against torch, and on the engine as in the golden model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.fixed import requantise
from shiftwork.model.graph import AveragePoolNode, Graph
from shiftwork.model.importer.windows import ceil_padding
from shiftwork.model.network import AveragePool, Network, window_size
from shiftwork.model.quantize import quantize
from tests.networks import edge_pool, mean_of

from .machine import Machine

ENGINES = {
    "square": EngineConfig(rows=4, cols=4, hold=8, buffer_words=256),
    "window4": EngineConfig(rows=8, cols=8, hold=16, buffer_words=256, window=4),
    "window2": EngineConfig(rows=4, cols=8, hold=9, buffer_words=512, window=2),
    "odd": EngineConfig(rows=3, cols=5, hold=4, buffer_words=256),
    "one": EngineConfig(rows=1, cols=1, hold=4, buffer_words=64),
}


def drawn(seed: int) -> tuple[Network, dict[str, object]]:
    """A pool as torch states it, and its arguments there."""
    rng = Random(seed)
    while True:
        kernel = (rng.randint(1, 4), rng.randint(1, 4))
        stride = (rng.randint(1, 3), rng.randint(1, 3))
        pad = (rng.randint(0, kernel[0] // 2), rng.randint(0, kernel[1] // 2))
        size = (rng.randint(1, 9), rng.randint(1, 9))
        ceil, counted = rng.random() < 0.6, rng.random() < 0.4
        both = (*pad, *pad)
        full = ceil_padding(both, size, kernel, stride) if ceil else both
        if min(window_size(size, kernel, stride, full, (1, 1))) > 0:
            break
    beyond = (0, 0, full[2] - pad[0], full[3] - pad[1])
    network = edge_pool(
        (rng.randint(1, 11), *size), kernel, stride, full, beyond if counted else full,
        rng.choice([0, 128]),
    )  # fmt: skip
    return network, {"kernel_size": kernel, "stride": stride, "padding": pad, "ceil_mode": ceil,
                     "count_include_pad": counted}  # fmt: skip


def picture(network: Network, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, *network.tensors["x"].shape)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


@pytest.mark.parametrize("seed", range(80))
def test_the_mean_is_torchs_and_the_bits_are_the_engines(seed: int) -> None:
    network, arguments = drawn(seed)
    x = picture(network, seed)
    zero = network.tensors["x"].zero_point
    layer = network.layers[0]
    assert isinstance(layer, AveragePool)
    got = golden.run(network, x)["y"]
    want = F.avg_pool2d(x.double() - zero, **arguments)  # type: ignore[arg-type]
    assert got.shape == want.shape
    assert float((got.double() - zero - want).abs().max()) <= 0.5 + 0.006 * 255
    # bit for bit: the sum as torch's mean times torch's own count of values
    ones = F.avg_pool2d(torch.ones(1, 1, *x.shape[2:]).double(), **arguments, divisor_override=1)  # type: ignore[arg-type]
    total = F.avg_pool2d(x.double() - zero, **arguments, divisor_override=1).long()  # type: ignore[arg-type]
    assert ones.min() >= 1
    by_count = dict(layer.edges) | {layer.kernel[0] * layer.kernel[1]: layer.requantiser}
    count = (total / want).round().nan_to_num(0, 0, 0)
    for n, rq in by_count.items():
        same = (count == n) & (total != 0)
        assert torch.equal(got[same], requantise(total, rq)[same])
    config = ENGINES[sorted(ENGINES)[seed % len(ENGINES)]]
    on_engine(network, x, config)


def on_engine(network: Network, x: torch.Tensor, config: EngineConfig) -> int:
    """Compare the engine with the golden model; return its descriptors."""
    program = compile_network(network, config)
    memory = np.full(program.size, 0xA5, np.uint8)
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    program.write_tensor(memory, "x", x[0].numpy())
    Machine(config, memory).run(program.first_descriptor)
    want = golden.run(network, x)[network.output][0].numpy()
    assert np.array_equal(program.read_tensor(memory, network.output), want)
    return program.layers[0].descriptors


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("zero_point", [0, 128])
def test_every_engine_runs_three_by_three_with_padding(name: str, zero_point: int) -> None:
    ring = (1, 1, 1, 1)
    network = edge_pool((10, 6, 7), (3, 3), (1, 1), ring, ring, zero_point)
    layer = network.layers[0]
    assert isinstance(layer, AveragePool)
    assert [count for count, _ in layer.edges] == [4, 6]
    assert on_engine(network, picture(network), ENGINES[name]) >= 6 * 3
    # without anything left out: some whole rows at once
    plain = replace(layer, left_out=(0, 0, 0, 0), edges=())
    whole = replace(network, layers=[plain])
    assert not torch.equal(golden.run(whole, picture(network))["y"],
                           golden.run(network, picture(network))["y"])  # fmt: skip
    on_engine(whole, picture(network), ENGINES[name])


def test_a_quantised_mean_is_the_floating_point_one() -> None:
    ring = (1, 1, 1, 1)
    node = AveragePoolNode("p", "x", "y", (3, 3), (1, 1), ring, ring)
    graph = Graph("g", "x", "y", (2, 6, 5), [node], frac_bits=4, zero_point=128)
    x = torch.randint(0, 256, (3, 2, 6, 5), generator=torch.Generator().manual_seed(3)).byte()
    network = quantize(graph, {"x": 4, "y": 5})
    info = network.tensors["y"]
    got = (golden.run(network, x)["y"].double() - info.zero_point) * 2.0**-info.frac_bits
    want = F.avg_pool2d((x.double() - 128) / 16, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(graph.run(x)["y"].double(), want)
    inside = want.abs() < 3.9
    assert inside.double().mean() > 0.8
    assert float((got - want).abs()[inside].max()) <= (0.5 + 0.006 * 128) * 2.0**-info.frac_bits


def test_pools_with_edges_come_back_from_disk(tmp_path: Path) -> None:
    network, x = edge_pool((3, 5, 5), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1, 1, 1), 128), None
    again = Network.load(network.save(tmp_path / "net"))
    first, layer = network.layers[0], again.layers[0]
    assert isinstance(first, AveragePool) and isinstance(layer, AveragePool)
    assert layer.left_out == first.left_out
    assert [count for count, _ in layer.edges] == [count for count, _ in first.edges] == [4, 6]
    x = picture(network)
    assert torch.equal(golden.run(again, x)["y"], golden.run(network, x)["y"])


def test_edges_that_do_not_fit_are_refused() -> None:
    good = edge_pool((3, 5, 5), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1, 1, 1)).layers[0]
    assert isinstance(good, AveragePool)
    tensors = edge_pool((3, 5, 5), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1, 1, 1)).tensors
    bent = tuple((count, replace(rq, hi=99)) for count, rq in good.edges)
    few = tuple((count, mean_of(2, count, 0)) for count, _ in good.edges)
    for changes, message in (
        (
            {"edges": good.edges[:1]},
            r"requantisers of windows that count \[4, 6\] values, not \[4\]",
        ),
        (
            {"left_out": (2, 1, 1, 1)},
            r"left_out must be within the padding \(1, 1, 1, 1\), not \(2,",
        ),
        ({"edges": bent}, "edges must be clamped as the rest, without slope"),
        ({"edges": few}, "requantiser does not fit 'y'"),
    ):
        with pytest.raises(ValueError, match=f"^layer 'p': .*{message}"):
            Network("n", "x", "y", tensors, [replace(good, **changes)])
    high = replace(tensors["y"], height=4)
    with pytest.raises(ValueError, match=r"^layer 'p': a window counts no value at all$"):
        Network("n", "x", "y", tensors | {"y": high},
                [replace(good, padding=(3, 1, 1, 1), left_out=(3, 1, 1, 1))])  # fmt: skip


def test_a_run_beyond_the_buffer_names_the_layer() -> None:
    ring = (1, 1, 1, 1)
    network = edge_pool((1, 3, 40), (3, 3), (1, 1), ring, ring)
    config = EngineConfig(name="e", rows=1, cols=1, buffer_words=64)
    message = (
        "layer 'p': one output row needs 80 words of activations, but engine 'e' has 64: raise "
        "buffer_words"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        compile_network(network, config)
