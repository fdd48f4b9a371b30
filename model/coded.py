"""Which tensors of a network are coded or stored without zeros, and what that asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from .codec.table import TableCode

if TYPE_CHECKING:
    from ..hw.config import EngineConfig
    from .network import Layer, Network


def codable(network: Network) -> list[tuple[str, ...]]:
    """Return the written tensors that may be coded, in groups of which all have as many bits.

    Parts of one concatenation lie in one place, and addends are loaded together. What the host
    reads or writes, and what shares a group with it, is stored as it is. Concatenations are left
    out: their codes are those of their parts.
    """
    group: dict[str, set[str]] = {name: {name} for name in network.tensors}
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in ("Concat", "Add"):
            continue
        joined = group[layer.inputs[0]]
        for name in (*layer.inputs, *((layer.output,) if kind == "Concat" else ())):
            if group[name] is not joined:
                joined |= group[name]
                group |= dict.fromkeys(group[name], joined)
    written = {layer.output for layer in network.layers if type(layer).__name__ != "Concat"}
    found: list[tuple[str, ...]] = []
    for name in network.tensors:
        members = group[name]
        first = next(each for each in network.tensors if each in members)
        if name == first and not members & {network.input, *network.outputs}:
            found.append(tuple(each for each in network.tensors if each in members & written))
    return found


def with_codes(network: Network, codes: Mapping[str, TableCode]) -> Network:
    """Return the network with coded tensors; parts of coded concatenations take their share.

    Raises
    ------
    ValueError
        If a code does not fit its tensor, or only some parts of a concatenation are coded; the
        message names the tensor.
    """
    found = dict(codes)
    joins = [layer for layer in network.layers if type(layer).__name__ == "Concat"]
    for layer in reversed(joins):  # a whole's parts may be concatenations themselves
        start = 0
        for part in layer.inputs:
            stop = start + network.tensors[part].channels
            if layer.output in found and part not in found:
                found[part] = found[layer.output].select(start, stop)
            start = stop
    for layer in joins:
        if layer.output not in found and all(part in found for part in layer.inputs):
            parts = [found[part] for part in layer.inputs]
            if len({part.bits for part in parts}) == 1:
                found[layer.output] = TableCode.join(parts)
    return replace(network, codes=found)


def with_zeros_left_out(network: Network, names: Iterable[str]) -> Network:
    """Return the network with tensors stored without zeros; parts share with their whole.

    Raises
    ------
    ValueError
        If a tensor cannot be stored so, or only some parts of a concatenation are.
    """
    found = set(names)
    joins = [layer for layer in network.layers if type(layer).__name__ == "Concat"]
    for layer in reversed(joins):
        if layer.output in found:
            found |= set(layer.inputs)
    for layer in joins:
        if found.issuperset(layer.inputs):
            found.add(layer.output)
    known = [name for name in network.tensors if name in found]
    return replace(network, zeros=(*known, *sorted(found - set(known))))


def check_codes(network: Network) -> None:
    """Check a network's codes, and what is stored without zeros, against its tensors.

    Raises
    ------
    ValueError
        Naming the tensor that cannot be coded so, and why.
    """
    for name, code in network.codes.items():
        info = network.tensors.get(name)
        if info is None:
            raise ValueError(f"there is a code for tensor {name!r}, but no such tensor")
        if name == network.input or name in network.outputs:
            raise ValueError(f"tensor {name!r} is read or written by the host: leave it uncoded")
        if code.channels != info.channels:
            raise ValueError(
                f"the code of tensor {name!r} must have {info.channels} channels, "
                f"not {code.channels}"
            )
        if int(code.levels.max()) > info.top:
            raise ValueError(
                f"the code of tensor {name!r} has level {int(code.levels.max())}, beyond the "
                f"tensor's {info.top}"
            )
    for name in network.zeros:
        if name not in network.tensors:
            raise ValueError(f"tensor {name!r} is to be stored without zeros, but there is none")
        if name == network.input or name in network.outputs:
            raise ValueError(f"tensor {name!r} is read or written by the host: keep its zeros")
        if name in network.codes:
            raise ValueError(f"tensor {name!r} is coded: it cannot be stored without zeros too")
    for layer in network.layers:
        if type(layer).__name__ == "Concat":
            _check_parts(network, layer.name, layer.inputs, layer.output)
            whole = (*layer.inputs, layer.output)
            for part in whole:
                if (part in network.zeros) != (whole[0] in network.zeros):
                    raise ValueError(
                        f"layer {layer.name!r}: of tensors {whole[0]!r} and {part!r} one alone is "
                        "stored without zeros: both or none, they lie in one place"
                    )


def _check_parts(network: Network, layer: str, parts: tuple[str, ...], whole: str) -> None:
    """Check that a concatenation and its parts, which lie in one place, have the same codes."""
    codes = network.codes
    named = [name for name in (*parts, whole) if name in codes]
    if not named:
        return
    if len(named) <= len(parts):
        other = next(name for name in (*parts, whole) if name not in codes)
        raise ValueError(
            f"layer {layer!r}: tensor {named[0]!r} is coded and {other!r} is not: code both, "
            "they lie in one place"
        )
    start = 0
    for part in parts:
        stop = start + network.tensors[part].channels
        own, share = codes[part], codes[whole].select(start, stop)
        if own.bits != share.bits or not torch.equal(own.levels, share.levels):
            raise ValueError(
                f"layer {layer!r}: bits and levels of tensor {part!r} must be those of its "
                f"channels in {whole!r}"
            )
        start = stop


def check_coded(network: Network, layers: Sequence[Layer], config: EngineConfig) -> None:
    """Check codes against what an engine can do.

    Raises
    ------
    ValueError
        Naming the layer, the tensor and the limit of the engine.
    """
    for layer in layers:
        for name in (*layer.inputs, layer.output):
            code = network.codes.get(name)
            if code is None:
                continue
            if code.bits > config.codec_bits:
                raise ValueError(
                    f"layer {layer.name!r}: codes must have at most {config.codec_bits} bits on "
                    f"engine {config.name!r}, but tensor {name!r} has {code.bits}: raise "
                    "codec_bits or leave it uncoded"
                )
            if int(code.thresholds.max()) >> config.act_bits:
                raise ValueError(
                    f"layer {layer.name!r}: thresholds of tensor {name!r} must be below "
                    f"{1 << config.act_bits} on engine {config.name!r}, "
                    f"not {int(code.thresholds.max())}"
                )
        if type(layer).__name__ == "Add":
            bits = [network.codes[n].bits if n in network.codes else 0 for n in layer.inputs]
            if len(set(bits)) > 1:
                raise ValueError(
                    f"layer {layer.name!r}: both addends must be stored in as many bits, not "
                    f"{bits[0]} and {bits[1]} (0: uncoded)"
                )
            if len({name in network.zeros for name in layer.inputs}) > 1:
                raise ValueError(
                    f"layer {layer.name!r}: both addends {layer.inputs[0]!r} and "
                    f"{layer.inputs[1]!r} must be stored without zeros, or none"
                )


def copied_codes(codes: Mapping[str, TableCode], copies: Mapping[str, str]) -> dict[str, TableCode]:
    """Return the codes with those of copies.

    A copy is made of values read back, so it must not change them once more: its thresholds are
    the levels but the lowest, which every value reaches. A level then gets its own code, or the
    highest of those with the same level.
    """
    copied = {copy: codes[of] for copy, of in copies.items() if of in codes}
    return dict(codes) | {
        name: TableCode(code.bits, code.levels[:, 1:].contiguous(), code.levels)
        for name, code in copied.items()
    }
