"""Which map is stored how: the least loss for the bits stored in all.

Losses of several maps add, predicted ones or those that :func:`.measure.measured` found. With a
price per stored bit every map takes the option with the least loss plus price times bits; prices
from high to low give the curve of loss against bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ..mixed import divergence
from .coded import CodedGraph
from .maps import mean_bits, values_of
from .measure import measured
from .options import Option, Profile, fixed_options, profiles
from .parts import joined, parts_of, with_parts
from .table import TableCode

PRICES_BETWEEN = (1e-15, 1e6)  # nats per stored bit: all raw, and the fewest bits everywhere
ALONE = 24  # pictures that every code is measured on by itself
RATES = (2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5)


@dataclass(frozen=True, eq=False)
class Choice:
    """One option for each map.

    Attributes
    ----------
    options : dict[str, Option]
        Maps that are not named are stored raw.
    loss : float
        Of all maps together, the sum of their own, in nats.
    bits : float
        Mean per value over all maps asked about.
    price : float
        Nats per stored bit.
    """

    options: dict[str, Option]
    loss: float
    bits: float
    price: float

    @property
    def codes(self) -> dict[str, TableCode]:
        """The codes by map."""
        return {name: option.code for name, option in self.options.items()}


def pick(
    options: Mapping[str, Sequence[Option]],
    values: Mapping[str, int],
    price: float,
    groups: Sequence[Sequence[str]] = (),
) -> Choice:
    """Return for each map the option with the least loss plus price times bits; raw is one too.

    Parameters
    ----------
    options : Mapping[str, Sequence[Option]]
        By name of map.
    values : Mapping[str, int]
        Values of each map.
    price : float
        Nats per stored bit.
    groups : sequence of sequences of str
        Maps that must have as many bits, or none a code: addends. Other maps choose alone.
    """

    def cost(name: str, option: Option) -> float:
        return option.loss + price * option.bits * values[name]

    grouped = {name for group in groups for name in group}
    chosen: dict[str, Option] = {}
    for group in (*groups, *([name] for name in options if name not in grouped)):
        least = price * 8 * sum(values[name] for name in group)
        common = set.intersection(*({o.code.bits for o in options[name]} for name in group))
        best: dict[str, Option] = {}
        for bits in sorted(common):
            those = {
                name: min(
                    (o for o in options[name] if o.code.bits == bits),
                    key=lambda o, name=name: cost(name, o),
                )
                for name in group
            }
            total = sum(cost(name, option) for name, option in those.items())
            if total < least:
                least, best = total, those
        chosen |= best
    bits = mean_bits(values, {name: option.bits for name, option in chosen.items()})
    return Choice(chosen, sum(o.loss for o in chosen.values()), bits, price)


def pick_at_most(
    options: Mapping[str, Sequence[Option]],
    values: Mapping[str, int],
    bits: float,
    groups: Sequence[Sequence[str]] = (),
) -> Choice:
    """Return the choice at the lowest price that stores at most ``bits`` per value on average.

    The other arguments are those of :func:`pick`. The price is found by bisection: what is
    stored never grows with it.

    Raises
    ------
    ValueError
        If even the fewest bits of every map are more on average.
    """
    low, high = PRICES_BETWEEN
    best = pick(options, values, high, groups)
    if best.bits > bits:
        raise ValueError(
            f"maps cannot be stored in {bits:g} bits per value on average: "
            f"the fewest there are options for are {best.bits:.3g}"
        )
    while high > low * (1 + 1e-6):
        price = math.sqrt(low * high)
        choice = pick(options, values, price, groups)
        if choice.bits > bits:
            low = price
        else:
            high, best = price, choice
    return best


@dataclass(frozen=True)
class Measured:
    """A point of the curve: what a choice really costs on pictures that it was not made from.

    Attributes
    ----------
    choice : Choice
    divergence : float
        Of the class probabilities from those of the uncoded network, in nats.
    agree : float
        Percent of the pictures with the same likeliest class.
    """

    choice: Choice
    divergence: float
    agree: float

    @property
    def drop(self) -> float:
        """Estimated loss of top-1 accuracy in points.

        Of the pictures that change class a part was wrong before and stays so, and some become
        right: a half of the changes is taken for losses, which is on the safe side of what the
        labelled pictures show (docs/decisions/008-codec.md).
        """
        return (100.0 - self.agree) / 2


def choose(
    network: CodedGraph,
    names: Sequence[str],
    pictures: torch.Tensor,
    held: torch.Tensor,
    *,
    max_drop: float = 1.0,
    rates: Sequence[float] = RATES,
    bits: Sequence[int] = (2, 3, 4, 5, 6),
    known: Mapping[str, Profile] | None = None,
    groups: Sequence[Sequence[str]] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Measured | None, list[Measured]]:
    """Choose per map from measured loss and saved bits, fixed rates only.

    Parameters
    ----------
    network : CodedGraph
    names : sequence of str
        Maps that may be coded, of :func:`.parts.whole_maps`; their parts are coded with them.
    pictures, held : Tensor uint8 (B, C, H, W)
        Unlabelled pictures to fit codes to and, 24 of them, to measure each code of each map
        on by itself; and others that only choices are measured on.
    max_drop : float
        Points of top-1 accuracy that may be lost, estimated (:attr:`Measured.drop`).
    rates : sequence of float
        Most bits per value on average, one for each choice to measure.
    bits : sequence of int
        Every k that may be used.
    known : Mapping[str, Profile], optional
        From :func:`profiles` and :func:`.parts.joined`, where they are known already.
    groups : sequence of sequences of str
        Maps that must have as many bits, see :func:`pick`.
    progress : callable, optional
        Called with what is done, how much of it, and how much there is.

    Returns
    -------
    Measured or None
        The choice with the fewest bits within ``max_drop``; None if none is, and all stays raw.
    list[Measured]
        The curve, fewest bits first.

    Raises
    ------
    ValueError
        If ``max_drop`` is negative, or a rate is below the fewest bits.
    """
    if max_drop < 0:
        raise ValueError(f"max_drop must not be negative, not {max_drop}")
    tell = progress or (lambda what, done, total: None)
    parts = {n: part for n, part in parts_of(network.graph).items() if part.whole in names}
    known = known or joined(profiles(network, pictures, [*names, *parts]), parts)
    options = {}
    for number, name in enumerate(names, start=1):
        options[name] = fixed_options(known[name], bits, network.zero[name])
        tell("fit codes", number, len(names))
    options = measured(
        network,
        options,
        pictures[:ALONE],
        parts,
        lambda done, total: tell("measure codes", done, total),
    )
    values = values_of(network.graph, list(names))
    reference = network.scores(held, {})
    curve: list[Measured] = []
    seen: set[tuple[str, ...]] = set()
    for number, rate in enumerate(rates, start=1):
        choice = pick_at_most(options, values, rate, groups)
        key = tuple(f"{name} {option.name}" for name, option in choice.options.items())
        if key not in seen:
            seen.add(key)
            scores = network.scores(held, with_parts(choice.codes, parts))
            same = (scores.argmax(1) == reference.argmax(1)).double().mean()
            curve.append(Measured(choice, divergence(reference, scores), 100 * float(same)))
        tell("measure choices", number, len(rates))
    curve.sort(key=lambda point: point.choice.bits)
    good = [point for point in curve if point.drop <= max_drop]
    return (good[0] if good else None), curve
