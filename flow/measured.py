"""What commands have measured, read from their files and checked before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from reprlib import repr
from typing import Any

#: Of JSON data: a type, a list's elements, an object's keys that must be there (ANY: every one's
#: value), or what says so of a value.
Form = type | Sequence["Form"] | Mapping[str, "Form"] | Callable[[Any], "Form"]
ANY = "*"
_NAMES: dict[Any, str] = {
    str: "text", bool: "true or false", int: "an integer", float: "a number", dict: "an object",
    list: "a list",
}  # fmt: skip


def read_measured(path: Path, command: str, form: Form = dict) -> dict[str, Any]:
    """Return what a command has written.

    Parameters
    ----------
    path : Path
    command : str
        Which writes it, named as the remedy.
    form : Form
        What is needed of it; more may be there.

    Raises
    ------
    ValueError
        If it is not there, is damaged, or a key is missing or of another kind: the message names
        file, key and command.
    """
    try:
        found = json.loads(path.read_bytes())
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder: name the file in it") from None
    except OSError:
        raise ValueError(f"{path} is missing: run `shiftwork {command}` first") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: run `shiftwork {command}` again")
    for problem in _problems(found, form, ""):
        raise ValueError(f"{path}: {problem}: run `shiftwork {command}` again")
    return found


def _problems(value: Any, form: Form, at: str) -> Iterator[str]:
    """Yield what is wrong with a value, and at which key."""
    if not isinstance(form, type | Sequence | Mapping):
        yield from _problems(value, form(value), at)
        return
    kind = form if isinstance(form, type) else type(form)
    if not _is(value, kind):
        yield f"{at} must be {_NAMES[kind]}, not {repr(value)}"
    elif isinstance(form, Sequence):
        for number, each in enumerate(value):
            yield from _problems(each, form[0], f"{at}[{number}]")
    elif isinstance(form, Mapping):
        for name in value if ANY in form else form:
            where = f"{at}.{name}" if at else name
            if name not in value:
                yield f"{where} is missing"
            else:
                yield from _problems(value[name], form.get(name) or form[ANY], where)


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a kind; any finite number is a float."""
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)
