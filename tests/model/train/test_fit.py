"""Training: it learns, it is deterministic, it spreads over processes, checkpoints come back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from shiftwork.model.train.checkpoint import load_checkpoint, save_checkpoint
from shiftwork.model.train.convert import convert_module
from shiftwork.model.train.distill import Distillation, divergence
from shiftwork.model.train.export import agreement
from shiftwork.model.train.fit import (
    Recipe,
    accuracy,
    fit,
    optimiser_of,
    parameter_groups,
    settle_batch_norm,
)
from shiftwork.model.train.method import Method
from shiftwork.model.train.module import ShiftModule

from .toys import Residual, pictures, same_state, shake, step_of

SHAPE = (1, 8, 8)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.relu(self.norm(self.conv(x)))).flatten(1))


def quarters(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures with one bright quarter: which one is the class."""
    rng = torch.Generator().manual_seed(count)
    x = torch.randint(0, 120, (count, *SHAPE), generator=rng)
    y = torch.randint(0, 4, (count,), generator=rng)
    for i, c in enumerate(y.tolist()):
        x[i, 0, 4 * (c // 2) :, 4 * (c % 2) :][:4, :4] += 90
    return x.to(torch.uint8), y


def converted(method: Method = "shiftcnn", terms: int = 1, bits: int = 4) -> ShiftModule:
    torch.manual_seed(0)
    module = convert_module(Tiny(), SHAPE, method=method, terms=terms, bits=bits, frac_bits=8)
    x, _ = quarters(64)
    settle_batch_norm(module, [module.real(x)])
    module.calibrate([x])
    return module


RECIPES: list[tuple[Method, int, Recipe]] = [
    ("shiftcnn", 2, Recipe(epochs=4, batch=32, rate=1e-2)),
    ("deepshift_q", 1, Recipe(epochs=4, batch=32, rate=1e-2)),
    ("deepshift_ps", 1, Recipe(epochs=8, batch=32, rate=1e-1, optimiser="radam")),
]


@pytest.mark.parametrize(("method", "terms", "recipe"), RECIPES)
def test_every_method_learns(method: Method, terms: int, recipe: Recipe) -> None:
    module = converted(method, terms)
    x, y = quarters(512)
    before = accuracy(module, x, y, module.real)
    losses = fit(module, x, y, recipe)
    assert losses[-1] < losses[0]
    assert accuracy(module, x, y, module.real) > max(0.9, before)


def test_training_is_deterministic_given_the_seed() -> None:
    x, y = quarters(128)
    one, two, other = converted(), converted(), converted()
    recipe = Recipe(epochs=1, batch=32, freeze=0.5)
    assert fit(one, x, y, recipe) == fit(two, x, y, recipe)
    assert same_state(one, two)
    fit(other, x, y, Recipe(epochs=1, batch=32, freeze=0.5, seed=1))
    assert not same_state(one, other)


def test_scales_are_chosen_anew_only_as_long_as_asked() -> None:
    x, y = quarters(128)
    module = converted()
    seen: list[int] = []
    original = module.calibrate
    module.calibrate = lambda batches: (seen.append(1), original(batches))[1]  # type: ignore[method-assign]
    fit(module, x, y, Recipe(epochs=4, batch=64, recalibrate=0.5), calibration=x)
    assert len(seen) == 2


def test_deepshift_ps_is_spared_weight_decay() -> None:
    ps, q = converted("deepshift_ps"), converted("deepshift_q")
    groups = parameter_groups(ps, 0.1)
    assert [g["weight_decay"] for g in groups] == [0.0]
    groups = parameter_groups(q, 0.1)
    assert [len(g["params"]) for g in groups] == [2, 4]  # type: ignore[arg-type]
    assert isinstance(optimiser_of(ps, Recipe(optimiser="radam")), torch.optim.RAdam)
    assert isinstance(optimiser_of(q, Recipe(optimiser="sgd")), torch.optim.SGD)


def test_five_steps_are_trained_and_nothing_stays_frozen() -> None:
    module = converted(terms=2)
    x, y = quarters(64)
    fit(module, x, y, Recipe(epochs=5, batch=64, freeze=0.5))
    assert all(step.frozen for step in module.convolutions())
    fit(module, x, y, Recipe(epochs=1, batch=64))
    assert not any(step.frozen for step in module.convolutions())


def test_a_student_learns_from_its_teacher_without_labels() -> None:
    torch.manual_seed(0)
    teacher = Tiny()
    x, y = quarters(512)
    fit(teacher, x, y, Recipe(epochs=4, batch=32, rate=1e-2), to_real=lambda s: s.float() / 256)
    student = convert_module(teacher, SHAPE, bits=2, frac_bits=8)
    student.calibrate([x[:64]])
    agree = _agreement(student, teacher, x)
    loss = Distillation(teacher, 2.0, {"conv": "relu"}, 0.5)
    losses = fit(student, x, torch.full_like(y, -100), Recipe(epochs=4, batch=32), loss=loss)
    assert losses[-1] < losses[0]
    assert _agreement(student, teacher, x) > max(agree, 0.95)


@torch.no_grad()
def _agreement(student: ShiftModule, teacher: nn.Module, x: torch.Tensor) -> float:
    real = student.real(x)
    same = student.eval()(real).argmax(1) == teacher.eval()(real).argmax(1)
    return float(same.double().mean())


def test_divergence_is_kullback_leiblers() -> None:
    a, b = torch.randn(3, 5), torch.randn(3, 5)
    p, q = (b / 3).softmax(1), (a / 3).softmax(1)
    want = 9 * (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(divergence(a, b, 3.0), want, rtol=1e-4)
    assert divergence(a, a).item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="temperature must be positive, not 0"):
        divergence(a, b, 0)
    real, y = torch.rand(6, *SHAPE), torch.arange(6) % 4
    student, teacher = converted().eval(), Tiny().eval()
    plain, both = (Distillation(teacher, labels=k)(student, real, y) for k in (0.0, 0.5))
    assert torch.allclose(both - plain, 0.5 * nn.functional.cross_entropy(student(real), y))
    with pytest.raises(ValueError, match="labels must not be negative"):
        Distillation(teacher, labels=-1.0)
    with pytest.raises(ValueError, match="no module 'conv9'"):
        Distillation(Tiny(), layers={"conv": "conv9"})
    with pytest.raises(ValueError, match="no layer 'conv9'"):
        Distillation(Tiny(), layers={"conv9": "conv"})(converted(), torch.zeros(1, *SHAPE), a)


@pytest.mark.parametrize("method", ["shiftcnn", "deepshift_q", "deepshift_ps"])
def test_checkpoints_evaluate_as_trained(tmp_path: Path, method: Method) -> None:
    module = converted(method)
    x, y = quarters(128)
    fit(module, x, y, Recipe(epochs=1, batch=32))
    path = save_checkpoint(module, tmp_path / "a" / "net.safetensors")
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]
    torch.manual_seed(99)
    fresh = convert_module(Tiny(), SHAPE, method=method, frac_bits=8)
    again = load_checkpoint(fresh, path).eval()
    module.eval()
    assert torch.equal(again(again.real(x)), module(module.real(x)))
    one, two = again.to_network(), module.to_network()
    for a, b in zip(one.convolutions(), two.convolutions(), strict=True):
        assert torch.equal(a.weights.codes, b.weights.codes)
        assert torch.equal(a.requantiser.bias, b.requantiser.bias)
    state = module.state_dict()  # and by plain torch, too
    torch.save(state, tmp_path / "plain.pt")
    plain = convert_module(Tiny(), SHAPE, method=method, frac_bits=8)
    plain.load_state_dict(torch.load(tmp_path / "plain.pt", weights_only=True))
    assert torch.equal(plain.eval()(plain.real(x)), module(module.real(x)))


def test_foreign_checkpoints_are_refused_by_name(tmp_path: Path) -> None:
    module = converted()
    path = save_checkpoint(module, tmp_path / "net.safetensors")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for other, message in [
        (convert_module(Tiny(), SHAPE, bits=3, frac_bits=8), "bits is 4, the module's 3"),
        (convert_module(Tiny(), SHAPE), "frac_bits is 8, the module's 0"),
        (convert_module(Residual(), Residual.shape, frac_bits=8), "shape is"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_checkpoint(other, path)
    wide = Tiny()
    wide.fc = nn.Linear(32, 5)
    with pytest.raises(ValueError, match=r"'steps.fc.layer.bias' has another shape"):
        load_checkpoint(convert_module(wide, SHAPE, frac_bits=8), path)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="cannot read it"):
        load_checkpoint(module, tmp_path / "cut")
    save_file(load_file(path), tmp_path / "bare")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(module, tmp_path / "bare")
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from shiftwork.model.train.convert import convert_module
from shiftwork.model.train.fit import Recipe, fit, join, settle_batch_norm
from tests.model.train.test_fit import SHAPE, Plain, Tiny, plain_data, quarters
place = join()
torch.manual_seed(place.rank)  # the wrapper starts all at process 0's weights
module = convert_module(Plain(), SHAPE, method="deepshift_q", frac_bits=8)
x, y = plain_data()
module.calibrate([x])
fit(module, x, y, Recipe(epochs=2, batch=16, rate=1e-2, optimiser="sgd"))
torch.save(module.state_dict(), f"{sys.argv[1]}/plain{place.rank}.pt")
module = convert_module(Tiny(), SHAPE, method="deepshift_q", frac_bits=8)
x, y = quarters(256)
settle_batch_norm(module, [module.real(x)])
module.calibrate([x])
recipe = Recipe(epochs=4, batch=32, rate=1e-2, recalibrate=0.5)
fit(module, x, y, recipe, calibration=x)
torch.save(module.state_dict(), f"{sys.argv[1]}/norm{place.rank}.pt")
"""


class Plain(nn.Sequential):
    """No batch norm: then gradients over shares are exactly those of the whole batch."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 4)
        )


def plain_data() -> tuple[torch.Tensor, torch.Tensor]:
    return quarters(64)


@pytest.fixture(scope="module")
def spread_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the states of networks trained by two processes and by one."""
    folder = tmp_path_factory.mktemp("spread")
    script = folder / "train.py"
    script.write_text(SCRIPT)
    root = Path(__file__).resolve().parents[3]
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for name, launcher in (
        ("two", ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]),
        ("one", []),
    ):
        (folder / name).mkdir()
        done = subprocess.run(
            [sys.executable, *launcher, str(script), str(folder / name)],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return folder


def test_torchrun_spreads_training_over_processes(spread_out: Path) -> None:
    first, second = (torch.load(spread_out / "two" / f"plain{rank}.pt") for rank in (0, 1))
    alone = torch.load(spread_out / "one" / "plain0.pt")
    assert first.keys() == second.keys() == alone.keys()
    for name in alone:
        if "frac_bits" not in name and "ready" not in name:
            assert torch.equal(first[name], second[name]), name
            assert torch.allclose(first[name], alone[name], atol=1e-5), name


def test_torchrun_trains_batch_norm_alike_in_every_process(spread_out: Path) -> None:
    first, second = (torch.load(spread_out / "two" / f"norm{rank}.pt") for rank in (0, 1))
    assert any("running_var" in name for name in first)
    for name in first:  # statistics and activation scales, too
        assert torch.equal(first[name], second[name]), name
    module = convert_module(Tiny(), SHAPE, method="deepshift_q", frac_bits=8)
    module.load_state_dict(first)
    x, y = quarters(256)
    assert accuracy(module, x, y, module.real) > 0.9
    assert agreement(module, x).exact_values_differ == 0.0
    alone = torch.load(spread_out / "one" / "norm0.pt")
    assert not torch.equal(
        alone["steps.conv.norm.running_var"], first["steps.conv.norm.running_var"]
    )  # those of half of each batch


def test_bad_recipes_are_refused() -> None:
    for options, message in [
        ({"optimiser": "adam"}, "optimiser must be sgd, radam or adamw, not 'adam'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"rate": 0.0}, "rate must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            Recipe(**options)  # type: ignore[arg-type]
    x, y = quarters(16)
    with pytest.raises(ValueError, match="a float module needs to_real"):
        fit(Tiny(), x, y, Recipe(epochs=1))
    with pytest.raises(ValueError, match="recalibrate needs"):
        fit(converted(), x, y, Recipe(epochs=1, recalibrate=1.0))
    module = converted()
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        fit(module, x, y, Recipe(epochs=1, batch=16))


def test_pictures_settle_batch_norm() -> None:
    module = convert_module(shake(Residual()), Residual.shape)
    x = module.real(pictures(0, 32, Residual.shape))
    settle_batch_norm(module, [x])
    stem = step_of(module, "stem.0")
    norm, inner = stem.norm, stem.layer(module.quantiser(x))
    assert torch.allclose(norm.running_mean, inner.mean((0, 2, 3)), rtol=1e-4, atol=1e-3)
    assert norm.momentum == 0.1


def test_statistics_are_measured_anew_when_they_are_frozen() -> None:
    module = converted()
    norm = step_of(module, "conv").norm
    x, y = quarters(128)
    inner = step_of(module, "conv").layer(module.quantiser(module.real(x)))
    norm.running_mean.fill_(99.0)
    fit(module, x, y, Recipe(epochs=2, batch=32, rate=1e-9, freeze=0.25))
    assert torch.allclose(norm.running_mean, inner.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert norm.momentum == 0.1 and not norm.training
