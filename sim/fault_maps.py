"""Faults of maps that are coded or stored without zeros, and of a file's weights and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..hw.codec.layout import unit_bytes
from ..hw.config import SEGMENTS
from ..hw.descriptor import DESCRIPTOR_BYTES, ErrorCode
from .faults import Fault, Faults

SIZE, ADDRESS = (ErrorCode.SIZE,), (ErrorCode.ADDRESS,)


def coded(make: Faults) -> Iterator[Fault]:
    """Bits of codes, places and addresses of tables that cannot be, in every descriptor."""
    config, planes = make.config, make.config.codec_planes
    for index, d in enumerate(make.fields):
        changes: list[dict[str, int]] = [
            {name: bits} for name in ("load_bits", "store_bits")
            for bits in {config.codec_bits + 1, 15}
        ]  # fmt: skip
        for name, bits in (("levels", "load_bits"), ("thresholds", "store_bits")):
            if not d[bits]:
                changes += [{f"{name}_planes": count} for count in (1, 0xFFFF)]
                continue
            base = d[f"{name}_base"]
            changes += [{f"{name}_planes": count} for count in (planes - base + 1, 0xFFFF)]
            changes += [{f"{name}_planes": 1, f"{name}_base": first} for first in {planes, 0xFF}]
            changes += [{f"{name}_plane": plane} for plane in {planes, 0xFF}]
        if d["load_bits"] and d["load_planes"] * d["load_groups"] > 1:  # found while it loads
            changes.append({"levels_plane": planes - 1})
        for change in changes:
            yield make.changed("codec", index, SIZE, **change)
        if config.word_bytes > 1:
            for name, bits in (("levels", "load_bits"), ("thresholds", "store_bits")):
                if d[bits]:
                    address = d[f"{name}_addr"] + 1
                    yield make.changed("codec", index, ADDRESS, **{f"{name}_addr": address})


def without_zeros(make: Faults) -> Iterator[Fault]:
    """Segments and masks that cannot be, in every descriptor that has them; and other masks."""
    config = make.config
    for index, d in enumerate(make.fields):
        changes: list[dict[str, int]] = []
        if d["load_segment"]:
            changes += [
                {"load_skip": d["load_segment"]}, {"load_skip": 0xFFFF},
                {"load_skip": 0xFFFF, "load_segment": 0xFFFF},
                {"load_skip": 2, "load_segment": 3, "load_words": 0xFFFE},
            ]  # fmt: skip
        for side in ("load", "store"):
            if not d[f"{side}_segment"]:
                continue
            changes += [{f"{side}_segment": n} for n in (config.hold + 1, 0xFFFF)]
            if config.codec_bits:
                changes.append({f"{side}_bits": 1})
            if unit_bytes(config) > 1:
                masks = d[f"{side}_masks"] + 1
                yield make.changed("zeros", index, ADDRESS, **{f"{side}_masks": masks})
        if d["store_segment"] and config.hold > SEGMENTS:
            changes.append({"store_segment": 1, "tile": SEGMENTS + 1})
        for change in changes:
            yield make.changed("zeros", index, SIZE, **change)


def contents(make: Faults, count: int) -> Iterator[Fault]:
    """Bits of weights and of the codec's tables, ``count`` of each, and masks that are none.

    The file's CRC alone tells.
    """
    program, rng = make.program, make.rng
    end = program.base + len(program.image)
    tables = end - program.table_bytes
    places = {"weights": (make.places[-1] + DESCRIPTOR_BYTES, tables), "tables": (tables, end)}
    for kind, (first, last) in places.items():
        for _ in range(count if last > first else 0):
            address, bit = rng.randrange(first, last), rng.randrange(8)
            old = program.image[address - program.base]
            yield Fault(
                kind=kind, name=f"byte {address:#x}, bit {bit}", setup=make.window, file=True,
                patch={address: bytes([old ^ 1 << bit])},
            )  # fmt: skip
    for index, d in enumerate(make.fields):
        if d["load_segment"]:  # any bytes are masks of some map
            changed = make.changed("masks", index, (0,), load_masks=rng.choice(make.places))
            yield replace(changed, file=True, layers=())
