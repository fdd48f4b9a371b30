"""Random codes for the tensors of a network."""

from __future__ import annotations

from random import Random

import torch

from ..model.codec.table import TableCode
from ..model.coded import codable, with_codes
from ..model.network import Network


def random_code(rng: Random, channels: int, bits: int, top: int = 255) -> TableCode:
    """Return a code of random tables up to ``top``; levels need not lie in their intervals."""

    def table(entries: int) -> torch.Tensor:
        rows = [sorted(rng.randint(0, top) for _ in range(entries)) for _ in range(channels)]
        return torch.tensor(rows, dtype=torch.uint8)

    return TableCode(bits, table((1 << bits) - 1), table(1 << bits))


def random_codes(network: Network, bits: int, seed: int, share: float | None = None) -> Network:
    """Return the network with some of its tensors coded.

    Parameters
    ----------
    network : Network
    bits : int
        Most bits of a code; one in two tensors has them all.
    seed : int
    share : float, optional
        Chance of a tensor to be coded, 0..1; drawn if not given.
    """
    rng = Random(f"codes {seed}")
    share = rng.choice([0.0, 0.5, 1.0]) if share is None else share
    codes: dict[str, TableCode] = {}
    for group in codable(network):
        if rng.random() < share:
            k = rng.choice([bits, rng.randint(1, bits)])
            for name in group:
                info = network.tensors[name]
                codes[name] = random_code(rng, info.channels, k, info.top)
    return with_codes(network, codes)
