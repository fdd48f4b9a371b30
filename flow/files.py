"""Files written whole or not at all, and content hashes for caches."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: str | bytes) -> Path:
    """Write a file so that a reader, or a crash, never sees half of it.

    Parameters
    ----------
    path : Path
        File to write; its folder is made.
    data : str or bytes
        Contents; text is written as UTF-8.

    Returns
    -------
    Path
        The same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write JSON, indented, with a final newline, whole or not at all."""
    return write_atomic(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def content_key(*parts: Any) -> str:
    """Return a short hash of JSON data and byte strings, for the names of cached results."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:20]
