"""A Liberty file as OpenSTA 2.0 has to be given it for the internal energy to come out right.

Liberty tabulates, for each pin that can make an output change, the energy inside the cell of a
rise and of a fall. A change of the output therefore costs the mean of the two, from the pin that
caused it. OpenSTA 2.0.17 (``findInternalPower`` in its search/Power.cc) charges the *sum* of rise
and fall, and charges it for several pins at once: an inverter comes out 2 times too high, a full
adder's carry 3 times. Later versions take the mean and share it among the pins by their activity.

It weighs each table by the probability of the condition ``when``, though. So every table gets the
condition that its own pin is 1, and the probability of that, which serves nothing else once every
pin has its toggles, is set to half of the pin's share in the activity of the cell's inputs.
"""

from __future__ import annotations

import re

_CELL = re.compile(r"\bcell\s*\(\s*\"?(\w+)\"?\s*\)\s*\{")
_GROUP = re.compile(r"\binternal_power\s*\(\s*\)\s*\{")
_PIN = re.compile(r"\bpin\s*\(\s*\"?([\w\[\]]+)\"?\s*\)\s*\{")
_RELATED = re.compile(r'\brelated_pin\s*:\s*"\s*(\w+)\s*"')
_WHEN = re.compile(r"\bwhen\s*:")
_NUMBER = r"([\d.]+(?:[eE][-+]?\d+)?)"
_LOAD = re.compile(rf"\bcapacitance\s*:\s*{_NUMBER}")
_UNIT = re.compile(rf"\bcapacitive_load_unit\s*\(\s*{_NUMBER}\s*,\s*\"?(\w)f")
_VOLTAGE = re.compile(rf"\bnom_voltage\s*:\s*{_NUMBER}")
_BRACE = re.compile(r"[{}]")


def _end(text: str, start: int) -> int:
    """Return where the group whose brace opens at or after ``start`` ends, its brace included."""
    depth = 0
    for match in _BRACE.finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    raise ValueError("the Liberty file ends within a group")


def pin_energies(text: str) -> dict[tuple[str, str], float]:
    """Return what a rise and a fall of each input's own capacitance take, by cell and pin, in J.

    Raises
    ------
    ValueError
        If the file ends within a group, or has no unit of capacitance or no voltage.
    """
    unit, voltage = _UNIT.search(text), _VOLTAGE.search(text)
    if unit is None or voltage is None:
        raise ValueError("the Liberty file has no capacitive_load_unit or no nom_voltage")
    scale = float(unit[1]) * {"f": 1e-15, "p": 1e-12}[unit[2]] * float(voltage[1]) ** 2
    found: dict[tuple[str, str], float] = {}
    for cell in _CELL.finditer(text):
        body = text[cell.start() : _end(text, cell.start())]
        for pin in _PIN.finditer(body):
            load = _LOAD.search(body, pin.start(), _end(body, pin.start()))
            if load:
                found[cell[1], pin[1]] = scale * float(load[1])
    return found


def weigh_by_pin(text: str) -> tuple[str, dict[str, set[str]]]:
    """Return a Liberty file whose energy tables are weighed by their pins' probability of 1.

    Tables that have a condition of their own stay as they are.

    Returns
    -------
    text : str
        The file.
    causes : dict of str to set of str
        By cell, the pins that can make an output change.

    Raises
    ------
    ValueError
        If the file ends within a group.
    """
    parts: list[str] = []
    causes: dict[str, set[str]] = {}
    position = 0
    while cell := _CELL.search(text, position):
        end = _end(text, cell.start())
        body = text[cell.start() : end]
        causes[cell[1]] = found = set()
        at = 0
        parts.append(text[position : cell.start()])
        while pin := _PIN.search(body, at):
            stop = _end(body, pin.start())
            parts += [body[at : pin.start()], _pin(body[pin.start() : stop], pin[1], found)]
            at = stop
        parts.append(body[at:])
        position = end
    return "".join([*parts, text[position:]]), causes


def _pin(body: str, name: str, causes: set[str]) -> str:
    parts: list[str] = []
    position = 0
    while start := _GROUP.search(body, position):
        end = _end(body, start.start())
        group = body[start.start() : end]
        if not _WHEN.search(group):
            related = _RELATED.search(group)
            if related:
                causes.add(related[1])
            brace = group.index("{") + 1
            condition = related[1] if related else name
            group = f'{group[:brace]}\n      when : "{condition}";{group[brace:]}'
        parts += [body[position : start.start()], group]
        position = end
    return "".join([*parts, body[position:]])
