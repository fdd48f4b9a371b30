"""Learning from the float network on unlabelled pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .module import ShiftModule

Teacher = Callable[[torch.Tensor], torch.Tensor]


def divergence(
    scores: torch.Tensor, wanted: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """Return KL(wanted, scores) of the softened classes, times the temperature squared.

    The factor keeps gradients alike at every temperature (Hinton et al., arXiv 1503.02531,
    section 2).

    Parameters
    ----------
    scores, wanted : Tensor (B, C)
        Before the softmax.
    temperature : float
        Divides both; positive.

    Raises
    ------
    ValueError
        If the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    log_p = F.log_softmax(scores / temperature, 1)
    log_q = F.log_softmax(wanted / temperature, 1)
    return temperature**2 * F.kl_div(log_p, log_q, log_target=True, reduction="batchmean")


class Distillation:
    """The loss of a student beside its float teacher, for :func:`.fit.fit`.

    Parameters
    ----------
    teacher : nn.Module
        Float network of the same real inputs; put into evaluation.
    temperature : float
        Of the softmax.
    layers : mapping of str to str, optional
        Step of the student by name to module of the teacher by path, whose outputs are to be
        alike: the mean squared difference over the teacher's variance is added.
    weight : float
        Of the mean of the layers' terms.
    labels : float
        Factor of the cross entropy with the classes; at 0, the default, they are not read.

    Raises
    ------
    ValueError
        If a number is out of range, or the teacher has no such module.
    """

    def __init__(
        self,
        teacher: nn.Module,
        temperature: float = 2.0,
        layers: dict[str, str] | None = None,
        weight: float = 1.0,
        labels: float = 0.0,
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        if weight < 0:
            raise ValueError(f"weight must not be negative, not {weight}")
        if labels < 0:
            raise ValueError(f"labels must not be negative, not {labels}")
        self.labels = labels
        self.teacher, self.temperature = teacher.eval(), temperature
        self.layers, self.weight = dict(layers or {}), weight
        known = dict(teacher.named_modules())
        for path in self.layers.values():
            if path not in known:
                raise ValueError(f"the teacher has no module {path!r}")

    def __call__(self, student: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss on a batch of real inputs."""
        inner = getattr(student, "module", student)  # what a distributed wrapper holds
        if not isinstance(inner, ShiftModule):
            raise ValueError(f"the student must be a converted module, not {type(inner).__name__}")
        steps = {step.name: step for step in inner.each()}
        unknown = self.layers.keys() - steps.keys()
        if unknown:
            raise ValueError(f"the student has no layer {min(unknown)!r}")
        modules = dict(self.teacher.named_modules())
        seen: dict[str, torch.Tensor] = {}
        wanted: dict[str, torch.Tensor] = {}
        hooks = []
        for name, path in self.layers.items():
            hooks.append(steps[name].register_forward_hook(_keep(seen, name)))
            hooks.append(modules[path].register_forward_hook(_keep(wanted, name)))
        try:
            with torch.no_grad():
                target = self.teacher(x)
            scores = student(x)
            loss = divergence(scores, target, self.temperature)
        finally:
            for hook in hooks:
                hook.remove()
        if self.labels:
            loss = loss + self.labels * F.cross_entropy(scores, y)
        if self.layers:
            terms = [
                F.mse_loss(seen[name], wanted[name]) / wanted[name].var().clamp(min=1e-12)
                for name in self.layers
            ]
            loss = loss + self.weight * torch.stack(terms).mean()
        return loss


def _keep(store: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        store[name] = output

    return hook
