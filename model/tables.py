"""The codec's tables in a program: what they hold, and when they are loaded to where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..hw.codec.layout import heap_order
from ..hw.config import EngineConfig
from .lowered import Lowered
from .program import ALIGN, Place, round_up
from .schedule import Step

ALWAYS = 0  # thresholds of a lane without a channel: any value reaches them, so its code is known


def levels_of(place: Place, config: EngineConfig) -> np.ndarray:
    """Return a coded tensor's levels as the decoder's planes, uint8 (planes, 2^k, word bytes)."""
    assert place.code is not None
    return _planes(place, place.code.levels.numpy(), config, 0)


def thresholds_of(place: Place, config: EngineConfig) -> np.ndarray:
    """Return its thresholds as search trees, uint8 (planes, 2^k, word bytes), entry 0 unused."""
    assert place.code is not None
    order = np.array(heap_order(place.code.bits))
    trees = place.code.thresholds.numpy()[:, order]
    planes = _planes(place, np.pad(trees, ((0, 0), (1, 0))), config, ALWAYS)
    # A column block that ends behind the tensor's last plane has thresholds there, too.
    missing = -len(planes) % (config.cols // config.rows)
    return np.pad(planes, ((0, missing), (0, 0), (0, 0)))


def _planes(place: Place, tables: np.ndarray, config: EngineConfig, fill: int) -> np.ndarray:
    """Return tables (C, entries) in the lanes of their channels."""
    lanes = np.full((place.planes * config.rows, tables.shape[1]), fill, np.uint8)
    lanes[place.slots] = tables
    planes = lanes.reshape(place.planes, config.rows, -1).transpose(0, 2, 1)
    room = config.word_bytes - config.rows
    return np.pad(planes, ((0, 0), (0, 0), (0, room)))


@dataclass(frozen=True)
class Load:
    """Where a descriptor finds its tables.

    Attributes
    ----------
    base, plane : int
        First plane of the tables in the codec's memory, and of those that the band needs.
    planes : int
        Planes to load before, 0 if they are there.
    offset : int
        Bytes of the tables from the start of all tables.
    wait : int
        Descriptors that must be stored before they may be loaded.
    """

    base: int = 0
    plane: int = 0
    planes: int = 0
    offset: int = 0
    wait: int = 0


@dataclass
class Tables:
    """One of the codec's two memories over the run of a program, and the bytes that fill it.

    Tables are laid one behind another, round and round; what was there is loaded again when it is
    next used.

    Parameters
    ----------
    config : EngineConfig
    image : bytearray
        Tables of the program, each once; grows.
    stored : bool
        Whether tables must stay until the descriptors that use them are stored: the encoder's.
    """

    config: EngineConfig
    image: bytearray
    stored: bool
    _offsets: dict[bytes, int] = field(default_factory=dict)
    _resident: list[_Resident] = field(default_factory=list)
    _at: int = 0

    def use(self, tables: np.ndarray, number: int) -> Load:
        """Return where descriptor ``number`` has some planes of tables.

        Raises
        ------
        ValueError
            If they are more than the engine holds.
        """
        data = tables.tobytes()
        for each in self._resident:
            if each.data == data:
                each.user = number
                return Load(each.first, each.first)
        count, room = len(tables), self.config.codec_planes
        if count > room:
            raise ValueError(
                f"coded maps of {count} planes need as many tables, but engine "
                f"{self.config.name!r} holds {room}: raise codec_planes or leave a map uncoded"
            )
        if self._at + count > room:
            self._at = 0
        first, self._at = self._at, self._at + count
        gone = [r for r in self._resident if r.first < first + count and first < r.first + r.planes]
        self._resident = [each for each in self._resident if each not in gone]
        self._resident.append(_Resident(data, first, count, number))
        wait = max((each.user + 1 for each in gone), default=0) if self.stored else 0
        return Load(first, first, count, self._place(data), wait)

    def _place(self, data: bytes) -> int:
        if data not in self._offsets:
            self._offsets[data] = len(self.image)
            self.image += data.ljust(round_up(len(data), ALIGN), b"\0")
        return self._offsets[data]


@dataclass(eq=False)
class _Resident:
    data: bytes
    first: int
    planes: int
    user: int  # the last descriptor that uses them


def _loaded(
    layer: Lowered, sources: Sequence[Place], config: EngineConfig
) -> np.ndarray | None:  # fmt: skip
    """Return the decoder's tables of a layer in the order in which it loads planes.

    None if its inputs are not coded. Planes of two addends lie in turn.
    """
    if sources[0].code is None:
        return None
    found = np.stack([levels_of(place, config) for place in sources[: layer.window.tensors]], 1)
    return found.reshape(-1, *found.shape[2:])


@dataclass(frozen=True)
class Coding:
    """What a descriptor says of codes.

    Attributes
    ----------
    load_bits, store_bits : int
        Of a value's code, 0 if it is stored as it is.
    levels, thresholds : Load
        The tables of the planes it loads, and of those it stores.
    """

    load_bits: int = 0
    store_bits: int = 0
    levels: Load = Load()
    thresholds: Load = Load()

    @property
    def wait(self) -> int:
        """Descriptors that must be stored before."""
        return self.thresholds.wait

    def fields(self, address: int) -> dict[str, int]:
        """Return the descriptor's fields, ``address`` being that of all tables."""
        values = {"load_bits": self.load_bits, "store_bits": self.store_bits}
        for name, load in (("levels", self.levels), ("thresholds", self.thresholds)):
            values |= {f"{name}_plane": load.plane, f"{name}_planes": load.planes}
            if load.planes:
                values |= {f"{name}_addr": address + load.offset, f"{name}_base": load.base}
        return values


@dataclass(frozen=True)
class TablePlan:
    """Tables of a program, and what each of its descriptors says of them."""

    image: bytes
    fields: list[Coding]


def plan_tables(
    lowered: Sequence[Lowered], steps: Sequence[Step], places: Mapping[str, Place],
    config: EngineConfig,
) -> TablePlan:  # fmt: skip
    """Return the tables of a program's descriptors; where tensors lie does not matter.

    Raises
    ------
    ValueError
        If a layer needs more tables than the engine holds, or the maps it adds are coded
        differently; the message names the layer.
    """
    image = bytearray()
    decoder, encoder = Tables(config, image, False), Tables(config, image, True)
    loads = [_loaded(layer, [places[name] for name in layer.inputs], config) for layer in lowered]
    fields: list[Coding] = []
    for number, step in enumerate(steps):
        layer, first = lowered[step.layer], step.band.first_plane
        target = places[layer.output]
        levels, thresholds = Load(), Load()
        load_bits = store_bits = 0
        try:
            found = loads[step.layer]
            if found is not None:
                load_bits = found.shape[1].bit_length() - 1
                levels = decoder.use(found, number)
                levels = replace(levels, plane=levels.plane + first * layer.window.tensors)
            if target.code is not None:
                store_bits = target.code.bits
                thresholds = encoder.use(thresholds_of(target, config), number)
                first = first if layer.window.separate else 0
                thresholds = replace(thresholds, plane=thresholds.plane + first)
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
        fields.append(Coding(load_bits, store_bits, levels, thresholds))
    return TablePlan(bytes(image), fields)
