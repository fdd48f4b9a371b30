"""Random codes for the tensors of a network, and tensors stored without zeros."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import torch

from ..hw.config import EngineConfig
from ..model.codec.table import TableCode
from ..model.coded import codable, with_codes, with_zeros_left_out
from ..model.network import Concat, Network
from ..model.zeros import zero_groups


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


def random_storage(
    network: Network, config: EngineConfig, seed: int, share: float | None = None
) -> Network:
    """Return the network with some of its tensors coded, and some stored without zeros.

    Parameters
    ----------
    network : Network
    config : EngineConfig
        Says which of both it can do.
    seed : int
    share : float, optional
        Chance of a tensor to be stored otherwise, 0..1; drawn if not given.
    """
    if config.codec_bits:
        network = random_codes(network, config.codec_bits, seed, share)
    if not config.zero_maps:
        return network
    rng = Random(f"zeros {seed}")
    share = rng.choice([0.0, 0.5, 1.0]) if share is None else share
    codes, names = dict(network.codes), []
    for group in zero_groups(network, config):
        taken = any(name in codes for name in group)
        if rng.random() < (share / 2 if taken else share):
            names += group
    whole = {
        layer.output for layer in network.layers
        if isinstance(layer, Concat) and set(layer.inputs) & set(names)
    }  # fmt: skip
    kept = {name: code for name, code in codes.items() if name not in {*names, *whole}}
    return with_zeros_left_out(replace(network, codes=kept), names)
