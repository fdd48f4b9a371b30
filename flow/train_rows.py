"""The rows of the training bench: what is trained, how, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model.train.fit import Recipe
from ..model.train.method import Method, WeightScale

SEED = 1
SCALE: WeightScale = "channel"  # a batch norm stands behind every layer, so it is free


@dataclass(frozen=True)
class Variant:
    """One row of the bench: a method, and where it starts.

    Attributes
    ----------
    name : str
    method : str
        A method of training, or "float".
    terms, bits : int
        N and B; 0 for float.
    pretrained : bool
        Whether it starts at the trained float network.
    recipe : Recipe
    """

    name: str
    method: Method | None
    terms: int
    bits: int
    pretrained: bool
    recipe: Recipe


@dataclass(frozen=True)
class Row:
    """What one variant came to.

    Attributes
    ----------
    held_out : float
        Percent of the pictures held out of training, by which recipes are chosen.
    top1 : float
        Percent of the test pictures, of the trained module; for a shift network the integer
        network's is ``golden_top1``.
    differs : float or None
        Percent of the test pictures on which module and integer network name another class.
    max_steps : int or None
        Largest difference of a score, in steps of the stored output.
    exact_differs : float or None
        Percent of the scores that differ when the module computes with the requantisers' own
        numbers.
    seconds : float
        Wall time of training.
    cpu_seconds : float
        Processor time of training.
    """

    variant: str
    method: str
    terms: int
    bits: int
    start: str
    epochs: int
    held_out: float
    top1: float
    golden_top1: float | None
    differs: float | None
    max_steps: int | None
    exact_differs: float | None
    seconds: float
    cpu_seconds: float


def variants(epochs: tuple[int, int, int], batch: int) -> list[Variant]:
    """Return the rows of the bench, float first.

    Parameters
    ----------
    epochs : tuple of int
        Of float training, of shift training from scratch, of shift training from the float
        network. DeepShift-Q at 4 bits takes half the rate there: of both rates the one with the
        better accuracy on the pictures held out, for every number of bits.
    batch : int
        Pictures per step.
    """
    base = Recipe(epochs=epochs[0], batch=batch, rate=5e-3, weight_decay=1e-3, seed=SEED)
    tuned = replace(base, epochs=epochs[2], rate=1e-3, freeze=0.1, seed=SEED + 1)
    scratch = replace(base, epochs=epochs[1], recalibrate=0.5, freeze=0.1)
    found = [
        Variant("float", None, 0, 0, False, base),
        Variant("float, trained on", None, 0, 0, True, replace(tuned, freeze=0.0)),
    ]
    ps = {"optimiser": "radam", "weight_decay": 1e-5}
    for bits in (5, 4, 3):
        for pretrained in (False, True):
            start = tuned if pretrained else scratch
            half = pretrained and bits == 4
            recipe = replace(start, rate=start.rate / 2) if half else start
            found.append(
                Variant(f"DeepShift-Q {bits} bits", "deepshift_q", 1, bits, pretrained, recipe)
            )
            rate = 3e-3 if pretrained else 3e-2  # p and s have a way to go
            recipe = replace(start, rate=rate, **ps)  # type: ignore[arg-type]
            found.append(
                Variant(f"DeepShift-PS {bits} bits", "deepshift_ps", 1, bits, pretrained, recipe)
            )
    found.append(Variant("N=2, B=4", "shiftcnn", 2, 4, True, tuned))
    return found


def start_of(variant: Variant) -> str:
    """Return where a variant starts."""
    return "pre-trained" if variant.pretrained else "scratch"


def row_of(variant: Variant, held_out: float, top1: float, seconds: float, cpu: float) -> Row:
    """Return the row of a float network, which has no export."""
    return Row(
        variant.name, variant.method or "float", variant.terms, variant.bits, start_of(variant),
        variant.recipe.epochs, held_out, top1, None, None, None, None, round(seconds, 1),
        round(cpu, 1),
    )  # fmt: skip
