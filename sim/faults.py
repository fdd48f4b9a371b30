"""Faults for a program: broken descriptors, closed windows, failing memory, resets, and more.

Every fault says how it must end: with which error codes and in which layers, or undisturbed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from ..hw.codec.layout import mask_bytes, word_bytes
from ..hw.config import EngineConfig
from ..hw.descriptor import (
    DESCRIPTOR_BYTES,
    FIELD,
    VERSION,
    ErrorCode,
    Mode,
    Op,
    pack_descriptor,
    unpack_descriptor,
)

SLVERR, DECERR = 2, 3
_SIZES = ("pixels", "tile", "tiles", "kernel_h", "kernel_w", "row_blocks", "col_blocks", "passes",
          "blocks", "weight_beats", "out_width", "out_channels", "tail_taps", "in_width",
          "stride_x", "stride_y", "dilation_x", "dilation_y", "load_planes",
          "load_groups")  # fmt: skip
_KINDS = {"soft": "soft reset", "hard": "hard reset", "alone": "engine reset",
          "drained": "drained reset", "start": "start while busy"}  # fmt: skip
# Addresses that are used only where another field is not 0.
_OPTIONAL = {"load_masks": "load_segment", "store_masks": "store_segment",
             "levels_addr": "levels_planes", "thresholds_addr": "thresholds_planes"}  # fmt: skip
_STUCK = (ErrorCode.WATCHDOG, ErrorCode.SIZE, ErrorCode.ADDRESS)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault and how it must end.

    Parameters
    ----------
    kind, name : str
        Group, and what is done in words.
    patch : dict of int to bytes
        Bytes put into memory, by address.
    setup : dict of str to int
        ``program``, ``base``, ``limit``: registers; ``read_word``, ``write_word``, ``response``:
        the bus word that answers with an error, and which; ``silent``: with none, nor anything
        after it; ``at``: cycle of the action.
    action : str
        A reset at that cycle: ``soft``; ``hard``, of everything; ``alone``, of the engine while
        its memory goes on; ``drained``, of the engine after a soft one. ``start``: another start.
        Or nothing.
    codes : tuple of int
        Error codes it may end with; 0 if it must end as if nothing had been done.
    layers : tuple of int
        Layers that the error may name; empty for any of the program.
    file : bool
        What is damaged is known to the program file's CRC alone: the host refuses it, and an
        engine that runs it nevertheless may give any output.
    """

    kind: str
    name: str
    patch: dict[int, bytes] = field(default_factory=dict)
    setup: dict[str, int] = field(default_factory=dict)
    action: str = ""
    codes: tuple[int, ...] = (0,)
    layers: tuple[int, ...] = ()
    file: bool = False


class Faults:
    """Makes the faults of one program on one engine, all drawn from one seed.

    Parameters
    ----------
    program, config : Program, EngineConfig
    seed : int
    tensors : mapping of str to uint8 (1, C, H, W)
        Those that are stored without zeros: where they are written depends on them.
    """

    def __init__(
        self, program: Any, config: EngineConfig, seed: int = 1,
        tensors: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.program = program
        self.config = config
        self.tensors = tensors or {}
        self.rng = Random(seed)
        first = program.first_descriptor
        count = sum(plan.descriptors for plan in program.layers)
        self.places = [first + i * DESCRIPTOR_BYTES for i in range(count)]
        self.packed = [program.image[at - program.base :][:DESCRIPTOR_BYTES] for at in self.places]
        self.fields = [unpack_descriptor(packed) for packed in self.packed]
        for fields in self.fields:
            del fields["checksum"]
        self.end = program.base + program.size
        self.window = {"base": program.base, "limit": self.end - 1}

    def changed(self, kind: str, index: int, codes: tuple[int, ...], **changes: int) -> Fault:
        """Return the fault of a descriptor with other fields, its checksum right."""
        packed = pack_descriptor(**self.fields[index] | changes)
        layer = self.fields[index]["layer"]
        text = ", ".join(f"{name} = {value}" for name, value in changes.items())
        return Fault(
            kind=kind, name=f"descriptor {index}: {text}", patch={self.places[index]: packed},
            setup=self.window, codes=codes, layers=(layer,),
        )  # fmt: skip

    def checksums(self, count: int) -> Iterator[Fault]:
        """One bit of a descriptor flipped, the checksum left as it was."""
        for _ in range(count):
            index, bit = self.rng.randrange(len(self.packed)), self.rng.randrange(1024)
            packed = bytearray(self.packed[index])
            packed[bit // 8] ^= 1 << bit % 8
            layer = int.from_bytes(packed[4:6], "little")  # the one it claims
            yield Fault(
                kind="checksum", name=f"descriptor {index}, bit {bit}",
                patch={self.places[index]: bytes(packed)}, setup=self.window,
                codes=(ErrorCode.CHECKSUM,), layers=(layer,),
            )  # fmt: skip

    def headers(self) -> Iterator[Fault]:
        """Unknown operations and other versions."""
        unknown = [op for op in (0, 3, 4, 0x80, 0xFF) if op not in list(Op)]
        for index in range(len(self.packed)):
            for op in unknown:
                yield self.changed("operation", index, (ErrorCode.OPERATION,), op=op)
            for version in (0, VERSION + 1, 255):
                yield self.changed("version", index, (ErrorCode.VERSION,), version=version)

    def sizes(self) -> Iterator[Fault]:
        """Every size that is zero or larger than the engine, in one descriptor each."""
        config = self.config
        changes = [{name: 0} for name in _SIZES]
        for name, limit in (("tile", config.hold), ("passes", config.max_passes),
                            ("tail_taps", config.window)):  # fmt: skip
            changes += [{name: limit + 1}, {name: (1 << FIELD[name].width) - 1}]
        beats = (1 << 32) // config.bus_bytes
        changes += [{"weight_beats": beats}, {"weight_beats": (1 << 32) - 1}]
        if config.window == 1:
            changes += [{"mode": Mode.PACKED}, {"mode": Mode.SEPARATE}]
        changes += [{"hold_weights": 1, name: 2} for name in ("row_blocks", "passes")]
        for number, change in enumerate(changes):
            index = number % len(self.packed)
            yield self.changed("size", index, (ErrorCode.SIZE,), **change)

    def stuck(self) -> Iterator[Fault]:
        """Descriptors whose fields do not belong together, so that something is waited for."""
        for index, d in enumerate(self.fields):
            changes = [
                {"weight_beats": d["weight_beats"] - 1},
                {"blocks": d["blocks"] + 1},
                {"blocks": 0xFFFF},
                {"tiles": d["tiles"] + 1},
                {"tiles": 0xFFFF},
                {"col_blocks": d["col_blocks"] + 1},
                {"hold_weights": 1 - d["hold_weights"]},
                {"wait": index + 1},
                {"wait": 0x7FFF},
                {"free": index + 1},
            ]
            if not d["hold_weights"]:  # else a larger kernel is as good a pool as any other
                changes += [
                    {"kernel_w": d["kernel_w"] + 1},
                    {"kernel_w": 255},
                    {"kernel_h": d["kernel_h"] + 1},
                    {"row_blocks": d["row_blocks"] + 1},
                ]
            for change in changes:
                yield self.changed("stuck", index, _STUCK, **change)

    def addresses(self) -> Iterator[Fault]:
        """Addresses outside the window, and windows that shut out what a program needs."""
        beyond = -(-self.end // 4096) * 4096
        before = [self.program.base - 4096] if self.program.base else []
        code = (ErrorCode.ADDRESS,)
        for index, d in enumerate(self.fields):
            names = ["load_addr", "weight_addr", "out_addr"]
            names += [name for name, use in _OPTIONAL.items() if d[use]]
            for name in names:
                for address in (*before, beyond, 0x8000_0000, 0xFFFF_FF00):
                    yield self.changed("address", index, code, **{name: address})
        for address in (*before, beyond, 0xFFFF_FF80):
            yield Fault(kind="address", name=f"program at {address:#x}", codes=code, layers=(0,),
                        setup=self.window | {"program": address})  # fmt: skip
        for plan in self.program.layers:
            place = self.program.places[plan.output]
            first, last = place.address, place.address + place.size - 1
            if last + 1 >= self.end:  # nothing of another layer behind it
                for limit in (first - 1, first + self.config.bus_bytes - 2):
                    yield Fault(kind="address", name=f"window ends at {limit:#x}", codes=code,
                                layers=(plan.index,), setup={"limit": limit})  # fmt: skip
        yield Fault(kind="address", name="window starts behind the descriptors", codes=code,
                    layers=(0,), setup={"base": self.places[0] + 1})  # fmt: skip
        yield Fault(kind="address", name="empty window", codes=code, layers=(0,),
                    setup={"base": 64, "limit": 63})  # fmt: skip
        yield Fault(kind="address", name="a window that just fits", setup=self.window)

    def _read_words(self) -> dict[int, int]:
        """Return the layer that first fails for each bus word that the program reads."""
        width = self.config.bus_bytes
        words: dict[int, int] = {}
        before = 0
        for at, d in zip(self.places, self.fields, strict=True):
            spans = [(at, DESCRIPTOR_BYTES, before)]
            before = layer = d["layer"]
            spans.append((d["weight_addr"], d["weight_beats"] * width, layer))
            for kind, bits in (("levels", "load_bits"), ("thresholds", "store_bits")):
                size = (d[f"{kind}_planes"] << d[bits]) * self.config.word_bytes
                spans.append((d[f"{kind}_addr"], size, layer))
            # Of a map without zeros masks alone: which values are read depends on them.
            first = d["load_masks"] if d["load_segment"] else d["load_addr"]
            for group in range(d["load_groups"]):
                for plane in range(d["load_planes"]):
                    start = first + group * d["load_group_stride"]
                    start += plane * d["load_plane_stride"]
                    spans.append((start, self._run_bytes(d), layer))
            for start, length, owner in spans:
                if length:
                    for word in range(start // width, (start + length - 1) // width + 1):
                        words.setdefault(word, owner)
        return words

    def _run_bytes(self, d: dict[str, int]) -> int:
        """Return the bytes of a plane's words, or of its masks, that a descriptor loads."""
        if d["load_segment"] and d["load_words"]:
            return (d["load_skip"] + d["load_words"]) * mask_bytes(self.config)
        return d["load_words"] * word_bytes(self.config, d["load_bits"])

    def reads(self, count: int | None = None) -> Iterator[Fault]:
        """Yield a failing read of a word: all of them, or ``count`` drawn at random."""
        words = sorted(self._read_words().items())
        if count is not None and count < len(words):
            words = self.rng.sample(words, count)
        for word, layer in words:
            yield self._failing("read", word, ErrorCode.READ, layer)

    def _written_words(self) -> dict[int, int]:
        """Return the layer that writes each bus word of the program's tensors."""
        words: dict[int, int] = {}
        for plan in self.program.layers:
            place = self.program.places[plan.output]
            values = np.asarray(self.tensors[plan.output])[0] if place.segment else None
            offsets = place.contents(values)[0] // self.config.bus_bytes
            words |= {int(word): plan.index for word in offsets.flat}
        return words

    def writes(self, count: int | None = None) -> Iterator[Fault]:
        """Yield a failing write of a word: all of them, or ``count`` drawn at random."""
        chosen = sorted(self._written_words().items())
        if count is not None and count < len(chosen):
            chosen = self.rng.sample(chosen, count)
        for word, layer in chosen:
            yield self._failing("write", word, ErrorCode.WRITE, layer)

    def _failing(self, kind: str, word: int, code: ErrorCode, layer: int) -> Fault:
        response = self.rng.choice((SLVERR, DECERR))
        setup = self.window | {f"{kind}_word": word, "response": response}
        return Fault(kind=kind, name=f"{kind} of word {word:#x} answers {response}", setup=setup,
                     codes=(code,), layers=(layer,))  # fmt: skip

    def silences(self, count: int) -> Iterator[Fault]:
        """Yield words drawn at random at which the memory falls silent, reads and writes."""
        reads = self.rng.sample(sorted(self._read_words().items()), count)
        writes = self.rng.sample(sorted(self._written_words().items()), count)
        for kind, words in (("read", reads), ("write", writes)):
            for word, layer in words:
                # The oldest layer not through is named: what is read may be of a later one.
                layers = (layer,) if kind == "write" else tuple(range(layer + 1))
                yield Fault(kind="silence", name=f"{kind} of word {word:#x} is never answered",
                            setup=self.window | {f"{kind}_word": word, "silent": 1},
                            codes=(ErrorCode.WATCHDOG,), layers=layers)  # fmt: skip

    def disturbances(self, cycles: int, **counts: int) -> Iterator[Fault]:
        """Yield resets and starts, so many of each action, at random cycles of about ``cycles``.

        Starts not near the end, since a run may be shorter than foretold, and they must find it.
        """
        for action, count in counts.items():
            for _ in range(count):
                at = self.rng.randrange(1, cycles * 3 // 4 if action == "start" else cycles)
                yield Fault(kind=_KINDS[action], name=f"{action} in cycle {at}", action=action,
                            setup=self.window | {"at": at})  # fmt: skip
