"""The figures of one run, as plain data: what report.json holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

FORMAT = 1


class ReportError(ValueError):
    """A file is not a report; the message names the file and the field."""


@dataclass(frozen=True, kw_only=True)
class LayerFigures:
    """One layer on the engine. Cycles are clock cycles, sizes are bytes.

    Attributes
    ----------
    name, kind : str
        Layer, and what it does: ``conv``, ``max_pool``, ``average_pool`` and so on.
    macs : int
        Multiply-accumulate operations it stands for.
    cycles, ideal_cycles : int
        Taken since the layer before was stored, and needed if every lane added one useful term
        in every cycle.
    stalls : dict of str to int
        Cycles without a beat, by cause.
    bytes_read, bytes_written : int
        Traffic with the memory.
    """

    name: str
    kind: str
    macs: int
    cycles: int
    ideal_cycles: int
    stalls: dict[str, int]
    bytes_read: int
    bytes_written: int

    @property
    def utilisation(self) -> float:
        """Ideal cycles over cycles; above 1 where the layer began under the one before it."""
        return self.ideal_cycles / self.cycles if self.cycles else 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one run measured; None where a part was not run.

    docs/reference/report.md says what each key means.
    """

    format: int = FORMAT
    network: str | None = None
    terms: int | None = None
    bits: int | None = None
    picture: str | None = None
    preset: str
    config: dict[str, Any] = field(default_factory=dict)
    # the Verilog against the golden model
    simulator: str | None = None
    bit_exact: bool | None = None
    layers_checked: int | None = None
    convolutions_checked: int | None = None
    pools_checked: int | None = None
    values_checked: int | None = None
    mismatches: int | None = None
    mismatch_list: list[str] = field(default_factory=list)
    # what the network says
    label: str | None = None
    probability: float | None = None
    top5: list[dict[str, Any]] = field(default_factory=list)
    # speed
    cycles: int | None = None
    ideal_cycles: int | None = None
    utilisation: float | None = None
    layers: list[LayerFigures] = field(default_factory=list)
    # memory, and size
    program_bytes: int | None = None
    peak_map_bytes: int | None = None
    unshared_map_bytes: int | None = None
    verilog_bytes: int | None = None
    verilog_sha256: str | None = None
    target: str | None = None
    lut: int | None = None
    absorbed: int | None = None
    ff: int | None = None
    bram: int | None = None
    dsp: int | None = None
    multipliers: int | None = None
    fmax_mhz: float | None = None
    milliseconds: float | None = None
    blocks: dict[str, dict[str, int]] = field(default_factory=dict)
    critical: list[str] = field(default_factory=list)
    # the run itself
    seconds: dict[str, float] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any, source: str = "report") -> Report:
        """Return a report from JSON data.

        Raises
        ------
        ReportError
            If it is not a report of this format; the message names the field.
        """
        if not isinstance(data, dict) or "format" not in data or "preset" not in data:
            raise ReportError(f"{source}: not a Shiftwork report")
        if data["format"] != FORMAT:
            raise ReportError(f"{source}: format must be {FORMAT}, not {data['format']!r}")
        layers = data.get("layers")
        if not isinstance(layers, list):
            raise ReportError(f"{source}: field 'layers' must be a list")
        made = [_checked(LayerFigures, layer, f"{source}: layers[{i}]") for i, layer in
                enumerate(layers)]  # fmt: skip
        # Reports from before adders took tables in have no such figure: it is not known there.
        return _checked(cls, {"absorbed": None, **data, "layers": made}, source)


def _checked(kind: type[Any], data: Any, source: str) -> Any:
    """Build a dataclass from JSON data, every field present and of its type."""
    if not isinstance(data, dict):
        raise ReportError(f"{source}: must be an object")
    hints = get_type_hints(kind)
    unknown = set(data) - set(hints)
    if unknown:
        raise ReportError(f"{source}: unknown field {min(unknown)!r}")
    for entry in fields(kind):
        if entry.name not in data:
            raise ReportError(f"{source}: field {entry.name!r} is missing")
        value, hint = data[entry.name], hints[entry.name]
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain = tuple(get_origin(option) or option for option in options)
        if float in plain:
            plain += (int,)
        if not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain):
            raise ReportError(f"{source}: field {entry.name!r} cannot be {value!r}")
    return kind(**data)


def load_report(path: Path) -> Report:
    """Read report.json.

    Raises
    ------
    ReportError
        If there is no such file, or it is not a report.
    """
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ReportError(f"{path}: not JSON") from None
    return Report.from_dict(data, str(path))
