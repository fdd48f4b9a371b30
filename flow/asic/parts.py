"""Parts of a few hundred cells: what Icarus needs to find those of an SDF file in a large module.

It looks for every cell among all of its module, one after the other, so modules of tens of
thousands of cells would take it minutes. Parts are modules of the simulation alone: all nets stay
where they were, and a part has each that its cells touch as a port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SIZE = 500  # cells of a part, at most
CELL_BEGIN = "\n (CELL\n"  # of an SDF file as OpenSTA writes it


class Pin(NamedTuple):
    """A pin of a cell: its name, the net, whether it drives that, and what is there for its net."""

    name: str
    net: str
    drives: bool
    shown: str = "{}"


@dataclass
class Parts:
    """Cells of one module, by the part they are in.

    Attributes
    ----------
    module : str
        Name of the module, and the beginning of its parts'.
    """

    module: str
    _cells: dict[int, list[tuple[str, str, Sequence[Pin]]]] = field(default_factory=dict)

    def add(self, number: int, kind: str, name: str, pins: Sequence[Pin]) -> None:
        """Add a cell, the ``number``-th of its module."""
        self._cells.setdefault(number // SIZE, []).append((kind, name, pins))

    def instances(self) -> list[str]:
        """Return the lines that place the parts in the module."""
        return [
            f"  {self.module}_{_name(part)} {_name(part)} "
            f"({', '.join(f'.{port}({net})' for net, port in self._ports(part).items())});"
            for part in self._cells
        ]

    def modules(self) -> list[str]:
        """Return the lines of the parts' modules."""
        lines: list[str] = []
        for part, cells in self._cells.items():
            ports = self._ports(part)
            driven = {pin.net for _, _, pins in cells for pin in pins if pin.drives}
            lines.append(f"module {self.module}_{_name(part)}({', '.join(ports.values())});")
            for net, port in ports.items():
                lines.append(f"  {'output' if net in driven else 'input'} {port};")
            for kind, name, pins in cells:
                shown = (f".{pin.name}({pin.shown.format(ports[pin.net])})" for pin in pins)
                lines.append(f"  {kind} {name} ({', '.join(shown)});")
            lines.append("endmodule")
        return lines

    def _ports(self, part: int) -> dict[str, str]:
        """Return the port of each net that the cells of a part touch."""
        nets = dict.fromkeys(pin.net for _, _, pins in self._cells[part] for pin in pins)
        return {net: f"w{index}" for index, net in enumerate(nets)}


def part_of(number: int) -> str:
    """Return the instance name of the part that has the ``number``-th cell of a module."""
    return _name(number // SIZE)


def split_delays(sdf: Path, parts: Mapping[str, str]) -> dict[str, Path]:
    """Write the delays of each part's cells into a file of its own, beside the SDF file of all.

    Parameters
    ----------
    sdf : Path
        File with ``/`` between the parts of a path.
    parts : mapping of str to str
        Of each cell, by its path there, the path of its part.

    Returns
    -------
    dict of str to Path
        The files, by path of a part.
    """
    head, *cells = sdf.read_text().rstrip().removesuffix(")").rstrip().split(CELL_BEGIN)
    found: dict[str, list[str]] = {}
    for cell in cells:
        path = cell.partition("(INSTANCE ")[2].partition(")")[0]
        inside = cell.replace(f"(INSTANCE {path})", f"(INSTANCE {path.rpartition('/')[2]})")
        found.setdefault(parts[path], []).append(inside)
    files: dict[str, Path] = {}
    for part, own in found.items():
        files[part] = sdf.with_name(f"part{len(files)}.sdf")
        files[part].write_text(CELL_BEGIN.join([head, *own]) + "\n)\n")
    return files


def _name(part: int) -> str:
    return f"p{part}"
