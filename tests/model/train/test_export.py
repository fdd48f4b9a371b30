"""What was trained is what is exported: module, integer network, file and engine agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftwork.hw.config import EngineConfig
from shiftwork.model import golden
from shiftwork.model.compile import compile_network
from shiftwork.model.network import Network
from shiftwork.model.train.convert import convert_graph, convert_module
from shiftwork.model.train.export import Agreement, agreement
from shiftwork.model.train.fit import Recipe, fit
from shiftwork.model.train.method import Method
from shiftwork.model.train.module import ShiftModule
from shiftwork.model.zoo import MODELS
from tests.model.machine import Machine

from .toys import TOYS, Branches, Residual, pictures, shake

WAYS: list[tuple[Method, int, int]] = [
    ("deepshift_q", 1, 3), ("deepshift_q", 1, 5), ("deepshift_ps", 1, 4), ("shiftcnn", 2, 4),
    ("shiftcnn", 3, 3),
]  # fmt: skip


def trained(toy: Any, method: Method, terms: int, bits: int, **options: Any) -> ShiftModule:
    """A toy after a few steps, so that its weights are nobody's rounding."""
    torch.manual_seed(1)
    module = convert_module(
        shake(toy()), toy.shape, method=method, terms=terms, bits=bits, zero_point=128, frac_bits=7,
        **options,
    )  # fmt: skip
    x = pictures(1, 16, toy.shape)
    module.calibrate([x])
    classes = torch.arange(16)

    def loss(m: torch.nn.Module, real: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (m(real).flatten(1).mean(1) - y).square().mean()

    fit(module, x, classes, Recipe(epochs=2, batch=8, rate=3e-3), loss=loss)
    return module.eval()


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize(("method", "terms", "bits"), WAYS)
def test_the_integer_network_is_the_trained_one(
    toy: Any, method: Method, terms: int, bits: int
) -> None:
    module = trained(toy, method, terms, bits)
    x = pictures(2, 20, toy.shape)
    found = agreement(module, x)
    assert (found.exact_values_differ, found.exact_max_steps) == (0.0, 0)
    assert found.max_steps <= 4  # multipliers are within 0.6 %
    assert found.pictures == 20 and 0.0 <= found.values_differ <= 1.0
    assert isinstance(found, Agreement) and found.golden_top1 is None


@pytest.mark.parametrize("scale", ["unit", "channel"])
@pytest.mark.parametrize("act_bits", [8, 4])
def test_other_scales_and_widths_agree_too(scale: str, act_bits: int) -> None:
    module = trained(Residual, "shiftcnn", 2, 4, scale=scale, act_bits=act_bits)
    assert agreement(module, pictures(2, 20, Residual.shape)).exact_max_steps == 0


def test_exact_integer_arithmetic_gives_the_same() -> None:
    module = trained(Branches, "deepshift_q", 1, 4)
    x = pictures(4, 3, Branches.shape)
    with module.exact() as network, torch.no_grad():
        got = module(module.real(x).double())
        info = network.tensors[network.output]
        stored = golden.run(network, x, exact="integer")[network.output]
    want = (stored.double() - info.zero_point).flatten(1) * 2.0**-info.frac_bits
    assert torch.equal(got, want)
    loose = module(module.real(x))  # and afterwards it computes as before
    assert loose.dtype == torch.float32 and loose.requires_grad


def test_golden_accuracy_is_counted() -> None:
    module = trained(Residual, "shiftcnn", 2, 4)
    x = pictures(5, 30, Residual.shape)
    network = module.to_network()
    best = golden.run(network, x)[network.output].flatten(1).long().argmax(1)
    classes = best.clone()
    classes[:6] = (classes[:6] + 1) % 5
    assert agreement(module, x, classes).golden_top1 == pytest.approx(0.8)
    with pytest.raises(ValueError, match="at least one picture"):
        agreement(module, x[:0])


@pytest.mark.parametrize("method", ["deepshift_q", "deepshift_ps"])
@pytest.mark.parametrize("bits", [3, 4])
def test_trained_codes_run_on_the_engine(tmp_path: Path, method: Method, bits: int) -> None:
    network = trained(Residual, method, 1, bits).to_network()
    network.save(tmp_path / "net")
    again = Network.load(tmp_path / "net")
    config = EngineConfig(
        name="t", rows=4, cols=4, code_bits=bits + (method == "deepshift_q"), buffer_words=512
    )
    program = compile_network(again, config)
    memory = np.zeros(program.size, np.uint8)
    memory[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    x = pictures(3, 1, Residual.shape)
    program.write_tensor(memory, network.input, x[0].numpy())
    Machine(config, memory, 0).run(program.first_descriptor)
    want = golden.run(network, x, exact="integer")[network.output]
    assert np.array_equal(program.read_tensor(memory, network.output), want[0].numpy())


def test_five_bits_of_deepshift_q_are_more_than_the_engine_has() -> None:
    network = trained(Residual, "deepshift_q", 1, 5).to_network()
    config = EngineConfig(name="t", rows=4, cols=4, code_bits=5, buffer_words=512)
    with pytest.raises(ValueError, match="code bits must be at most 5 on engine 't', not 6"):
        compile_network(network, config)


@pytest.mark.parametrize("name", ["resnet8", "person_detect"])
def test_networks_of_the_zoo_agree(name: str) -> None:
    loader = MODELS[name]
    module = convert_graph(loader.load_float(), terms=2, bits=4, scale="channel")
    x = loader.calibration(8)
    module.calibrate([x])
    assert loader.labelled is not None
    found = agreement(module, loader.labelled(None).x)
    print(f"{name}: {found}")
    assert found.exact_max_steps == 0 and found.exact_values_differ == 0.0
    assert found.top1_differs <= 0.1 and found.max_steps <= 6
