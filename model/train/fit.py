"""The training loop: one cycle of the learning rate, on one process or several."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .method import ShiftParameter
from .module import ShiftModule

SETTLE = 32  # batches that batch norm's statistics are measured over before they are frozen

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the pictures.
    batch : int
        Pictures per step, of all processes together.
    rate : float
        Peak learning rate of the one cycle.
    optimiser : "sgd" | "radam" | "adamw"
        SGD has Nesterov momentum 0.9. DeepShift-PS wants RAdam.
    weight_decay : float
        Of float weights; for DeepShift-PS the factor of its regulariser instead.
    recalibrate : float
        Share of the epochs, 0..1, at the start of which activation scales are chosen anew; then
        they are frozen.
    freeze : float
        Share of the steps, 0..1, at the end that run with frozen batch norm statistics, as they
        will be exported. They are measured anew then: while weights jump between powers of two
        the running ones lag behind.
    seed : int
        Of order and augmentation.
    """

    epochs: int = 4
    batch: int = 256
    rate: float = 1e-3
    optimiser: Literal["sgd", "radam", "adamw"] = "adamw"
    weight_decay: float = 1e-4
    recalibrate: float = 0.0
    freeze: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in ("sgd", "radam", "adamw"):
            raise ValueError(f"optimiser must be sgd, radam or adamw, not {self.optimiser!r}")
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.rate > 0:
            raise ValueError(f"rate must be positive, not {self.rate}")


@dataclass(frozen=True)
class Process:
    """One of several training processes, as ``torchrun`` starts them."""

    rank: int = 0
    count: int = 1


def join() -> Process:
    """Return this process's place; joins the group where ``torchrun`` started several.

    The group is left at the process's end (:func:`leave`).
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
        atexit.register(leave)
    return Process(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Process()


def leave() -> None:
    """Leave the group of processes; runs by itself when a process that joined ends.

    A wrapper that only the collector would free keeps the group's threads beyond the end of the
    interpreter, and then the process ends with SIGABRT.
    """
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


def cross_entropy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean cross entropy of the module's scores with classes y, int64 (B,)."""
    return F.cross_entropy(module(x), y)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Return the parameters with and without weight decay.

    Weights decay; biases, batch norm, and DeepShift-PS's exponents and signs do not.
    """
    spared = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, ShiftParameter) and not part.decayed()
        for parameter in part.parameters()
    }
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in module.parameters():
        free = parameter.ndim < 2 or id(parameter) in spared
        (others if free else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def optimiser_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser a recipe names, for a module's parameters."""
    groups = parameter_groups(module, recipe.weight_decay)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, recipe.rate, momentum=0.9, nesterov=True)
    if recipe.optimiser == "radam":
        return torch.optim.RAdam(groups, recipe.rate, decoupled_weight_decay=True)
    return torch.optim.AdamW(groups, recipe.rate)


@torch.no_grad()
def settle_batch_norm(module: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set batch norm's running statistics to the mean over some batches of real inputs.

    Before a network that was never trained is calibrated.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    mode = module.training
    module.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
    for batch in batches:
        module(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(mode)


def fit(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    recipe: Recipe,
    *,
    to_real: Callable[[torch.Tensor], torch.Tensor] | None = None,
    loss: Loss = cross_entropy,
    augment: Augment | None = None,
    calibration: torch.Tensor | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a module, float or converted, in place.

    Under ``torchrun`` every process takes its share of each batch, and gradients are averaged
    (DistributedDataParallel, gloo); batch norm's statistics are those of process 0's share, in
    every process when training is done.

    Parameters
    ----------
    module : nn.Module
        Of real inputs.
    x : Tensor uint8 (pictures, C, H, W)
        Stored inputs, all of them in every process.
    y : Tensor (pictures, ...)
        What ``loss`` wants to know of each picture: its class.
    recipe : Recipe
    to_real : callable, optional
        From a stored batch to the module's real input; a converted module's own by default.
    loss : callable
        Of the module, a batch of real inputs, and its part of ``y``.
    augment : callable, optional
        Changes a stored batch, given a generator.
    calibration : Tensor uint8, optional
        Stored inputs for the activation scales, needed where ``recipe.recalibrate`` is not 0.
    progress : callable, optional
        Called with pictures done and loss after every step.

    Returns
    -------
    list of float
        Mean loss of each epoch, of this process.

    Raises
    ------
    ValueError
        If a converted module is not calibrated, or the loss is no longer finite.
    """
    shift = module if isinstance(module, ShiftModule) else None
    if to_real is None:
        if shift is None:
            raise ValueError("a float module needs to_real, which makes real inputs of stored ones")
        to_real = shift.real
    if recipe.recalibrate and (calibration is None or shift is None):
        raise ValueError("recalibrate needs a converted module and calibration pictures")
    place = join()
    rng = torch.Generator().manual_seed(recipe.seed)
    own = torch.Generator().manual_seed(recipe.seed + 7919 * (place.rank + 1))
    optimiser = optimiser_of(module, recipe)
    if shift is not None:
        shift.freeze_batch_norm(False)  # an earlier fit may have left it frozen
    steps = max(len(x) // recipe.batch, 1)
    total_steps = recipe.epochs * steps
    rise = 0.4 if total_steps == 5 else 0.2  # 0.2 x 5 - 1 steps of rise: divides by 0
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [recipe.rate] * len(optimiser.param_groups), total_steps=total_steps,
        pct_start=rise, cycle_momentum=False,
    )  # fmt: skip
    trained = DistributedDataParallel(module) if place.count > 1 else module
    losses: list[float] = []
    module.train()
    done = 0
    for epoch in range(recipe.epochs):
        if shift is not None and calibration is not None and epoch < (
            recipe.recalibrate * recipe.epochs
        ):  # fmt: skip
            shift.calibrate(calibration.split(256))
        total = 0.0
        for index in torch.randperm(len(x), generator=rng)[: steps * recipe.batch].split(
            recipe.batch
        ):
            if shift is not None and done == round((1 - recipe.freeze) * recipe.epochs * steps):
                some = torch.randperm(len(x), generator=own)[: SETTLE * recipe.batch]
                parts = (x[part] for part in some.split(recipe.batch))
                changed = (augment(part, own) if augment else part for part in parts)
                settle_batch_norm(shift, map(to_real, changed))
                shift.freeze_batch_norm()
            share = index[place.rank :: place.count]
            batch = augment(x[share], own) if augment else x[share]
            real = to_real(batch).contiguous(memory_format=torch.channels_last)
            value = loss(trained, real, y[share])
            if shift is not None and recipe.weight_decay:
                value = value + recipe.weight_decay * shift.regulariser()
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            cycle.step()
            done += 1
            total += float(value.detach())
            if progress:
                progress(len(index), total / (done - epoch * steps))
        losses.append(total / steps)
        if not torch.isfinite(torch.tensor(losses[-1])):
            raise ValueError(f"training diverged in epoch {epoch + 1}; try a smaller rate")
    if place.count > 1:
        for buffer in module.buffers():  # the last step's statistics are still each one's own
            dist.broadcast(buffer, 0)
    return losses


@torch.no_grad()
def accuracy(
    module: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    to_real: Callable[[torch.Tensor], torch.Tensor],
    batch: int = 1000,
) -> float:
    """Return the share of pictures, 0..1, whose largest score is that of their class."""
    mode = module.training
    module.eval()
    right = 0
    for stored, classes in zip(x.split(batch), y.split(batch), strict=True):
        real = to_real(stored).contiguous(memory_format=torch.channels_last)
        right += int((module(real).argmax(1) == classes).sum())
    module.train(mode)
    return right / len(x)
