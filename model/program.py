"""A compiled program: what a host writes to memory, and where every tensor lies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..hw.config import EngineConfig
from ..hw.descriptor import DESCRIPTOR_BYTES, unpack_descriptor
from .places import OPEN, Place

if TYPE_CHECKING:
    from .network import Network

MAGIC = b"SHFTPROG"
VERSION = 1
HEADER = struct.Struct("<8s9I")  # magic, then the words named in Program.header
HEADER_BYTES = 64
ALIGN = 64  # bytes: tensors, planes and weight streams start at multiples of it


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of step that is at least value."""
    return -(-value // step) * step


@dataclass(frozen=True)
class LayerPlan:
    """One layer on the engine.

    Attributes
    ----------
    name, kind, output : str
    index : int
        Layer number in descriptors, errors and counters.
    macs : int
        Multiply-accumulate operations it stands for (0 for pooling).
    passes : int
        Beats per block of taps: N over ``lane_terms``, rounded up.
    ideal_cycles : int
        macs x passes / (rows x cols), rounded up.
    descriptors : int
        Bands it was cut into.
    inputs : tuple of str
    """

    name: str
    kind: str
    output: str
    index: int
    macs: int
    passes: int
    ideal_cycles: int
    descriptors: int
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Program:
    """The bytes of a program and its memory map.

    Attributes
    ----------
    image : bytes
        Header, descriptors and weights; goes to memory at ``base``.
    base : int
        Byte address the program was compiled for.
    first_descriptor : int
        Byte address for the engine's PROGRAM register.
    size : int
        Bytes of memory needed from ``base`` on, tensors included.
    places : dict[str, Place]
        Tensors may share memory; then each is there only while it is needed.
    layers : list[LayerPlan]
    kept : tuple of str
        Tensors that are whole after a run: all, unless they share memory.
    peak_map_bytes : int
        Bytes of all feature maps where those that are never needed at once share memory.
    unshared_map_bytes : int
        Bytes of all feature maps where each has its own memory.
    table_bytes : int
        Bytes of the codec's tables in the image.
    copies : dict[str, str]
        Tensors that the compiler has added, and of each the network's tensor it is a copy of.
    """

    image: bytes
    base: int
    first_descriptor: int
    size: int
    places: dict[str, Place]
    layers: list[LayerPlan] = field(default_factory=list)
    kept: tuple[str, ...] = ()
    peak_map_bytes: int = 0
    unshared_map_bytes: int = 0
    table_bytes: int = 0
    copies: dict[str, str] = field(default_factory=dict)

    def write_tensor(self, memory: np.ndarray, name: str, x: np.ndarray) -> None:
        """Store x, uint8 (C, H, W), into memory, uint8 (bytes from ``base``,).

        Raises
        ------
        ValueError
            If the shape is not the tensor's.
        """
        place = self._place(name)
        shape = (len(place.slots), place.height, place.width)
        if tuple(x.shape) != shape:
            raise ValueError(f"tensor {name!r} must be {shape}, not {tuple(x.shape)}")
        addresses, values = place.contents(np.asarray(x, np.uint8))
        known = values != OPEN
        memory[addresses[known] - self.base] = values[known]

    def read_tensor(self, memory: np.ndarray, name: str) -> np.ndarray:
        """Return tensor ``name``, uint8 (C, H, W), from memory."""
        place = self._place(name)
        return replace(place, address=place.address - self.base).values(memory)

    def mask_tensor(self, mask: np.ndarray, name: str, x: np.ndarray | None = None) -> None:
        """Set the bytes of tensor ``name`` in mask, uint8 (bytes,), to 255.

        Without zeros they depend on its values x, uint8 (C, H, W), 0 by default.
        """
        place = self._place(name)
        if x is None:
            x = np.zeros((len(place.slots), place.height, place.width), np.uint8)
        addresses, values = place.contents(x)
        mask[addresses[values != OPEN] - self.base] = 255

    def locate(
        self, address: int, layers: Sequence[LayerPlan] | None = None
    ) -> tuple[str, str, int, int, int] | None:
        """Return (layer, tensor, channel, y, x) of the value at a byte address, if any.

        Where tensors share memory, the first one's of ``layers``, all of them by default. Without
        zeros it is what would lie there with them, or of a mask its first channel.
        """
        for plan in self.layers if layers is None else layers:
            place = self.places[plan.output]
            plane, rest = divmod(address - place.address, place.plane_stride)
            behind = rest - place.height * place.width * place.word_bytes
            pixel, byte = divmod(rest, place.word_bytes)
            if place.segment and behind >= 0:
                pixel, byte = behind // place.mask_bytes, behind % place.mask_bytes * 8
            real = plane >= 0 and byte < place.rows and pixel < place.height * place.width
            channel = place.channel(plane, byte) if real else None
            if channel is not None:
                y, x = divmod(pixel, place.width)
                return plan.name, plan.output, channel, y, x
        return None

    def _place(self, name: str) -> Place:
        try:
            return self.places[name]
        except KeyError:
            raise ValueError(f"the program has no tensor {name!r}") from None

    def descriptors(self) -> list[dict[str, int]]:
        """Return the fields of every descriptor, in order.

        Raises
        ------
        ValueError
            If one is damaged.
        """
        found: list[dict[str, int]] = []
        while not found or not found[-1]["last"]:
            at = self.first_descriptor - self.base + len(found) * DESCRIPTOR_BYTES
            found.append(unpack_descriptor(self.image[at : at + DESCRIPTOR_BYTES]))
        return found

    def tensors(self, network: Network) -> dict[str, Any]:
        """Return where a host writes the input and reads the outputs, as plain data.

        Channel c of pixel (y, x) is the byte at address + slots[c] // rows x plane_stride
        + (y x width + x) x word_bytes + slots[c] % rows; it stands for
        (byte - zero_point) x 2^-frac_bits.
        """
        found: dict[str, Any] = {}
        for name in (network.input, *(each for each in network.outputs if each in self.kept)):
            place, info = self.places[name], network.tensors[name]
            found[name] = {
                "role": "input" if name == network.input else "output",
                "channels": info.channels, "height": info.height, "width": info.width,
                "address": place.address, "plane_stride": place.plane_stride,
                "rows": place.rows, "word_bytes": place.word_bytes,
                "slots": [int(slot) for slot in place.slots],
                "frac_bits": info.frac_bits, "zero_point": info.zero_point, "bits": info.bits,
            }  # fmt: skip
        return found

    def save(self, path: str | Path) -> Path:
        """Write ``program.bin``."""
        path = Path(path)
        partial = path.with_suffix(path.suffix + ".part")
        partial.write_bytes(self.image)
        partial.replace(path)
        return path

    @classmethod
    def load(cls, path: str | Path, config: EngineConfig) -> Program:
        """Read a ``program.bin`` for an engine, after checking all of its bytes.

        Where tensors lie, and what the layers are, is not in the file: ``places``, ``layers`` and
        what follows from them are empty.

        Raises
        ------
        ValueError
            If it cannot be read, is damaged, of another version or for another engine; the
            message names the file and the field that is wrong, see `check_header`.
        """
        path = Path(path)
        try:
            image = path.read_bytes()
            words = check_header(image, config)
        except OSError as error:
            raise ValueError(f"{path}: cannot read it ({error.strerror})") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        first = words["base"] + words["descriptors_offset"]
        return cls(image, words["base"], first, words["memory_bytes"], {})


def fingerprint(config: EngineConfig) -> int:
    """Return 32 bits that differ between engines a program cannot be shared by.

    The engine shows them in its register FINGERPRINT.
    """
    return config.fingerprint


def pack_header(
    config: EngineConfig, base: int, descriptors: int, weights_offset: int, size: int, body: bytes
) -> bytes:
    """Return the 64 bytes before the first descriptor; ``body`` is all that follows."""
    words = (VERSION, fingerprint(config), base, HEADER_BYTES, descriptors, weights_offset,
             len(body) + HEADER_BYTES, size)  # fmt: skip
    checksum = _checksum(MAGIC, words, body)
    return HEADER.pack(MAGIC, *words, checksum).ljust(HEADER_BYTES, b"\0")


def _checksum(magic: bytes, words: Sequence[int], body: bytes) -> int:
    """Return the CRC-32 of everything but the checksum itself."""
    return zlib.crc32(body, zlib.crc32(struct.pack(f"<{len(words)}I", *words), zlib.crc32(magic)))


def check_header(image: bytes, config: EngineConfig) -> dict[str, int]:
    """Return the header's words after checking them against the image and the engine.

    Raises
    ------
    ValueError
        Naming the field that is wrong.
    """
    if len(image) < HEADER_BYTES or image[:8] != MAGIC:
        raise ValueError("not a Shiftwork program: the magic number is missing")
    names = ("version", "fingerprint", "base", "descriptors_offset", "descriptors",
             "weights_offset", "bytes", "memory_bytes", "crc32")  # fmt: skip
    words: dict[str, int] = dict(zip(names, HEADER.unpack_from(image)[1:], strict=True))
    if words["version"] != VERSION:
        raise ValueError(f"program version must be {VERSION}, not {words['version']}")
    if words["fingerprint"] != fingerprint(config):
        raise ValueError(f"the program was compiled for another engine than {config.name!r}")
    if words["bytes"] != len(image):
        raise ValueError(f"the program must have {words['bytes']} bytes, not {len(image)}")
    if any(image[HEADER.size : HEADER_BYTES]):
        raise ValueError(f"bytes {HEADER.size}..{HEADER_BYTES - 1} of a program's header must be 0")
    if words["crc32"] != _checksum(MAGIC, [*words.values()][:-1], image[HEADER_BYTES:]):
        raise ValueError("program checksum is wrong: the file is damaged")
    return words
