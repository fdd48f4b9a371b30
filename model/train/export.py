"""What was trained is what is exported: how far module and integer network agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..golden import run
from .module import ShiftModule

BATCH = 256


@dataclass(frozen=True)
class Agreement:
    """A trained module beside the integer network exported from it, on the same pictures.

    Attributes
    ----------
    pictures : int
    top1_differs : float
        Share of pictures, 0..1, whose largest output differs.
    values_differ : float
        Share of output values that differ at all.
    max_steps : int
        Largest difference of an output value, in steps of the stored output.
    exact_values_differ, exact_max_steps : float, int
        The same for the module with the requantisers' own numbers: 0 says that nothing but the
        requantisers' rounding tells module and network apart.
    golden_top1 : float or None
        Share of pictures, 0..1, that the integer network classifies right, where classes were
        given.
    """

    pictures: int
    top1_differs: float
    values_differ: float
    max_steps: int
    exact_values_differ: float
    exact_max_steps: int
    golden_top1: float | None = None


def _first(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def agreement(
    module: ShiftModule,
    x: torch.Tensor,
    classes: torch.Tensor | None = None,
    progress: Callable[[int], None] | None = None,
) -> Agreement:
    """Run the module and the network exported from it over pictures.

    Parameters
    ----------
    module : ShiftModule
        Calibrated.
    x : Tensor uint8 (pictures, C, H, W)
        Stored inputs.
    classes : Tensor int64 (pictures,), optional
        The right classes.
    progress : callable, optional
        Called with the number of pictures after each batch.

    Raises
    ------
    ValueError
        If there are no pictures, or the module cannot be exported.
    """
    if not len(x):
        raise ValueError("agreement needs at least one picture")
    mode = module.training
    module.eval()
    top1 = differ = exact_differ = values = most = exact_most = right = 0
    try:
        for number, batch in enumerate(x.split(BATCH)):
            real = module.real(batch)
            loose = _first(module(real))
            with module.exact() as network:
                tight = _first(module(real.double()))
                stored = run(network, batch, keep=False)[network.output]
            info = network.tensors[network.output]
            want = (stored.long() - info.zero_point).reshape(tight.shape)
            got = (loose.double() * 2.0**info.frac_bits).round().long()
            same = (tight * 2.0**info.frac_bits).round().long()
            top1 += int((got.flatten(1).argmax(1) != want.flatten(1).argmax(1)).sum())
            differ += int((got != want).sum())
            exact_differ += int((same != want).sum())
            values += want.numel()
            most = max(most, int((got - want).abs().max()))
            exact_most = max(exact_most, int((same - want).abs().max()))
            if classes is not None:
                wanted = classes[number * BATCH :][: len(batch)]
                right += int((want.flatten(1).argmax(1) == wanted).sum())
            if progress:
                progress(len(batch))
    finally:
        module.train(mode)
    return Agreement(
        len(x), top1 / len(x), differ / values, most, exact_differ / values, exact_most,
        None if classes is None else right / len(x),
    )  # fmt: skip
